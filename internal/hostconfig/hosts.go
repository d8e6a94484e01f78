package hostconfig

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// hosts are the names of a hosts(5) file with their addresses, but for the host's
// own, which cloud-init writes at every boot.
func (l *look) hosts(_ Rule, name string) *table {
	t := newTable(name)
	data, at, err := l.read(name)
	if gone(err) {
		t.absent = true
		return t
	}
	if err != nil {
		return faulty(name, faultOf(name, err))
	}
	own := strings.ToLower(l.root.Hostname())
	for host, addresses := range parseHosts(data) {
		first, _, _ := strings.Cut(host, ".")
		if own != "" && (host == own || first == own || strings.HasPrefix(own, first+".")) {
			continue
		}
		t.entries[drift.Printable(host)] = entry{
			value: drift.Printable(strings.Join(addresses, " ")), changed: at, args: map[string]string{"file": name},
		}
	}
	return t
}

// parseHosts joins all lines about a name; neither their order nor comments count.
func parseHosts(data []byte) map[string][]string {
	out := map[string][]string{}
	for line := range bytes.Lines(data) {
		text, _, _ := strings.Cut(string(line), "#")
		words := strings.Fields(text)
		for i := 1; i < len(words); i++ {
			if host := strings.ToLower(words[i]); !slices.Contains(out[host], words[0]) {
				out[host] = append(out[host], words[0])
			}
		}
	}
	for _, addresses := range out {
		slices.Sort(addresses)
	}
	return out
}
