package hostconfig

import (
	"bytes"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// uplink is what systemd-resolved really asks where resolv.conf names only itself.
const uplink = "/run/systemd/resolve/resolv.conf"

// resolver is what programs on the host ask for names.
func (l *look) resolver(_ Rule, name string) *table {
	t := newTable(name)
	data, at, err := l.read(name)
	if gone(err) {
		t.absent = true
		return t
	}
	if err != nil {
		return faulty(name, faultOf(name, err))
	}
	conf := parseResolver(data)
	if conf.stub() {
		if real, since, err := l.read(uplink); err == nil {
			conf.nameservers, at = parseResolver(real).nameservers, since
		} else if !gone(err) {
			return faulty(name, faultOf(uplink, err))
		}
	}
	for key, words := range map[string][]string{"nameserver": conf.nameservers, "search": conf.search, "options": conf.options} {
		if len(words) > 0 {
			t.entries[key] = entry{value: drift.Printable(strings.Join(words, " ")), changed: at, args: map[string]string{"file": name}}
		}
	}
	return t
}

type resolverConf struct{ nameservers, search, options []string }

// parseResolver reads resolv.conf(5): the last search or domain counts.
func parseResolver(data []byte) resolverConf {
	var c resolverConf
	for line := range bytes.Lines(data) {
		if len(line) > 0 && (line[0] == '#' || line[0] == ';') {
			continue
		}
		words := strings.Fields(string(line))
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			c.nameservers = append(c.nameservers, words[1])
		case "search":
			c.search = words[1:]
		case "domain":
			c.search = words[1:2]
		case "options":
			c.options = append(c.options, words[1:]...)
		}
	}
	return c
}

// stub tells whether only systemd-resolved on this host is asked.
func (c resolverConf) stub() bool {
	return len(c.nameservers) > 0 && !slices.ContainsFunc(c.nameservers, func(s string) bool {
		return s != "127.0.0.53" && s != "127.0.0.54"
	})
}
