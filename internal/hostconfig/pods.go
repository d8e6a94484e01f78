package hostconfig

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	maxBundle = 4 << 20
	meminfo   = "/proc/meminfo"

	// smallest is how many containers make shares of them worth telling.
	smallest = 5
)

// containers are those that run, from the runtimes' own files. They come and go
// too often to be watched.
func (l *look) containers() ([]container, error) {
	var out []container
	for _, glob := range bundles {
		names, err := l.unwatched(glob)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			c, err := remembered(l, name, maxBundle, parseBundle)
			if gone(err) {
				continue
			}
			if err != nil {
				return nil, &fileError{name, err}
			}
			if c.pod != "" {
				c.bundle = name
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// pods are those that can reach the host itself in one of these ways, as
// NAMESPACE/NAME.
func (l *look) pods(_ Rule, ways string) *table {
	all, err := l.containers()
	if err != nil {
		return faulty("pod", faultOf("/run", err))
	}
	found := map[string][]string{}
	for _, c := range all {
		name := drift.Printable(c.namespace + "/" + c.pod)
		for _, trait := range c.traits {
			kind, _, _ := strings.Cut(trait, " ")
			if slices.Contains(strings.Fields(ways), kind) && !slices.Contains(found[name], trait) {
				found[name] = append(found[name], trait)
			}
		}
	}
	t := newTable("pod")
	for name, how := range found {
		slices.Sort(how)
		t.entries[name] = entry{value: shownDirective(strings.Join(how, ", ")), want: "no access to the host"}
	}
	return t
}

// memoryUse is what the containers of the pods that the rule does not except may use:
// "limits", their limits together, and "unlimited", those without one, in per cent
// of the memory and of the containers.
func (l *look) memoryUse(r Rule, _ string) *table {
	all, err := l.containers()
	if err != nil {
		return faulty("memory", faultOf("/run", err))
	}
	data, err := l.root.ReadFile(meminfo, maxFile)
	if gone(err) && !l.root.Live() {
		return skipped()
	}
	if err != nil {
		return faulty("memory", faultOf(meminfo, err))
	}
	total := parseMemTotal(data)
	if total == 0 {
		return faulty("memory", &fault{meminfo + " does not tell how much there is", ""})
	}
	var limits int64
	var counted, unlimited int64
	for _, c := range all {
		if c.sandbox || matchesAny(r.Except, c.namespace+"/"+c.pod) {
			continue
		}
		counted++
		if limits += c.memory; c.memory == 0 {
			unlimited++
		}
	}
	t := newTable("memory")
	if counted < smallest {
		return t
	}
	t.entries["limits"] = percentage(limits*100/total, "the node's memory")
	t.entries["unlimited"] = percentage(unlimited*100/counted, "the containers")
	return t
}

// percentage is rounded, so that it is the same at most looks.
func percentage(n int64, of string) entry {
	n = (n + 5) / 10 * 10
	return entry{value: fmt.Sprintf("%d %% of %s", n, of), number: n}
}

func parseMemTotal(data []byte) int64 {
	for line := range bytes.Lines(data) {
		if fields := strings.Fields(string(line)); len(fields) >= 2 && fields[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}
