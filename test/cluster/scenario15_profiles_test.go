//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// profileConfig leaves out what is the machine's: its clock, and parameters of its
// kernel that follow from its size.
const profileConfig = `
profile: %s
intervals: {resync: 10s}
waivers:
  - {operation: "*.node-time", subject: clock, reason: the machine's}
  - {operation: "*", subject: fs.*, reason: the machine's}
  - {operation: "*", subject: kernel.*, reason: the machine's}
  - {operation: "*", subject: vm.*, reason: the machine's}
`

// caused is a finding that a node's own set-up truly causes.
type caused struct {
	operation, subject, severity string
	because                      string
	proxier                      string // on nodes with this one alone
}

var causes = []struct {
	profile string
	caused  []caused
}{
	{"ack", []caused{
		{"ack.new.node-time", "time daemon", "warning", "no time daemon runs in the node's namespaces", ""},
		{"ack.upgrade.self-upgrade", "kubelet release", "warning", "the kubelet is upstream's", ""},
	}},
	{"aks", nil},
	{"qke", []caused{
		{"qke.guide.cni-choice", "network plugin[0]", "warning", "the network plugin is bridge", ""},
		{"qke.guide.proxy-mode", "kube-proxy mode", "warning", "kube-proxy's mode is nftables", "nftables"},
		{"qke.scope.cni-list", "network plugin[0]", "warning", "the network plugin is bridge", ""},
	}},
	{"tke", []caused{
		{"tke.worker.self-upgrade", "kubelet release", "critical", "the kubelet is upstream's", ""},
	}},
}

// A healthy node under the profiles of several providers: what is critical or a warning
// there is exactly what its own set-up truly causes.
func TestProfiles(t *testing.T) {
	install(t)
	for _, c := range causes {
		began := time.Now()
		configure(t, fmt.Sprintf(profileConfig, c.profile))
		for _, n := range cluster.nodes {
			n.took(t, c.profile)
		}
		for _, n := range cluster.nodes {
			n.onlyCaused(t, c.caused)
		}
		note(t, "profile "+c.profile+" until it is judged", "none but what is caused", 0, time.Since(began))
		for _, n := range cluster.nodes { // and so it stays
			n.looked(t, func() {}, "sysctl", "paths", "firewall", "components", "identity", "hostconfig") // which every profile has
			n.onlyCaused(t, c.caused)
		}
	}
	apply(t, "enforce")
}

// onlyCaused waits until the node has these findings that count, and no other.
func (n *Node) onlyCaused(t testing.TB, all []caused) {
	t.Helper()
	want := []string{}
	for _, c := range all {
		if c.proxier == "" || c.proxier == n.proxier {
			want = append(want, fmt.Sprintf("%s: %s (%s)", c.operation, c.subject, c.severity))
		}
	}
	slices.Sort(want)
	err := eventually(patience, func() error {
		is, err := n.counting()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, is); diff != "" {
			return fmt.Errorf("findings (-caused +are):\n%s", diff)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", n.Name, err)
	}
}

// configure changes the configuration of every agent.
func configure(t testing.TB, config string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"config.yaml": config}})
	if err != nil {
		t.Fatal(err)
	}
	kubectl(t, "-n", "nodeguard", "patch", "configmap", "nodeguard", "--type=merge", "-p", string(patch))
	// A kubelet looks after a pod that changed at once, and then after its volumes.
	kubectl(t, "-n", "nodeguard", "annotate", "pods", "--all", "--overwrite", fmt.Sprintf("configured=%d", time.Now().UnixNano()))
}

// took waits until the node's agent has taken a configuration with the profile.
func (n *Node) took(t testing.TB, profile string) {
	t.Helper()
	err := eventually(2*patience, func() error {
		logs := kubectl(t, "-n", "nodeguard", "logs", n.agent(t))
		taken := regexp.MustCompile(`"msg":"configuration taken","profile":"([^"]*)"`).FindAllStringSubmatch(logs, -1)
		if len(taken) == 0 || taken[len(taken)-1][1] != profile {
			return fmt.Errorf("%s: %q was taken, not %s", n.Name, taken, profile)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var countingLine = regexp.MustCompile(`(?m)^nodeguard_finding_info\{.*operation="([^"]*)",severity="(critical|warning)",state="[^"]*",subject="([^"]*)",waived="false"\} 1$`)

// counting are the findings that are critical or a warning, as the agent's metrics have them.
func (n *Node) counting() ([]string, error) {
	metrics, err := n.metrics()
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, line := range countingLine.FindAllStringSubmatch(metrics, -1) {
		out = append(out, fmt.Sprintf("%s: %s (%s)", line[1], line[3], line[2]))
	}
	slices.Sort(out)
	return out, nil
}
