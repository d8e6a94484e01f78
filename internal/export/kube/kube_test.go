package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

const kernel = "KernelParameterDrift"

// fakeAPI stands for the server where the clock matters; test/apiserver has a real one.
type fakeAPI struct {
	t       *testing.T
	mu      sync.Mutex
	node    *corev1.Node
	stream  *watch.FakeWatcher
	down    error
	meddle  func(*corev1.Node) // somebody else's hand, after each of our patches
	patches []time.Time
	bodies  []string
	events  []*eventsv1.Event
	lost    bool // answers to events get lost

	release string // of the server; "": it does not tell
	asked   int    // for it
	none    bool   // there is no such Node
	watches int    // attempts

	refuses error // patches
}

func newFakeAPI(t *testing.T) *fakeAPI {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u1", ResourceVersion: "1"}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: "HostConfigDrift", Status: "False"}} // of an earlier run
	return &fakeAPI{t: t, node: n}
}

func (f *fakeAPI) watch(context.Context, string) (watch.Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches++
	if f.down != nil {
		return nil, f.down
	}
	f.stream = watch.NewFakeWithChanSize(1000, false)
	if !f.none {
		f.stream.Add(f.node.DeepCopy())
	}
	return f.stream, nil
}

func (f *fakeAPI) version(context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.release == "" {
		return "", errors.New("forbidden")
	}
	return f.release, nil
}

func (f *fakeAPI) patchStatus(_ context.Context, _ string, body []byte) (*corev1.Node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.patches = append(f.patches, time.Now())
	f.bodies = append(f.bodies, string(body))
	if err := cmp.Or(f.refuses, f.down); err != nil {
		return nil, err
	}
	f.merge(body)
	f.changed()
	answer := f.node.DeepCopy()
	if f.meddle != nil {
		f.meddle(f.node)
		f.changed()
	}
	return answer, nil
}

// merge is what the server makes of a strategic-merge patch of conditions.
func (f *fakeAPI) merge(body []byte) {
	var patch struct {
		Status struct{ Conditions []corev1.NodeCondition }
	}
	if err := json.Unmarshal(body, &patch); err != nil {
		f.t.Error(err)
	}
	for _, c := range patch.Status.Conditions {
		f.node.Status.Conditions = slices.DeleteFunc(f.node.Status.Conditions, func(old corev1.NodeCondition) bool { return old.Type == c.Type })
		if c.Status != "" {
			f.node.Status.Conditions = append(f.node.Status.Conditions, c)
		}
	}
}

func (f *fakeAPI) changed() {
	version, _ := strconv.Atoi(f.node.ResourceVersion)
	f.node.ResourceVersion = strconv.Itoa(version + 1)
	if !f.stream.IsStopped() {
		f.stream.Modify(f.node.DeepCopy())
	}
}

func (f *fakeAPI) create(_ context.Context, event *eventsv1.Event) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return f.down
	}
	f.events = append(f.events, event)
	if f.lost {
		f.lost = false
		return errors.New("the answer got lost")
	}
	return nil
}

func (f *fakeAPI) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
	if err != nil {
		f.stream.Stop()
	}
}

func (f *fakeAPI) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = err
}

// told is how many events came.
func (f *fakeAPI) told() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

// exporting runs a test beside an exporter, with a clock of its own.
func exporting(t *testing.T, test func(f *fakeAPI, e *Exporter)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(t)
		e := newExporter(f, Config{Node: "n1", Language: drift.English})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		synctest.Wait()
		test(f, e)
		cancel()
		<-done
	})
}

// pass lets time pass, and all that it sets off be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func is(status drift.Status, findings ...string) drift.Report {
	r := drift.Report{Conditions: []drift.Condition{{
		Type: kernel, Status: status, Reason: "R", Message: string(status) + strings.Join(findings, ","), LastTransitionTime: time.Now(),
	}}}
	for _, f := range findings {
		r.Findings = append(r.Findings, drift.FindingReport{
			ID: f, Condition: kernel, Subject: f, Severity: drift.Critical, State: drift.Active,
			Recovery: drift.RecoveryReport{Text: "Undo " + f + "."},
		})
	}
	return r
}

func TestNothingBeforeTheFirstReport(t *testing.T) {
	exporting(t, func(f *fakeAPI, _ *Exporter) {
		pass(time.Hour)
		if len(f.patches)+len(f.events) > 0 {
			t.Errorf("%d patches, %d events", len(f.patches), len(f.events))
		}
	})
}

func TestHeartbeat(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		e.Publish(is(drift.False))
		const hours = 10
		pass(hours * time.Hour)
		for i := range f.patches[1:] {
			if gap := f.patches[i+1].Sub(f.patches[i]); gap < 4*time.Minute || gap > 6*time.Minute {
				t.Fatalf("heartbeat after %v", gap)
			}
		}
		if n := len(f.patches); n < hours*10 || n > hours*15 {
			t.Errorf("%d patches in %d hours", n, hours)
		}
		if got := f.node.Status.Conditions[0]; time.Since(got.LastHeartbeatTime.Time) > 6*time.Minute {
			t.Errorf("the last heartbeat is %v old", time.Since(got.LastHeartbeatTime.Time))
		}
	})
}

func TestOnlyWhatChangedIsPatched(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		r := is(drift.False)
		r.Conditions = append(r.Conditions, drift.Condition{Type: drift.NodeOutOfSupport, Status: drift.False, Reason: "R", Message: "m"})
		e.Publish(r)
		synctest.Wait()
		r.Conditions = []drift.Condition{r.Conditions[0], r.Conditions[1]}
		r.Conditions[0].Message = "another"
		e.Publish(r)
		synctest.Wait()
		if n := len(f.bodies); n != 2 {
			t.Fatalf("%d patches", n)
		}
		if strings.Contains(f.bodies[1], drift.NodeOutOfSupport) {
			t.Errorf("a condition that did not change is in %s", f.bodies[1])
		}
	})
}

func TestServerAwayForAnHour(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		e.Publish(is(drift.False))
		synctest.Wait()
		f.fail(errors.New("connection refused"))
		for range 3600 {
			e.Publish(is(drift.True, "ip_forward"))
			pass(time.Second)
		}
		if f.watches < 1000 || f.watches > 2500 {
			t.Errorf("%d attempts in an hour to follow the Node", f.watches)
		}
		if n := len(f.patches); n > 150 {
			t.Errorf("%d patches in an hour: it is the watch that finds the server again", n)
		}
		f.fail(nil)
		pass(5 * time.Second)
		if got := f.node.Status.Conditions[0].Status; got != "True" {
			t.Errorf("5 s after the return the condition is %s", got)
		}
		if len(f.events) != 1 || f.events[0].Reason != kernel+"Detected" {
			t.Errorf("events: %v", f.events)
		}
	})
}

// A server with too much to do gets the conditions of a fleet first, and events after them.
func TestConditionsGoFirst(t *testing.T) {
	gone := errors.New("it was not a status")
	for name, test := range map[string]struct {
		refusal error
		waits   bool // for as long as the conditions do
	}{
		"busy":      {apierrors.NewTooManyRequests("later", 3), true},
		"forbidden": {apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "n1", gone), false},
	} {
		t.Run(name, func(t *testing.T) {
			exporting(t, func(f *fakeAPI, e *Exporter) {
				e.Publish(is(drift.False))
				pass(time.Second)
				f.refuse(test.refusal)
				e.Publish(is(drift.True, "ip_forward"))
				pass(conditionFirst - time.Second)
				if n := f.told(); n > 0 {
					t.Errorf("%d events before their condition", n)
				}
				pass(conditionFirst)
				if got := f.told() == 0; got != test.waits {
					t.Errorf("after %v the event waits: %v, want %v", 2*conditionFirst, got, test.waits)
				}
				f.refuse(nil)
				pass(refusedRetry)
				if n := f.told(); n != 1 || f.node.Status.Conditions[0].Status != "True" {
					t.Errorf("%d events, conditions %+v", n, f.node.Status.Conditions)
				}
			})
		})
	}
}

// A fleet that is told all at once to come back later does not come back all at once.
func TestAskedForIsSpread(t *testing.T) {
	const asked = 4 * time.Second
	var least, most time.Duration
	for range 1000 {
		var b backoff
		wait := b.after(apierrors.NewTooManyRequests("later", int(asked.Seconds())))
		if least == 0 || wait < least {
			least = wait
		}
		most = max(most, wait)
	}
	if least < asked || least > asked+asked/10 || most > 2*asked || most < 2*asked-asked/10 {
		t.Errorf("waits from %v to %v", least, most)
	}
	if wait := new(backoff).after(apierrors.NewTooManyRequests("much later", 3600)); wait > 2*maxAskedFor {
		t.Errorf("waits %v", wait)
	}
}

func TestTwoWhoDisagree(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		f.meddle = func(n *corev1.Node) { n.Status.Conditions = nil }
		e.Publish(is(drift.False))
		pass(time.Minute)
		if n := len(f.patches); n < 3 || n > 8 {
			t.Errorf("%d patches in a minute against somebody who takes the condition away at once", n)
		}
	})
}

func TestEventsOnceAMinute(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		said := func(want ...string) {
			t.Helper()
			synctest.Wait()
			f.mu.Lock()
			defer f.mu.Unlock()
			var got []string
			for _, event := range f.events {
				got = append(got, strings.TrimPrefix(event.Reason, kernel)+": "+event.Note)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("events\n got %q\nwant %q", got, want)
			}
			f.events = nil
		}
		e.Publish(is(drift.False))
		said()
		e.Publish(is(drift.True, "a"))
		said("Detected: a is  (). Recovery: Undo a.")
		e.Publish(is(drift.True, "a", "b"))
		synctest.Wait()
		e.Publish(is(drift.True, "a", "b", "c"))
		said() // not yet
		pass(time.Minute)
		said("Detected: b is  (). Recovery: Undo b.; c is  (). Recovery: Undo c.")
		pass(time.Hour)
		said()
		e.Publish(is(drift.Unknown))
		e.Publish(is(drift.True, "a", "b"))
		said() // nothing joined
		for range 30 {
			e.Publish(is(drift.False))
			synctest.Wait()
			e.Publish(is(drift.True, "a"))
			pass(time.Second)
		}
		said("Resolved: False") // and no more: a minute has not passed
		pass(2 * time.Minute)
		said("Detected: a is  (). Recovery: Undo a.")
		e.Publish(is(drift.False))
		said("Resolved: False")
	})
}

func TestEventSentOnceThoughItsAnswerGotLost(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		e.Publish(is(drift.False))
		synctest.Wait()
		f.lost = true
		e.Publish(is(drift.True, "a"))
		pass(10 * time.Second)
		if len(f.events) != 2 || f.events[0].Name != f.events[1].Name {
			t.Errorf("want one event tried twice by the same name: %v", f.events)
		}
	})
}

func TestNoteFits(t *testing.T) {
	c := Config{Node: strings.Repeat("节点", 100), Language: drift.Chinese}
	r := is(drift.True, strings.Repeat("参数", 300), "b")
	n := news{condition: r.Conditions[0], joined: r.Findings, all: r.Findings}
	event := c.event("name", "uid", n, time.Now())
	if len(event.Note) > 1024 || !utf8.ValidString(event.Note) || !strings.Contains(event.Note, "恢复：Undo") {
		t.Errorf("%d bytes: %s", len(event.Note), event.Note)
	}
	if len(event.ReportingInstance) > 128 || !utf8.ValidString(event.ReportingInstance) {
		t.Errorf("the instance has %d bytes", len(event.ReportingInstance))
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"节点节点", 12, "节点节点"},
		{"节点节点", 11, "节点…"},
		{"节点节点", 3, "…"},
	} {
		if got := cut(test.in, test.limit); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func TestEventNamesFit(t *testing.T) {
	if name := eventName(strings.Repeat("a.", 126), time.Unix(0, 1)); len(name) > 253 || strings.Contains(name, "..") {
		t.Errorf("%q", name)
	}
}

// An event of the watch may be older than the answer to the last patch.
func TestOldNewsOfTheNode(t *testing.T) {
	c := newConditions(newExporter(newFakeAPI(t), Config{Node: "n1"}))
	at := func(version, message string) state {
		return state{version: version, Node: Node{Exists: true, Node: node.Node{UID: "u1"}, Conditions: []drift.Condition{{Type: kernel, Message: message}}}}
	}
	c.accept(at("10", "answered"))
	c.stands(at("9", "seen late"))
	if got := c.node.Conditions[0].Message; got != "answered" {
		t.Errorf("the Node stands as %q", got)
	}
	c.stands(at("100", "seen after"))
	if got := c.node.Conditions[0].Message; got != "seen after" {
		t.Errorf("the Node stands as %q", got)
	}
}
