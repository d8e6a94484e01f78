package kube

import (
	"context"
	"math/rand/v2"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	heartbeat       = 5 * time.Minute // ± heartbeatJitter
	heartbeatJitter = time.Minute
	// correctEvery keeps two who disagree about a condition from storming the server.
	correctEvery = 10 * time.Second
)

// conditions makes what stands on the Node equal to what the last report wants. It
// compares the two whenever one of them changes, so a lost write, a restart, a new
// Node and somebody else's hand are all the same to it.
type conditions struct {
	*Exporter
	want      []drift.Condition
	published bool
	identity  string // "": the annotation is left as it is
	profile   string
	node      state
	known     map[string]drift.Condition // as last seen on the Node, the removed ones included

	fresh     bool // the report or the Node is new: differences are nobody's fault
	corrected time.Time
	beat      time.Time // when the whole set is due again
	retry     retry
	failing   bool
}

func newConditions(e *Exporter) *conditions {
	return &conditions{Exporter: e, known: map[string]drift.Condition{}}
}

func (c *conditions) run(ctx context.Context) {
	timer := idle()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.reports:
			c.want, c.profile, c.published, c.fresh = r.Conditions, r.Profile, true, true
		case c.identity = <-c.Exporter.identity:
			c.fresh = true
		case s := <-c.states:
			c.stands(s)
		case <-timer.C:
		}
		if !c.published || !c.node.Exists {
			timer.Stop()
			continue
		}
		timer.Reset(time.Until(c.step(ctx)))
	}
}

// stands takes what the watch saw, unless an answer to a patch was newer.
func (c *conditions) stands(s state) {
	c.retry.sees()
	if order, err := resourceversion.CompareResourceVersion(s.version, c.node.version); err == nil && order < 0 {
		return
	}
	c.accept(s)
}

func (c *conditions) accept(s state) {
	if s.Exists && s.UID != c.node.UID {
		c.fresh, c.retry.notBefore = true, time.Time{} // whatever failed, it was another Node
	}
	c.node = s
	for _, condition := range s.Conditions {
		c.known[condition.Type] = condition
	}
}

// step writes what is due and returns when to look again.
func (c *conditions) step(ctx context.Context) time.Time {
	now := time.Now()
	if now.Before(c.retry.notBefore) {
		return c.retry.notBefore
	}
	whole := !now.Before(c.beat)
	patch := c.patch(whole, now)
	if patch.empty() {
		c.behind.Store(false)
		if whole {
			c.beat = nextBeat(now)
		}
		c.fresh = false
		return c.beat
	}
	correction := !c.fresh && !whole
	if again := c.corrected.Add(correctEvery); correction && now.Before(again) {
		return again
	}
	if err := c.write(ctx, patch); err != nil {
		c.behind.Store(!refused(err))
		c.retry.failed(err, c.heard.Load())
		return c.retry.notBefore
	}
	c.behind.Store(false)
	c.retry.wait.reset()
	c.fresh = false
	if correction {
		c.corrected = now
	}
	if whole {
		c.beat = nextBeat(now)
	}
	return time.Now() // what the server made of it may differ again
}

func (c *conditions) write(ctx context.Context, patch statusPatch) error {
	n, err := c.api.patchStatus(ctx, c.config.Node, patch.json())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.counted("write the conditions", &c.failing, err)
	if err == nil {
		c.accept(state{Node: nodeOf(n), version: n.ResourceVersion})
	}
	return err
}

// patch names what differs, or everything.
func (c *conditions) patch(whole bool, now time.Time) statusPatch {
	var p statusPatch
	wanted := map[string]bool{}
	for _, w := range c.want {
		wanted[w.Type] = true
		w = c.carried(w)
		if stands, ok := find(c.node.Conditions, w.Type); whole || !ok || !same(stands, w) {
			p.set(w, now)
		}
	}
	for _, stands := range c.node.Conditions {
		if !wanted[stands.Type] {
			p.remove(stands.Type)
		}
	}
	p.annotate(c.node.Annotations, IdentityDigest, c.identity)
	p.annotate(c.node.Annotations, ProfileName, c.profile)
	return p
}

// carried keeps the transition time that the API has: it moves only with the status.
func (c *conditions) carried(w drift.Condition) drift.Condition {
	w.LastTransitionTime = w.LastTransitionTime.Truncate(time.Second)
	if k, ok := c.known[w.Type]; ok && k.Status == w.Status && !k.LastTransitionTime.IsZero() {
		w.LastTransitionTime = k.LastTransitionTime
	}
	return w
}

func same(a, b drift.Condition) bool {
	return a.Status == b.Status && a.Reason == b.Reason && a.Message == b.Message && a.LastTransitionTime.Equal(b.LastTransitionTime)
}

// nextBeat spreads a fleet that was started at once.
func nextBeat(now time.Time) time.Time {
	return now.Add(heartbeat - heartbeatJitter + rand.N(2*heartbeatJitter)) //nolint:gosec // jitter
}
