package monitoring

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const alertmanagerConfig = deployed + "alertmanager/alertmanager.yaml"

func TestAlertmanagerConfigIsValid(t *testing.T) {
	judge(t, "amtool", "check-config", alertmanagerConfig)
}

// Who is told, by severity.
func TestRoutes(t *testing.T) {
	for _, name := range alerts(t) {
		for severity, receiver := range map[string]string{"critical": "nodeguard-critical", "warning": "nodeguard-warning", "info": "nobody"} {
			judge(t, "amtool", "config", "routes", "test", "--config.file", alertmanagerConfig, "--verify.receivers", receiver, "alertname="+name, "severity="+severity)
		}
	}
	judge(t, "amtool", "config", "routes", "test", "--config.file", alertmanagerConfig, "--verify.receivers", "nobody", "alertname=Else", "severity=critical")
}

// Names in inhibitions are those of alerts, and a list of conditions is all of them.
func TestInhibitionsNameAlerts(t *testing.T) {
	var config struct {
		InhibitRules []struct {
			SourceMatchers []string `json:"source_matchers"`
			TargetMatchers []string `json:"target_matchers"`
		} `json:"inhibit_rules"`
	}
	decode(t, alertmanagerConfig, &config)
	conditions := slices.Clone(catalogued(t).Conditions)
	slices.Sort(conditions)
	lists := 0
	for _, r := range config.InhibitRules {
		for _, m := range slices.Concat(r.SourceMatchers, r.TargetMatchers) {
			named := regexp.MustCompile(`^alertname=~?"NodeGuard\(?(\w+(?:\|\w+)*)\)?"$`).FindStringSubmatch(m)
			if named == nil {
				continue
			}
			names := strings.Split(named[1], "|")
			if slices.Contains(names, conditions[0]) {
				lists++
				slices.Sort(names)
				if diff := cmp.Diff(conditions, names); diff != "" {
					t.Errorf("conditions (-code +inhibition):\n%s", diff)
				}
			}
			for _, name := range names {
				if !slices.Contains(alerts(t), "NodeGuard"+name) {
					t.Errorf("%s names NodeGuard%s, which is no alert", m, name)
				}
			}
		}
	}
	if lists != 2 {
		t.Errorf("%d inhibitions list the conditions", lists)
	}
}
