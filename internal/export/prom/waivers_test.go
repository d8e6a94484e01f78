package prom_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nodeguard/nodeguard/internal/export/prom"
)

const waiverExpiry = "nodeguard_waiver_expiry_timestamp_seconds"

func waiverLines(t *testing.T, waivers ...prom.Waiver) []string {
	t.Helper()
	s := prom.Snapshot{Waivers: waivers}
	if problems, err := testutil.GatherAndLint(registry(t, s)); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	var out []string
	for line := range strings.Lines(exposition(t, s)) {
		if strings.HasPrefix(line, waiverExpiry) {
			out = append(out, strings.TrimSpace(strings.TrimPrefix(line, waiverExpiry)))
		}
	}
	return out
}

// Whatever people write, each waiver that ends is one series.
func TestWaivers(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	got := waiverLines(t,
		prom.Waiver{Operation: "a.b", Subject: "x", Expires: at(10)},
		prom.Waiver{Operation: "a.b", Subject: "x", Expires: at(30)}, // another reason
		prom.Waiver{Operation: "a.b", Subject: "x", Expires: at(20)},
		prom.Waiver{Operation: "a.b", Subject: "x", Owner: "o", Expires: at(5)},
		prom.Waiver{Operation: "a.b", Expires: at(7)}, // of any subject
		prom.Waiver{Operation: "for.ever"},
		prom.Waiver{Operation: "a.b", Subject: "\x1b[2J\xff", Expires: at(8)},
		prom.Waiver{Operation: "a.b", Subject: strings.Repeat("世", 5000) + "1", Expires: at(9)},
		prom.Waiver{Operation: "a.b", Subject: strings.Repeat("世", 5000) + "2", Expires: at(9)},
	)
	want := []string{
		`{operation="a.b",owner="",subject="*"} 7`,
		`{operation="a.b",owner="",subject="\\x1b[2J\\xff"} 8`,
		`{operation="a.b",owner="",subject="x"} 30`,
		`{operation="a.b",owner="",subject="` + strings.Repeat("世", 99) + `…"} 9`,
		`{operation="a.b",owner="o",subject="x"} 5`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestManyWaivers(t *testing.T) {
	var many []prom.Waiver
	for i := range 1000 {
		many = append(many, prom.Waiver{Operation: "a.b", Subject: fmt.Sprint(i), Expires: time.Unix(int64(5000-i), 0)})
	}
	got := strings.Join(waiverLines(t, many...), "\n")
	if n := strings.Count(got, "\n") + 1; n != 200 || !strings.Contains(got, `"999"} 4001`) || strings.Contains(got, `"799"}`) {
		t.Errorf("%d series, or not the first to end: %s", n, got)
	}
}
