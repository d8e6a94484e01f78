//go:build e2e

package monitoring

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/test/pagerduty"
)

// fast are the thresholds of the mixin in seconds instead of minutes.
const fast = `{
	findingFor: {critical: "6s", warning: "6s"}, keepFiringFor: "1s", pendingFor: "3s", massDriftNodes: 3, massDriftFor: "0s", massDriftKeepFiringFor: "10s",
	downFor: "3s", absentFor: "5s", blindFor: "3s", sourceFor: "3s", outlierFor: "3s", operationsInterval: "5s",
}`

const prometheusConfig = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: nodeguard, static_configs: [%s]}]
`

// agentConfig looks at a tree, where nothing tells of a kernel parameter, as often as it may.
const agentConfig = `
intervals: {resync: 10s}
waivers: [{operation: ack.net.tcp-tw-reuse, subject: "*", reason: load test, owner: platform, expires: 2099-01-01T00:00:00Z}]
`

// fleet is nodes that are directory trees, each with its real agent, and a real
// Prometheus and Alertmanager that tell a receiver.
type fleet struct {
	t            *testing.T
	binary       string
	trees        []string // of n1, n2, …
	agents       []*process
	prometheus   *process
	alertmanager *process
	receiver     *pagerduty.Receiver
}

// healthy is a tree of a node in support.
var healthy = map[string]string{
	"etc/os-release":                       "ID=debian\n",
	"etc/sysctl.d/10-k8s.conf":             "net.ipv4.ip_forward = 1\n",
	"proc/sys/net/ipv4/ip_forward":         "1\n",
	"proc/sys/net/ipv4/conf/all/rp_filter": "0\n",
	"proc/sys/net/ipv4/tcp_tw_reuse":       "2\n",
	"var/lib/kubelet/config.yaml":          "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n",
	"etc/kubernetes/manifests/README":      "none\n",
}

func newFleet(t *testing.T, nodes int) *fleet {
	f := &fleet{t: t, binary: binary(t), receiver: pagerduty.NewReceiver(t)}
	dir := t.TempDir()
	var targets []string
	for i := range nodes {
		name := fmt.Sprintf("n%d", i+1)
		tree := filepath.Join(dir, name)
		for file, text := range healthy {
			create(t, filepath.Join(tree, file), text)
		}
		create(t, filepath.Join(tree, "etc/hostname"), name+"\n")
		f.trees = append(f.trees, tree)
		f.agents = append(f.agents, nil)
		f.startAgent(i, freeAddress(t))
		targets = append(targets, fmt.Sprintf("{targets: [%q], labels: {cluster: c1, pool: a, node: %s}}", f.agents[i].address, name))
	}
	f.startAlertmanager(filepath.Join(dir, "alertmanager"))
	create(t, filepath.Join(dir, "rules.yaml"), render(t, fast)["prometheus/rules.yaml"])
	create(t, filepath.Join(dir, "prometheus.yaml"), fmt.Sprintf(prometheusConfig, f.alertmanager.address, strings.Join(targets, ", ")))
	at := freeAddress(t)
	f.prometheus = start(t, at, "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+at)
	f.prometheus.answers(t, `sum(up{job="nodeguard"})`, fmt.Sprint(nodes))
	f.prometheus.answers(t, `count(nodeguard_condition{condition="NodeOutOfSupport", status="False"} == 1)`, fmt.Sprint(nodes))
	return f
}

func (f *fleet) startAgent(i int, address string) {
	config := filepath.Join(f.t.TempDir(), "config.yaml")
	create(f.t, config, agentConfig)
	f.agents[i] = start(f.t, address, f.binary, "agent", "--standalone", "--root", f.trees[i], "--profile", "ack", "--config", config,
		"--baseline-settle", "0", "--web.listen-address", address)
}

// startAlertmanager runs the committed configuration: only the keys, the address of
// PagerDuty and the times are other ones.
func (f *fleet) startAlertmanager(dir string) {
	for i, name := range []string{"critical", "warning"} {
		create(f.t, filepath.Join(dir, name), strings.Repeat(fmt.Sprint(i+1), 32))
	}
	create(f.t, filepath.Join(dir, "nodeguard.tmpl"), replaced(f.t, deployed+"alertmanager/nodeguard.tmpl"))
	create(f.t, filepath.Join(dir, "alertmanager.yaml"), replaced(f.t, alertmanagerConfig,
		"resolve_timeout: 5m", "resolve_timeout: 5m\n  pagerduty_url: "+f.receiver.URL+"/v2/enqueue",
		"/etc/alertmanager/secrets/pagerduty-", dir+"/", "group_wait: 30s", "group_wait: 1s", "group_interval: 5m", "group_interval: 1s"))
	at := freeAddress(f.t)
	f.alertmanager = start(f.t, at, "prometheus-alertmanager", "--config.file="+filepath.Join(dir, "alertmanager.yaml"), "--storage.path="+dir,
		"--web.listen-address="+at, "--cluster.listen-address=")
	eventually(f.t, "alertmanager", func() error { return get("http://"+at+"/api/v2/status", &struct{}{}) })
}

// set changes a file of a node's tree.
func (f *fleet) set(node int, file, text string) {
	create(f.t, filepath.Join(f.trees[node-1], file), text)
}

// repair puts the file back.
func (f *fleet) repair(node int, file string) { f.set(node, file, healthy[file]) }
