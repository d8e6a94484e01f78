//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-jsonnet"

	"github.com/nodeguard/nodeguard/test/pagerduty"
)

const deployedMonitoring = "../../deploy/monitoring/"

// soon are the times of the mixin in seconds instead of minutes.
const soon = `{findingFor: {critical: "3s", warning: "3s"}, keepFiringFor: "1s", operationsInterval: "2s"}`

const monitoringConfig = `
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:9093"]}]}]}
scrape_configs: [{job_name: nodeguard, file_sd_configs: [{files: [targets.json]}]}]
`

// monitoring is what deploy/monitoring has for a Prometheus and an Alertmanager on the
// machine, and the doors to both.
type monitoring struct {
	prometheus, alertmanager *door
	pages                    *pagerduty.Receiver
}

func newMonitoring(t testing.TB) *monitoring {
	t.Helper()
	m := &monitoring{prometheus: newDoor(t), alertmanager: newDoor(t), pages: pagerduty.NewReceiver(t)}
	dir := t.TempDir()
	create := func(name, content string) {
		if err := writeFile(filepath.Join(dir, name), content); err != nil {
			t.Fatal(err)
		}
	}
	create("prometheus.yaml", monitoringConfig)
	create("targets.json", targets(t))
	create("rules.yaml", rules(t))
	create("pagerduty-critical", strings.Repeat("c", 32))
	create("pagerduty-warning", strings.Repeat("w", 32))
	create("nodeguard.tmpl", replaced(t, "alertmanager/nodeguard.tmpl"))
	create("alertmanager.yaml", replaced(t, "alertmanager/alertmanager.yaml",
		"global:", "global:\n  pagerduty_url: "+m.pages.URL+"/v2/enqueue", "/etc/alertmanager/secrets", dir,
		"group_wait: 30s", "group_wait: 1s", "group_interval: 5m", "group_interval: 1s"))

	m.run(t, m.alertmanager, "127.0.0.1:9093", "/usr/bin/prometheus-alertmanager", "--config.file="+dir+"/alertmanager.yaml",
		"--storage.path="+dir+"/alertmanager", "--cluster.listen-address=")
	m.run(t, m.prometheus, "127.0.0.1:9090", "/usr/bin/prometheus", "--config.file="+dir+"/prometheus.yaml", "--storage.tsdb.path="+dir+"/prometheus")
	return m
}

// run starts one until the test ends, and returns when it answers outside, where its
// own links lead as well.
func (m *monitoring) run(t testing.TB, d *door, address string, args ...string) {
	t.Helper()
	p, err := start(filepath.Base(args[0])+"-monitoring", append(args, "--web.listen-address="+address, "--web.external-url="+d.URL)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	d.open(address)
	if err := eventually(componentUp, func() error { _, err := d.get("/-/ready"); return err }); err != nil {
		printLogs("*-monitoring.log")
		t.Fatal(err)
	}
}

// rules are those of deploy/monitoring, with other times.
func rules(t testing.TB) string {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.StringOutput = true
	vm.TLACode("config", soon)
	files, err := vm.EvaluateFileMulti(deployedMonitoring + "render.jsonnet")
	if err != nil {
		t.Fatal(err)
	}
	return files["prometheus/rules.yaml"]
}

// replaced is a file of deploy/monitoring with some of its text changed; what is to be
// changed has to be there.
func replaced(t testing.TB, name string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile(deployedMonitoring + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Fatal(fmt.Errorf("%s has no %q", name, pairs[i]))
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}
