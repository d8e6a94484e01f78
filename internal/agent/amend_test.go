package agent_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// A waiver that ends raises again at that moment, though nothing hints at anything, and
// both ends of it are told.
func TestWaiverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.set("x", true)
		begin := time.Now()
		var mu sync.Mutex
		var told []string
		var last drift.Report
		say := func(event string, f *drift.FindingReport) {
			if f != nil {
				told = append(told, fmt.Sprintf("%v %s %s", time.Since(begin).Round(time.Minute), event, f.Subject))
			}
		}
		a := agent.New(agent.Config{
			Set: one(h), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Publish: func(r drift.Report) {
				mu.Lock()
				defer mu.Unlock()
				last = r
			},
			Record: func(c agent.Change) {
				mu.Lock()
				defer mu.Unlock()
				say("raised", c.Raised)
				say("cleared", c.Cleared)
				say("waived", c.Waived)
				say("unwaived", c.Unwaived)
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.Run(ctx)
		}()
		defer func() {
			cancel()
			<-ended
		}()
		synctest.Wait()
		time.Sleep(10 * time.Minute)
		set := one(h)
		set.Policy.Waivers = []drift.Waiver{
			{Operation: "op", Reason: "later", Expires: begin.Add(10*time.Hour + 2*time.Minute)},
			{Operation: "op", Reason: "first", Expires: begin.Add(time.Hour + time.Minute)},
			{Operation: "op", Reason: "over", Expires: begin},
		}
		a.Reload(ctx, set)
		time.Sleep(10*time.Hour - 10*time.Minute)
		synctest.Wait()
		status := func() drift.Status {
			mu.Lock()
			defer mu.Unlock()
			return last.Conditions[0].Status
		}
		if s := status(); s != drift.False {
			t.Errorf("before the last waiver ends it is %s", s)
		}
		time.Sleep(2*time.Minute + time.Millisecond)
		synctest.Wait()
		if s := status(); s != drift.True {
			t.Errorf("when it ends it is %s", s)
		}
		want := []string{"0s raised x", "10m0s waived x", "10h2m0s unwaived x"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
	})
}
