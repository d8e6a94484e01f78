package sysctl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxInterfaces = 100_000
	maxRoutes     = 16 << 20
	defaultRoute  = "default-route"
	scopeAll      = "all"
	scopeDefault  = "default"
)

// interfaces are the network interfaces of the host's network namespace.
type interfaces struct {
	names        []string
	defaultRoute []string // those that a default route leaves by
}

// findInterfaces lists what /proc/sys has a directory for. The two scopes "all"
// and "default" are no interfaces.
func findInterfaces(root *host.Root) (interfaces, error) {
	names, err := root.ReadDir("/proc/sys/net/ipv4/conf", maxInterfaces)
	if err != nil {
		return interfaces{}, fmt.Errorf("list interfaces: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == scopeAll || n == scopeDefault })
	return interfaces{names: names, defaultRoute: defaultRoutes(root)}, nil
}

// defaultRoutes reads the interfaces of the IPv4 default routes. Without a
// routing table there are none.
func defaultRoutes(root *host.Root) []string {
	data, err := root.ReadFile("/proc/1/net/route", maxRoutes)
	if err != nil {
		if data, err = root.ReadFile("/proc/net/route", maxRoutes); err != nil {
			return nil
		}
	}
	return parseDefaultRoutes(string(data))
}

// parseDefaultRoutes reads /proc/net/route: interface, destination, gateway,
// flags, three counters, mask.
func parseDefaultRoutes(table string) []string {
	var out []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) >= 8 && f[1] == "00000000" && f[7] == "00000000" && !slices.Contains(out, f[0]) {
			out = append(out, f[0])
		}
	}
	return out
}

// scopes are the interfaces and scopes that a rule means, of those that exist.
func (i interfaces) scopes(r Rule) []string {
	var out []string
	for _, scope := range []string{scopeAll, scopeDefault} {
		if slices.Contains(r.Interfaces, scope) {
			out = append(out, scope)
		}
	}
	for _, name := range i.names {
		if i.selected(r, name) {
			out = append(out, name)
		}
	}
	return out
}

// selected tells whether a rule means the interface.
func (i interfaces) selected(r Rule, name string) bool {
	if matchAny(r.Except, name) {
		return false
	}
	if slices.Contains(r.Interfaces, defaultRoute) && slices.Contains(i.defaultRoute, name) {
		return true
	}
	return matchAny(r.Interfaces, name)
}

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, err := doublestar.Match(g, name)
		return ok && err == nil
	})
}
