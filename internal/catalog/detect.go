package catalog

import (
	"fmt"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

// marks are what only one provider puts on a node.
type marks struct {
	Files []string `yaml:"files"` // any of these on the host
}

// Detect chooses the profile of a host by files that only a provider puts there.
// What the machine is made of (DMI) is no reason: a cluster of one's own on a
// provider's machines is not the provider's cluster.
func (c *Catalog) Detect(root *host.Root) (name, reason string, err error) {
	marks := map[string]marks{}
	if _, err := decodeEmbedded("detect.yaml", &marks); err != nil {
		return "", "", err
	}
	var found, because []string
	for _, name := range c.Names() {
		for _, file := range marks[name].Files {
			if root.Exists(file) {
				found, because = append(found, name), append(because, file)
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return Upstream, "no provider's own file is on this host", nil
	case 1:
		return found[0], "found " + because[0], nil
	default:
		return Upstream, fmt.Sprintf("files of several providers are on this host (%s): choose with --profile", strings.Join(because, ", ")), nil
	}
}
