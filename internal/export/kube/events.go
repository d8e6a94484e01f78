package kube

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// eventEvery is how often there may be an event about one condition.
	eventEvery = time.Minute
	// conditionFirst is how long an event waits for its condition to stand on the Node:
	// where a whole fleet has something to say, conditions do not queue behind events.
	conditionFirst = 30 * time.Second
)

// events says what turned since the last event, from its own record of what was said.
type events struct {
	*Exporter
	report    *drift.Report
	node      state
	announced map[string]*told // by condition; nil before the first look

	retry   retry
	failing bool
}

// told is what the world was told about one condition.
type told struct {
	open     bool
	findings map[string]bool // ids
	at       time.Time
	since    time.Time // there is something to tell
	sending  string    // name of the event that may or may not have arrived
}

func newEvents(e *Exporter) *events { return &events{Exporter: e} }

func (e *events) run(ctx context.Context) {
	timer := idle()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-e.news:
			e.report = &r
		case s := <-e.objects:
			e.node = s
			e.retry.sees()
		case <-e.hasNotices:
		case <-timer.C:
		}
		timer.Stop()
		if next, left := e.due(ctx); left {
			timer.Reset(time.Until(next))
		}
	}
}

// due sends notices, and what turned once there is a report, and tells when to look
// again if anything is left to say.
func (e *events) due(ctx context.Context) (next time.Time, left bool) {
	if !e.node.Exists {
		return time.Time{}, false
	}
	next, left = e.sendNotices(ctx)
	if e.report == nil {
		return next, left
	}
	if e.announced == nil {
		e.begin()
	}
	if at, more := e.step(ctx); more && (!left || at.Before(next)) {
		return at, true
	}
	return next, left
}

// begin takes it that what an earlier run left True on the Node was told by it.
func (e *events) begin() {
	e.announced = map[string]*told{}
	before, _ := e.Before()
	for _, c := range e.report.Conditions {
		if b, ok := find(before, c.Type); ok && b.Status == drift.True {
			t := e.about(c.Type)
			t.open = true
			t.tell(open(*e.report, c.Type))
		}
	}
}

func (e *events) about(condition string) *told {
	if e.announced[condition] == nil {
		e.announced[condition] = &told{findings: map[string]bool{}}
	}
	return e.announced[condition]
}

// step sends what is due, and tells when to look again if anything is left to say.
func (e *events) step(ctx context.Context) (next time.Time, left bool) {
	later := func(t time.Time) {
		if !left || t.Before(next) {
			next, left = t, true
		}
	}
	for _, c := range e.report.Conditions {
		t := e.about(c.Type)
		n := t.news(c, open(*e.report, c.Type))
		now := time.Now()
		t.has(n, now)
		switch {
		case n == nil:
		case now.Before(e.retry.notBefore):
			later(e.retry.notBefore)
		case now.Before(t.at.Add(eventEvery)):
			later(t.at.Add(eventEvery))
		case !e.stands(c) && e.behind.Load():
			later(now.Add(conditionFirst)) // or when the Node changes
		case !e.stands(c) && now.Before(t.since.Add(conditionFirst)):
			later(t.since.Add(conditionFirst))
		case !e.send(ctx, *n, t):
			later(e.retry.notBefore)
		}
	}
	e.forget()
	return next, left
}

// stands tells whether the Node says of a condition what the report says.
func (e *events) stands(c drift.Condition) bool {
	on, ok := find(e.node.Conditions, c.Type)
	return ok && on.Status == c.Status && on.Reason == c.Reason && on.Message == c.Message
}

// send returns whether there is no more to do about the news.
func (e *events) send(ctx context.Context, n news, t *told) bool {
	if t.sending == "" {
		t.sending = eventName(e.config.Node, time.Now())
	}
	err := e.api.create(ctx, e.config.event(t.sending, e.node.UID, n, time.Now()))
	if apierrors.IsAlreadyExists(err) {
		err = nil // the answer to an earlier attempt was lost
	}
	if ctx.Err() != nil {
		return true
	}
	e.counted("write events", &e.failing, err)
	if err != nil && !malformed(err) {
		e.retry.failed(err, e.heard.Load())
		return false
	}
	e.retry.wait.reset()
	t.sending, t.at, t.since, t.open = "", time.Now(), time.Time{}, n.condition.Status == drift.True
	t.tell(n.all)
	return true
}

// forget drops what was told about conditions whose check was switched off.
func (e *events) forget() {
	for condition := range e.announced {
		if _, ok := find(e.report.Conditions, condition); !ok {
			delete(e.announced, condition)
		}
	}
}

// news is what there is to tell about a condition.
type news struct {
	condition   drift.Condition
	joined, all []drift.FindingReport
}

// news compares a condition with what was told about it.
func (t *told) news(c drift.Condition, now []drift.FindingReport) *news {
	n := &news{condition: c, all: now}
	still := map[string]bool{}
	for _, f := range now {
		if t.findings[f.ID] {
			still[f.ID] = true
		} else {
			n.joined = append(n.joined, f)
		}
	}
	if c.Status == drift.Unknown {
		return nil
	}
	t.findings = still
	raised := c.Status == drift.True && (!t.open || len(n.joined) > 0)
	cleared := c.Status == drift.False && t.open
	if !raised && !cleared {
		return nil
	}
	return n
}

func (t *told) has(n *news, now time.Time) {
	switch {
	case n == nil:
		t.since = time.Time{}
	case t.since.IsZero():
		t.since = now
	}
}

func (t *told) tell(findings []drift.FindingReport) {
	t.findings = map[string]bool{}
	for _, f := range findings {
		t.findings[f.ID] = true
	}
}

// open are the findings that make a condition True.
func open(r drift.Report, condition string) []drift.FindingReport {
	var out []drift.FindingReport
	for _, f := range r.Findings {
		if f.Condition == condition && f.Counts() && f.State == drift.Active {
			out = append(out, f)
		}
	}
	return out
}
