//go:build e2e

package cluster

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// patience is more than the minute for which a condition that turned to and fro is held.
const patience = 100 * time.Second

// Change is one that drifts, and what is said of it.
type Change struct {
	What      string
	Do, Undo  func(t testing.TB, n *Node) // nil: Command
	Command   string
	Back      string
	Condition string
	Words     string // of the condition's message, from the subject on: "net.ipv4.ip_forward is 0"
}

// subject is what the finding is about.
func (c Change) subject() string {
	subject, _, _ := strings.Cut(c.Words, " is ")
	return subject
}

// Drift makes the change and waits until it is at the API, on this node's
// condition, in the metrics of its agent, and nowhere else.
func (n *Node) Drift(t testing.TB, c Change) *row {
	t.Helper()
	mark := cluster.seen.Mark()
	began := time.Now()
	c.make(t, n, c.Do, c.Command)
	turn := n.sees(t, mark, c.What, c.Condition, corev1.ConditionTrue, c.Words)
	took := turn.At.Sub(began)
	t.Logf("%s: detected after %v: %s", c.What, rounded(took), turn.Message)
	n.metric(t, fmt.Sprintf(`nodeguard_condition{condition=%q,status="True"} 1`, c.Condition))
	n.finding(t, c, 1)
	return note(t, n.Name+": "+c.What, c.Condition, took, 0)
}

// Restore undoes it, and waits until the condition says nothing more of it.
func (n *Node) Restore(t testing.TB, c Change, r *row) {
	t.Helper()
	began, mark := time.Now(), cluster.seen.Mark()
	c.make(t, n, c.Undo, c.Back)
	var at time.Time
	err := cluster.seen.Await(patience, n.Name+": "+c.What+" undone", func() bool {
		i := slices.IndexFunc(cluster.seen.turns[mark:], func(turn Turn) bool {
			return turn.Node == n.Name && string(turn.Type) == c.Condition && turn.Status != corev1.ConditionUnknown && !strings.Contains(turn.Message, c.Words)
		})
		if i >= 0 {
			at = cluster.seen.turns[mark+i].At
		}
		return i >= 0
	})
	if err != nil {
		t.Fatal(err)
	}
	r.cleared = at.Sub(began)
	n.finding(t, c, 0)
}

// finding waits until the agent's metrics have so many findings about the change's subject.
func (n *Node) finding(t testing.TB, c Change, want int) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^nodeguard_finding_info\{condition="` + c.Condition + `",.*,state="active",subject="` + regexp.QuoteMeta(c.subject()) + `",waived="false"\} 1$`)
	err := eventually(patience, func() error {
		metrics, err := n.metrics()
		if err != nil {
			return err
		}
		if found := line.FindAllString(metrics, -1); len(found) != want {
			return fmt.Errorf("%d findings about %s, want %d: %q", len(found), c.subject(), want, found)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s, %s: %v", n.Name, c.What, err)
	}
}

func (c Change) make(t testing.TB, n *Node, do func(testing.TB, *Node), command string) {
	t.Helper()
	if do == nil {
		n.Run(t, command)
		return
	}
	do(t, n)
}

// Drifts makes the changes one after the other. Each is undone after the next was
// made, so that the condition turns once each way: one that flaps is held.
func (n *Node) Drifts(t *testing.T, changes ...Change) {
	t.Helper()
	var before *row
	for i, c := range changes {
		r := n.Drift(t, c)
		if i == 0 {
			n.event(t, c.Condition+"Detected", c.Words)
		} else {
			n.Restore(t, changes[i-1], before)
		}
		before = r
	}
	last := changes[len(changes)-1]
	n.Restore(t, last, before)
	n.clear(t, last.Condition)
	resolved = append(resolved, event{n.Name, last.Condition + "Resolved", time.Now()})
}

// sees waits until a condition has turned since a mark.
func (n *Node) sees(t testing.TB, mark int, what, kind string, status corev1.ConditionStatus, words string) Turn {
	t.Helper()
	var seen Turn
	err := cluster.seen.Await(patience, fmt.Sprintf("%s, %s: %s %s with %q", n.Name, what, kind, status, words), func() bool {
		i := slices.IndexFunc(cluster.seen.turns[mark:], func(turn Turn) bool {
			return turn.Node == n.Name && string(turn.Type) == kind && turn.Status == status && strings.Contains(turn.Message, words)
		})
		if i < 0 {
			return false
		}
		seen = cluster.seen.turns[mark+i]
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// clear waits until the condition is False, and no metric says otherwise.
func (n *Node) clear(t testing.TB, kind string) {
	t.Helper()
	err := cluster.seen.Await(patience, n.Name+": "+kind+" False", func() bool {
		c := find(cluster.seen.nodes[n.Name], kind)
		return c != nil && c.Status == corev1.ConditionFalse
	})
	if err != nil {
		t.Fatal(err)
	}
	n.metric(t, fmt.Sprintf(`nodeguard_condition{condition=%q,status="False"} 1`, kind))
}

// only fails for what flipped since a mark, but for conditions of a node.
func only(t testing.TB, mark int, n *Node, kinds ...string) {
	t.Helper()
	for _, turn := range cluster.seen.Flips(mark) {
		if n == nil || turn.Node != n.Name || !slices.Contains(kinds, string(turn.Type)) || turn.Status == corev1.ConditionUnknown {
			t.Errorf("flipped as well: %v", turn)
		}
	}
}

// metric waits until the node's agent serves a line.
func (n *Node) metric(t testing.TB, line string) {
	t.Helper()
	var last string
	err := eventually(patience, func() (err error) {
		if last, err = n.metrics(); err != nil {
			return err
		}
		if !strings.Contains(last, line) {
			return fmt.Errorf("no %s", line)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", n.Name, err)
	}
}

func (n *Node) metrics() (string, error) {
	web := http.Client{Timeout: 5 * time.Second}
	response, err := web.Get("http://" + n.IP + ":19639/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// event waits for one about the node.
func (n *Node) event(t testing.TB, reason, words string) {
	t.Helper()
	err := cluster.seen.Await(patience, fmt.Sprintf("%s: event %s with %q", n.Name, reason, words), func() bool {
		return cluster.seen.hasEvent(n.Name, reason, words, time.Time{})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// resolved are events that may be a minute late: there is one a minute about a condition.
var resolved []event

type event struct {
	node, reason string
	since        time.Time
}
