package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
)

// marks are what only one provider puts on a node.
type marks struct {
	Within string   `yaml:"within"` // the profile whose marks have to be there too
	Files  []string `yaml:"files"`  // any of these on the host
	Labels []string `yaml:"labels"` // of the Node: globs of keys, or of KEY=VALUE

	Without []string `yaml:"without"` // labels of nodes that are not the provider's own

	// These confirm and never select.
	Machine     []string `yaml:"machine"`     // globs of the machine's maker and product
	ProviderIDs []string `yaml:"providerIDs"` // globs
	OSImages    []string `yaml:"osImages"`    // globs
}

// Detect chooses the profile of a host by what only a provider puts there: files on
// the host and, where the own Node is known, its labels. What the machine is made of
// is no reason: a cluster of one's own on a provider's machines is not the provider's
// cluster. It only decides between providers whose marks are both there.
func (c *Catalog) Detect(root *host.Root, own *node.Node) (name, reason string, err error) {
	all := map[string]marks{}
	if _, err := decodeEmbedded("detect.yaml", &all); err != nil {
		return "", "", err
	}
	d := detection{root: root, node: own, marks: all, found: map[string]string{}}
	for _, name := range c.Names() {
		if why := d.mark(all[name]); why != "" && all[name].Within == "" {
			d.found[name] = why
		}
	}
	name, reason = d.choose()
	for _, inner := range c.Names() {
		if all[inner].Within == name && name != Upstream {
			if why := d.mark(all[inner]); why != "" {
				return inner, reason + ", and " + why, nil
			}
		}
	}
	return name, reason, nil
}

// detection is one look at a host's marks.
type detection struct {
	root  *host.Root
	node  *node.Node // nil: not known
	marks map[string]marks
	found map[string]string // what was found, by profile
}

// mark says which of the marks is there, "" for none.
func (d detection) mark(m marks) string {
	if d.node != nil && d.label(m.Without) != "" {
		return ""
	}
	for _, file := range m.Files {
		if d.root.Exists(file) {
			return "found " + file
		}
	}
	if d.node == nil {
		return ""
	}
	if label := d.label(m.Labels); label != "" {
		return "the Node has the label " + label
	}
	return ""
}

// label is the first of the Node's labels, by name, that one of the globs means.
func (d detection) label(globs []string) string {
	for _, key := range slices.Sorted(maps.Keys(d.node.Labels)) {
		for _, glob := range globs {
			name, value, named := strings.Cut(glob, "=")
			if matches(name, key) && (!named || matches(value, d.node.Labels[key])) {
				return key
			}
		}
	}
	return ""
}

func matches(glob, text string) bool {
	ok, err := doublestar.Match(glob, text)
	return ok && err == nil
}

// choose decides between what was found.
func (d detection) choose() (name, reason string) {
	names := slices.Sorted(maps.Keys(d.found))
	switch len(names) {
	case 0:
		return Upstream, d.none()
	case 1:
		return names[0], d.found[names[0]]
	}
	because := make([]string, len(names))
	for i, n := range names {
		because[i] = n + ": " + d.found[n]
	}
	several := "marks of several providers are on this node (" + strings.Join(because, "; ") + ")"
	confirmed := slices.DeleteFunc(names, func(n string) bool { return d.confirms(d.marks[n]) == "" })
	if len(confirmed) == 1 {
		return confirmed[0], fmt.Sprintf("%s, and %s", several, d.confirms(d.marks[confirmed[0]]))
	}
	return Upstream, several + ": choose with --profile"
}

// none tells what may make somebody expect another answer.
func (d detection) none() string {
	reason := "no provider's own file is on this host"
	if d.node != nil {
		reason += " and none of its labels is on the Node"
	}
	for _, name := range slices.Sorted(maps.Keys(d.marks)) {
		if why := d.confirms(d.marks[name]); why != "" {
			return reason + "; " + why + ", which a cluster of one's own there has too: for " + name + " use --profile " + name
		}
	}
	return reason
}

// confirms says what speaks for the provider without selecting it.
func (d detection) confirms(m marks) string {
	for _, file := range []string{"sys_vendor", "product_name", "bios_vendor"} {
		data, err := d.root.ReadFile("/sys/class/dmi/id/"+file, maxDMI)
		text := strings.TrimSpace(string(data))
		if err == nil && slices.ContainsFunc(m.Machine, func(glob string) bool { return matches(glob, text) }) {
			return "the machine is of " + text
		}
	}
	if d.node == nil {
		return ""
	}
	if slices.ContainsFunc(m.ProviderIDs, func(glob string) bool { return matchesID(glob, d.node.ProviderID) }) {
		return "the Node's providerID is of that cloud"
	}
	if slices.ContainsFunc(m.OSImages, func(glob string) bool { return matches(glob, d.node.OSImage) }) {
		return "the Node's OS image is " + d.node.OSImage
	}
	return ""
}

const maxDMI = 4 << 10

// matchesID takes a glob's last * for anything, slashes included.
func matchesID(glob, id string) bool {
	if before, ok := strings.CutSuffix(glob, "*"); ok && !strings.Contains(before, "*") {
		return strings.HasPrefix(id, before)
	}
	return matches(glob, id)
}
