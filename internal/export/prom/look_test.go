package prom_test

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/prom"
)

func writtenLook(t *testing.T) []byte {
	t.Helper()
	r := sample().Report
	r.GeneratedAt = time.Unix(1767323045, 0)
	r.Checks = []drift.CheckReport{{Name: "sysctl", DurationSeconds: 0.0004}, {Name: "firewall", DurationSeconds: 120, Error: "hung"}}
	var b bytes.Buffer
	if err := prom.WriteLook(&b, r, sample().Build); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// One look is what the agent says of it, in both text formats.
func TestWriteLook(t *testing.T) {
	got := writtenLook(t)
	golden(t, "testdata/look.prom", string(got))
	if !bytes.HasSuffix(got, []byte("\n# EOF\n")) {
		t.Error("OpenMetrics wants # EOF at the end")
	}
	parser := expfmt.NewTextParser(model.UTF8Validation) // the textfile collector's
	if families, err := parser.TextToMetricFamilies(bytes.NewReader(got)); err != nil || len(families) != 7 {
		t.Errorf("%d families, %v", len(families), err)
	}
	if problems, err := promlint.New(bytes.NewReader(got)).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed; it is in Debian's package prometheus, which hack/test.sh installs")
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = bytes.NewReader(got)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A name means the same here and at the agent, or it is not here.
func TestWriteLookHasTheAgentsNames(t *testing.T) {
	agents := exposition(t, sample())
	for name := range strings.Lines(string(writtenLook(t))) {
		if help, ok := strings.CutPrefix(name, "# HELP "); ok && !strings.Contains(agents, "# HELP "+help) {
			t.Errorf("the agent has no %s", help)
		}
	}
}
