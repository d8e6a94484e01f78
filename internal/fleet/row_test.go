package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func weigh(id string) (drift.Severity, bool) {
	switch id {
	case "a.crit":
		return drift.Critical, true
	case "a.warn":
		return drift.Warning, true
	default:
		return drift.Warning, false
	}
}

// written is a condition with a heartbeat of some time ago.
func written(kind string, status drift.Status, reason, message string, heartbeat time.Duration) Condition {
	return Condition{drift.Condition{Type: kind, Status: status, Reason: reason, Message: message, LastTransitionTime: t0.Add(-time.Hour)}, t0.Add(-heartbeat)}
}

func row(conditions ...Condition) Row {
	return Rows([]Node{{Name: "n", Conditions: conditions}}, weigh, t0)[0]
}

func TestSupport(t *testing.T) {
	const fresh, old = 15 * time.Minute, 15*time.Minute + time.Second
	for _, c := range []struct {
		name           string
		conditions     []Condition
		want           Support
		drifted, blind bool
	}{
		{"nothing of ours", nil, None, false, true},
		{"in support", []Condition{written(drift.NodeOutOfSupport, drift.False, "InSupport", "", fresh)}, InSupport, false, false},
		{"out of support", []Condition{written(drift.NodeOutOfSupport, drift.True, "OutOfSupport", "", fresh)}, OutOfSupport, true, false},
		{"unknown", []Condition{written(drift.NodeOutOfSupport, drift.Unknown, "CannotObserve", "", fresh)}, Unknown, false, true},
		{"maintenance", []Condition{written(drift.NodeOutOfSupport, drift.False, "Maintenance", "", fresh)}, Maintenance, false, false},
		{"stale", []Condition{written(drift.NodeOutOfSupport, drift.False, "InSupport", "", old)}, Stale, false, true},
		{"stale maintenance", []Condition{written(drift.NodeOutOfSupport, drift.False, "Maintenance", "", old)}, Stale, false, true},
		{"stale drift is held", []Condition{written(drift.NodeOutOfSupport, drift.True, "OutOfSupport", "", old)}, Stale, true, true},
		{"no aggregate", []Condition{written("KernelParameterDrift", drift.False, "InSupport", "", fresh)}, Unknown, false, true},
		{"garbage", []Condition{written(drift.NodeOutOfSupport, "Maybe", "", "", fresh)}, Unknown, false, true},
	} {
		if r := row(c.conditions...); r.Support != c.want || r.Drifted() != c.drifted || r.Blind() != c.blind {
			t.Errorf("%s: %s, drifted %t, blind %t", c.name, r.Support, r.Drifted(), r.Blind())
		}
	}
	if r := row(written(drift.NodeOutOfSupport, drift.False, "InSupport", "", old)); !r.Since.Equal(t0.Add(-old)) {
		t.Errorf("it is stale since %v, not since it was last heard of", r.Since)
	}
}

func TestCounts(t *testing.T) {
	for message, want := range map[string]string{
		"a is 0 (a.crit); b is 0 (a.warn); c is 0 (a.warn, pending)": "1 2 a is 0 (a.crit)",
		"b is 0 (a.warn, pending); c is 0 (a.warn)":                  "0 2 c is 0 (a.warn)",
		"a is 0 (a.crit, waived); i is 0 (a.warn, info)":             "0 0 i is 0 (a.warn, info)",
		"i is 0 (a.warn, info); cannot tell about x: no":             "0 0 cannot tell about x: no",
		"a is 0 (a.crit) (+2 more)":                                  "~1 ~0 a is 0 (a.crit)",
		"a is 0 (a.crit); b is 0 (a.warn) (+2 more)":                 "1 ~1 a is 0 (a.crit)",
		"a is 0 (a.crit); i is 0 (a.warn, info) (+2 more)":           "1 0 a is 0 (a.crit)",
		"a is 0 (a.crit); cannot tell about x: no (+2 more)":         "1 0 a is 0 (a.crit)",
		"(+1 more)":                            "~0 ~0 ",
		"a is 0 (corp.own)":                    "~0 ~1 a is 0 (corp.own)",
		"all that was looked at is in support": "0 0 ",
	} {
		r := row(written("KernelParameterDrift", drift.True, "", message, 0), written(drift.NodeOutOfSupport, drift.True, "", "x is 0 (a.crit)", 0))
		if got := r.Critical.String() + " " + r.Warning.String() + " " + r.First; got != want {
			t.Errorf("%s\n got %s\nwant %s", message, got, want)
		}
	}
}

func TestOrder(t *testing.T) {
	node := func(name string, status drift.Status, reason, message string) Node {
		return Node{Name: name, Conditions: []Condition{written(drift.NodeOutOfSupport, status, reason, "", 0), written("KernelParameterDrift", status, reason, message, 0)}}
	}
	stale := node("stale", drift.False, "", "")
	stale.Conditions[0].Heartbeat = t0.Add(-time.Hour)
	older := node("z-older", drift.True, "", "a is 0 (a.warn)")
	older.Conditions[0].LastTransitionTime = t0.Add(-2 * time.Hour)
	rows := Rows([]Node{
		node("fine", drift.False, "", ""), {Name: "none"}, node("kept", drift.False, "Maintenance", ""), stale, node("blind", drift.Unknown, "", ""),
		node("one", drift.True, "", "a is 0 (a.warn)"), older, node("two", drift.True, "", "a is 0 (a.warn); b is 0 (a.warn)"),
		node("critical", drift.True, "", "a is 0 (a.crit)"), node("another", drift.True, "", "a is 0 (a.warn)"),
	}, weigh, t0)
	var names []string
	for _, r := range rows {
		names = append(names, r.Node)
	}
	const want = "critical two z-older another one blind stale kept none fine"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the order is %s, want %s", got, want)
	}
}

func TestNeutral(t *testing.T) {
	for in, want := range map[string]string{
		"plain, 名称": "plain, 名称", "a\x1b[31mb": `a\x1b[31mb`, `a\x1bb`: `a\x1bb`, `\\`: `\\`, "\u202e\n\x9b\xff": `\xe2\x80\xae\x0a\x9b\xff`,
	} {
		if got := Neutral(in); got != want {
			t.Errorf("Neutral(%q) = %q, want %q", in, got, want)
		}
	}
}
