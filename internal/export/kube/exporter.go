package kube

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Config of an Exporter.
type Config struct {
	Node     string // name of the own Node
	Language drift.Language
	// OnNode gets the own Node as it is first seen and whenever what Node tells
	// has changed. It is called from one goroutine and must not block; may be nil.
	OnNode func(Node)
	Log    *slog.Logger // nil: slog.Default()
}

// Exporter keeps the conditions of one Node equal to the last report.
type Exporter struct {
	config Config
	api    api

	reports, news   mailbox[drift.Report] // for the conditions and for the events loop
	states, objects mailbox[state]        // the Node as last seen, for the same two

	notices struct {
		mu      sync.Mutex
		waiting []Notice
	}
	hasNotices mailbox[struct{}]
	identity   mailbox[string] // what the identity annotation has to say

	heard  atomic.Bool // a watch is open that has told of the Node, or of its absence
	behind atomic.Bool // conditions wait for a server that did not take them

	first              atomic.Pointer[[]drift.Condition]
	attempts, failures atomic.Uint64
}

// api is what a Client does for the exporter.
type api interface {
	patchStatus(ctx context.Context, node string, body []byte) (*corev1.Node, error)
	create(ctx context.Context, event *eventsv1.Event) error
	watch(ctx context.Context, node string) (watch.Interface, error)
	version(ctx context.Context) (string, error)
}

// state is the Node as the API server had it at some version.
type state struct {
	Node
	version string
}

// Stats counts writes to the API server, of conditions and of events.
type Stats struct{ Attempts, Failures uint64 }

// New returns an exporter that writes nothing before its Run, and then nothing
// before the first Publish.
func New(client *Client, config Config) (*Exporter, error) {
	if config.Node == "" {
		return nil, errors.New("the name of the own Node is missing")
	}
	return newExporter(client, config), nil
}

func newExporter(api api, config Config) *Exporter {
	if config.Log == nil {
		config.Log = slog.Default()
	}
	return &Exporter{
		config: config, api: api,
		reports: newMailbox[drift.Report](), news: newMailbox[drift.Report](),
		states: newMailbox[state](), objects: newMailbox[state](),
		hasNotices: newMailbox[struct{}](), identity: newMailbox[string](),
	}
}

// Publish says what is true from now on. It never blocks, and only the latest counts.
// A condition of nodeguard's that the report does not have is taken off the Node.
func (e *Exporter) Publish(r drift.Report) {
	e.reports.put(r)
	e.news.put(r)
}

// Identify has the Node carry the digest of the machine that it is, from the first
// Publish on.
func (e *Exporter) Identify(digest string) { e.identity.put(digest) }

// Before returns nodeguard's conditions as an earlier run left them, for Judge to
// begin with; not ok while the API server has not answered.
func (e *Exporter) Before() (before []drift.Condition, ok bool) {
	if first := e.first.Load(); first != nil {
		return *first, true
	}
	return nil, false
}

// Stats returns the counters.
func (e *Exporter) Stats() Stats {
	return Stats{Attempts: e.attempts.Load(), Failures: e.failures.Load()}
}

// Run follows the Node and writes, until ctx ends.
func (e *Exporter) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { e.follow(ctx) })
	loops.Go(func() { newConditions(e).run(ctx) })
	loops.Go(func() { newEvents(e).run(ctx) })
	loops.Wait()
}

// counted counts a write, and logs when writing begins to fail and when it works again.
func (e *Exporter) counted(what string, failing *bool, err error) {
	e.attempts.Add(1)
	if err != nil {
		e.failures.Add(1)
	}
	e.said(what, failing, err)
}

func (e *Exporter) said(what string, failing *bool, err error) {
	switch {
	case err != nil && !*failing:
		e.config.Log.Warn("cannot "+what, "node", e.config.Node, "error", err)
	case err == nil && *failing:
		e.config.Log.Info("can "+what+" again", "node", e.config.Node)
	}
	*failing = err != nil
}

// idle is a timer that does not fire until it is reset.
func idle() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
