//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const prometheusConfig = `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: nodeguard, file_sd_configs: [{files: [/etc/prometheus-e2e/targets.json]}]}]
`

// A real Prometheus on a node scrapes the endpoints of the Service, and its series
// tell what the conditions tell. Debian's is built without discovery in Kubernetes:
// what that would find is asked of the API here.
func TestPrometheus(t *testing.T) {
	install(t)
	scraper, n := cluster.nodes[1], cluster.nodes[0]
	for name, content := range map[string]string{"config.yaml": prometheusConfig, "targets.json": targets(t)} {
		if err := writeFile("/proc/"+scraper.pid()+"/root/etc/prometheus-e2e/"+name, content); err != nil {
			t.Fatal(err)
		}
	}
	prometheus, err := scraper.serve("prometheus", "/usr/bin/prometheus", "--config.file=/etc/prometheus-e2e/config.yaml",
		"--storage.tsdb.path=/var/lib/prometheus-e2e", "--web.listen-address="+scraper.IP+":9090")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := prometheus.Stop(); err != nil {
			t.Error(err)
		}
	}()

	query := func(what string, want float64) {
		t.Helper()
		if err := eventually(patience, func() error { return scraper.answers(what, want) }); err != nil {
			t.Fatal(err)
		}
	}
	nodes := float64(len(cluster.nodes))
	query(`sum(up{job="nodeguard"})`, nodes)
	query(`count(count by (pod) (nodeguard_build_info))`, nodes)
	query(`sum(nodeguard_condition{condition="NodeOutOfSupport",status="False"})`, nodes)
	query(`count(nodeguard_condition{status="True"} == 1) or vector(0)`, 0)
	query(`count(nodeguard_condition{status="Unknown"} == 1) or vector(0)`, 0)
	query(`sum(nodeguard_findings{severity=~"critical|warning"}) or vector(0)`, 0)
	query(`count(nodeguard_source_info{source="bpf-sysctl",mode="event"})`, nodes)

	added := Change{
		What: "a file added, as Prometheus has it", Condition: "KubernetesPathDrift", Words: "/etc/kubernetes/added is new file",
		Command: "echo x > /etc/kubernetes/added", Back: "rm /etc/kubernetes/added",
	}
	r := n.Drift(t, added)
	began := time.Now()
	alarm := fmt.Sprintf(`count(nodeguard_condition{condition="KubernetesPathDrift",status="True",instance=%q} == 1) or vector(0)`, n.IP+":19639")
	query(alarm, 1)
	t.Logf("a query tells it %v after the condition; a scrape is every second", rounded(time.Since(began)))
	query(`count(nodeguard_condition{status="True"} == 1)`, 2) // with the aggregate
	query(`count(nodeguard_finding_info{operation="ack.path.etc-kubernetes",subject="/etc/kubernetes/added",severity="critical",state="active",waived="false"})`, 1)
	n.Restore(t, added, r)
	query(alarm, 0)
	query(`sum(nodeguard_out_of_support_seconds_total{condition="NodeOutOfSupport"}) > bool 0`, 1)

	for _, n := range cluster.nodes {
		metrics, err := n.metrics()
		if err != nil {
			t.Fatal(err)
		}
		lint := exec.Command("/usr/bin/promtool", "check", "metrics")
		lint.Stdin = strings.NewReader(metrics)
		if out, err := lint.CombinedOutput(); err != nil {
			t.Errorf("promtool check metrics: %v\n%s", err, out)
		}
	}
}

// targets are the endpoints of the Service's metrics port, each with its pod and node.
func targets(t testing.TB) string {
	t.Helper()
	var slices struct {
		Items []struct {
			Ports []struct {
				Name string
				Port int
			}
			Endpoints []struct {
				Addresses []string
				NodeName  string
				TargetRef struct{ Name string }
			}
		}
	}
	found := kubectl(t, "-n", "nodeguard", "get", "endpointslices", "-l", "kubernetes.io/service-name=nodeguard", "-o", "json")
	if err := json.Unmarshal([]byte(found), &slices); err != nil {
		t.Fatal(err)
	}
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			for _, p := range slice.Ports {
				if p.Name == "metrics" {
					groups = append(groups, group{[]string{fmt.Sprintf("%s:%d", e.Addresses[0], p.Port)}, map[string]string{"pod": e.TargetRef.Name, "node": e.NodeName}})
				}
			}
		}
	}
	out, err := json.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// answers fails unless the query has this one value.
func (n *Node) answers(query string, want float64) error {
	response, err := http.Get("http://" + n.IP + ":9090/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" || len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != fmt.Sprint(want) {
		return fmt.Errorf("%s: %+v, not %v", query, answer, want)
	}
	return nil
}
