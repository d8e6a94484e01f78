package identity

import (
	"strings"
	"time"
)

// kubelet is what its command line tells.
type kubelet struct {
	runs    bool
	started time.Time
	nodeIPs []string
}

// readKubelet looks at the process. Where none can be seen there is none.
func (s *scene) readKubelet() {
	found, err := s.root.Processes("kubelet")
	if err != nil || len(found) == 0 {
		return
	}
	s.kubelet = kubelet{runs: true, started: found[0].Started, nodeIPs: nodeIPs(found[0].Args)}
}

// nodeIPs are those of --node-ip, at most one of each family.
func nodeIPs(args []string) []string {
	var ips string
	for i, arg := range args {
		name, value, given := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		switch {
		case name != "-node-ip" && name != "node-ip":
		case given:
			ips = value
		case i+1 < len(args):
			ips = args[i+1]
		}
	}
	return strings.FieldsFunc(ips, func(r rune) bool { return r == ',' })
}
