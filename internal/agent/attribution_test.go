package agent_test

import (
	"context"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// people know every pid.
type people struct {
	mu    sync.Mutex
	seen  []int
	asked int
}

func (p *people) Seen(pid int, _ time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, pid)
}

func (p *people) Actor(pid int, at time.Time) *drift.Actor {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return &drift.Actor{PID: pid, At: at}
}

func (b *bench) actor(subject string) int {
	for _, f := range b.Snapshot().Report.Findings {
		if f.Subject == subject && f.Actor != nil {
			return f.Actor.PID
		}
	}
	return 0
}

func TestWhoIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		hints []drift.Hint
		want  int
	}{
		"nobody was seen":                           {hints: []drift.Hint{{Subject: "/etc/x"}}},
		"who touched it":                            {hints: []drift.Hint{{Subject: "/etc/x", PID: 7}}, want: 7},
		"who touched it last":                       {hints: []drift.Hint{{Subject: "/etc/x", PID: 7}, {Subject: "/etc/x", PID: 8}}, want: 8},
		"not who touched something else":            {hints: []drift.Hint{{Subject: "/etc/y", PID: 7}, {Subject: "/etc/x"}}},
		"not who touched something of a like name":  {hints: []drift.Hint{{Subject: "/etc/xx", PID: 7}, {Subject: "/etc/x"}}},
		"the area, and one process only":            {hints: []drift.Hint{{Subject: "/etc", PID: 7}}, want: 7},
		"the area, and one of two processes":        {hints: []drift.Hint{{Subject: "/etc", PID: 7}, {Subject: "/etc", PID: 8}}},
		"what is in it":                             {hints: []drift.Hint{{Subject: "/etc/x/f", PID: 7}}, want: 7},
		"exactly it before the area":                {hints: []drift.Hint{{Subject: "/etc/x", PID: 7}, {Subject: "/etc", PID: 8}, {PID: 9}}, want: 7},
		"no subject, and one process only":          {hints: []drift.Hint{{PID: 7}}, want: 7},
		"no subject, and one of two processes":      {hints: []drift.Hint{{PID: 7}, {PID: 8}}},
		"not who touched a file of something else":  {hints: []drift.Hint{{Path: "/etc/other", PID: 7}}},
		"the agent itself is nobody":                {hints: []drift.Hint{{Subject: "/etc/x", PID: os.Getpid()}}},
		"an event without a process changes nobody": {hints: []drift.Hint{{Subject: "/etc/x", PID: 7}, {Subject: "/etc/x"}}, want: 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, who := newHost(), &people{}
				b := start(t, agent.Config{Set: one(h), Who: who})
				defer b.stop()
				synctest.Wait()
				h.set("/etc/x", true)
				for _, hint := range c.hints {
					h.source().Hint(hint)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := b.actor("/etc/x"); got != c.want {
					t.Errorf("it was %d, want %d", got, c.want)
				}
			})
		})
	}
}

// Who did it is told from the raise on, kept over further looks, and looked up once.
func TestActorIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, who := newHost(), &people{}
		b := start(t, agent.Config{Set: one(h), Who: who})
		defer b.stop()
		synctest.Wait()
		h.set("x", true)
		h.source().Hint(drift.Hint{Subject: "x", PID: 7})
		time.Sleep(time.Minute)
		h.source().Hint(drift.Hint{Subject: "x", PID: 8})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.actor("x"); got != 7 || who.asked != 1 || len(who.seen) != 2 {
			t.Errorf("it was %d, asked %d times, %v were seen", got, who.asked, who.seen)
		}
	})
}

// The event that says who may come after the look that saw it.
func TestActorComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, who := newHost(), &people{}
		b := start(t, agent.Config{Set: one(h), Who: who})
		defer b.stop()
		synctest.Wait()
		h.set("x", true)
		h.source().Hint(drift.Hint{Subject: "x"})
		time.Sleep(time.Second)
		h.source().Hint(drift.Hint{Subject: "x", PID: 8})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.actor("x"); got != 8 {
			t.Errorf("it was %d", got)
		}
	})
}

// Somebody who was there long before is not blamed.
func TestOldTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, who := newHost(), &people{}
		b := start(t, agent.Config{Set: one(h), Who: who})
		defer b.stop()
		synctest.Wait()
		h.source().Hint(drift.Hint{Subject: "x", PID: 7})
		time.Sleep(time.Minute)
		h.set("x", true)
		h.source().Hint(drift.Hint{Subject: "x"})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.actor("x"); got != 0 {
			t.Errorf("it was %d", got)
		}
	})
}

// fromFile is a check whose finding was read from a file.
type fromFile struct{ check }

func (c fromFile) Observe(ctx context.Context, only []string) drift.Observation {
	o := c.check.Observe(ctx, only)
	for i := range o.Findings {
		o.Findings[i].Args = map[string]string{"file": "/etc/file"}
	}
	return o
}

// A finding that was read from a file is the work of who changed the file.
func TestWhoChangedTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, who := newHost(), &people{}
		b := start(t, agent.Config{Set: agent.Set{Policy: policy("a"), Checks: []agent.Built{{Check: fromFile{check{"a", h}}, Key: "1"}}}, Who: who})
		defer b.stop()
		synctest.Wait()
		h.set("maxPods", true)
		h.source().Hint(drift.Hint{Path: "/etc/other", PID: 6})
		h.source().Hint(drift.Hint{Path: "/etc/file", PID: 7})
		h.source().Hint(drift.Hint{Path: "/etc/more", PID: 8})
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.actor("maxPods"); got != 7 {
			t.Errorf("it was %d", got)
		}
	})
}
