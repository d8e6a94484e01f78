package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/nodeguard/nodeguard/internal/host"
)

// DefaultNodePorts is the API server's own default.
const DefaultNodePorts = "30000-32767"

// nodePorts is the range that Services of type NodePort use, less what the host
// keeps clear of in ip_local_reserved_ports.
type nodePorts struct {
	first, last int64
	reserved    []portRange
}

type portRange struct{ first, last int64 }

func (p nodePorts) String() string { return fmt.Sprintf("%d-%d", p.first, p.last) }

// overlap tells whether a port between the two, inclusive, is an unreserved NodePort.
func (p nodePorts) overlap(r [2]int64) bool {
	for port := max(r[0], p.first); port <= min(r[1], p.last); port++ {
		if !p.isReserved(port) {
			return true
		}
	}
	return false
}

func (p nodePorts) isReserved(port int64) bool {
	for _, r := range p.reserved {
		if r.first <= port && port <= r.last {
			return true
		}
	}
	return false
}

// ParseNodePorts reads a range as --service-node-port-range takes it: 30000-32767
// or, with base and size, 30000+2768.
func ParseNodePorts(s string) (first, last int64, err error) {
	text, size := s, false
	sep := "-"
	if strings.Contains(s, "+") {
		sep, size = "+", true
	}
	a, b, ok := strings.Cut(text, sep)
	first, errFirst := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
	last, errLast := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
	if size {
		last += first - 1
	}
	if !ok || errFirst != nil || errLast != nil || first < 1 || last < first || last > 65535 {
		return 0, 0, fmt.Errorf("port range %q: want FIRST-LAST within 1-65535", s)
	}
	return first, last, nil
}

// findNodePorts asks the configuration, then an API server on this host.
func findNodePorts(root *host.Root, configured string) nodePorts {
	for _, candidate := range []string{configured, runningNodePorts(root), manifestNodePorts(root), DefaultNodePorts} {
		if first, last, err := ParseNodePorts(candidate); err == nil {
			return nodePorts{first: first, last: last}
		}
	}
	panic("the default NodePort range does not parse")
}

const nodePortFlag = "--service-node-port-range"

func runningNodePorts(root *host.Root) string {
	servers, err := root.Processes("kube-apiserver")
	if err != nil {
		return ""
	}
	for _, s := range servers {
		if v := flag(s.Args, nodePortFlag); v != "" {
			return v
		}
	}
	return ""
}

const (
	manifest    = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	maxManifest = 1 << 20
)

// manifestNodePorts reads the flag from the static pod of the API server.
func manifestNodePorts(root *host.Root) string {
	data, err := root.ReadFile(manifest, maxManifest)
	if err != nil {
		return ""
	}
	var pod struct {
		Spec struct {
			Containers []struct {
				Command []string `yaml:"command"`
				Args    []string `yaml:"args"`
			} `yaml:"containers"`
		} `yaml:"spec"`
	}
	if yaml.Unmarshal(data, &pod) != nil {
		return ""
	}
	for _, c := range pod.Spec.Containers {
		if v := flag(append(c.Command, c.Args...), nodePortFlag); v != "" {
			return v
		}
	}
	return ""
}

// flag finds the value of a flag, given as one word or two.
func flag(args []string, name string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, name+"="); ok {
			return v
		}
		if a == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

const reservedPorts = "net.ipv4.ip_local_reserved_ports"

// maxReserved holds a bitmap's worth of single ports.
const maxReserved = 512 << 10

// reserve reads which ports the kernel hands to nobody by itself.
func (p nodePorts) reserve(root *host.Root) (nodePorts, error) {
	data, err := root.ReadFile("/proc/sys/"+host.SysctlPath(reservedPorts), maxReserved)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.reserved = parsePorts(string(data))
	return p, nil
}

// parsePorts reads "8080,9000-9010"; what is not a port is left out.
func parsePorts(s string) []portRange {
	var out []portRange
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' || r == '\t' }) {
		a, b, isRange := strings.Cut(part, "-")
		if !isRange {
			b = a
		}
		first, errFirst := strconv.ParseInt(a, 10, 64)
		last, errLast := strconv.ParseInt(b, 10, 64)
		if errFirst == nil && errLast == nil {
			out = append(out, portRange{first, last})
		}
	}
	return out
}
