package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Notice is an event on the Node that is about no condition.
type Notice struct {
	Reason  string // one CamelCase word
	Action  string
	Warning bool
	Note    string
}

// maxNotices bounds what waits for an API server that is away; the oldest goes first.
const maxNotices = 16

// Tell has the event sent, once, as soon as the API server takes it. It never blocks.
func (e *Exporter) Tell(n Notice) {
	e.notices.mu.Lock()
	e.notices.waiting = append(e.notices.waiting, n)
	if extra := len(e.notices.waiting) - maxNotices; extra > 0 {
		e.notices.waiting = e.notices.waiting[extra:]
	}
	e.notices.mu.Unlock()
	e.hasNotices.put(struct{}{})
}

// oldest is the notice to send next.
func (e *Exporter) oldest() (Notice, bool) {
	e.notices.mu.Lock()
	defer e.notices.mu.Unlock()
	if len(e.notices.waiting) == 0 {
		return Notice{}, false
	}
	return e.notices.waiting[0], true
}

// sent takes the notice off, unless it was pushed out meanwhile.
func (e *Exporter) sent(n Notice) {
	e.notices.mu.Lock()
	defer e.notices.mu.Unlock()
	if len(e.notices.waiting) > 0 && e.notices.waiting[0] == n {
		e.notices.waiting = e.notices.waiting[1:]
	}
}

// sendNotices sends what waits; it tells when to try again if anything is left.
func (e *events) sendNotices(ctx context.Context) (next time.Time, left bool) {
	for {
		n, ok := e.oldest()
		if !ok || ctx.Err() != nil {
			return time.Time{}, false
		}
		if time.Now().Before(e.retry.notBefore) {
			return e.retry.notBefore, true
		}
		event := e.config.noticeEvent(eventName(e.config.Node, time.Now()), e.node.UID, n, time.Now())
		err := e.api.create(ctx, event)
		if ctx.Err() != nil {
			return time.Time{}, false
		}
		e.counted("write events", &e.failing, err)
		if err != nil && !malformed(err) {
			e.retry.failed(err, e.heard.Load())
			continue
		}
		e.retry.wait.reset()
		e.sent(n)
	}
}

func (c Config) noticeEvent(name, uid string, n Notice, now time.Time) *eventsv1.Event {
	out := c.eventOnNode(name, uid, now)
	out.Reason, out.Action, out.Type, out.Note = n.Reason, n.Action, corev1.EventTypeNormal, cut(n.Note, maxNote)
	if n.Warning {
		out.Type = corev1.EventTypeWarning
	}
	return out
}

func (c Config) eventOnNode(name, uid string, now time.Time) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: Reporter,
		ReportingInstance:   cut(c.Node, maxInstance),
		Regarding:           corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: c.Node, UID: types.UID(uid)},
	}
}
