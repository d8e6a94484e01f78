package armed

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What comes while the last hint is fresh is hinted of when it no longer is.
func TestThePauseLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Netlink{Name: "n", Breath: 10 * time.Millisecond}
		events, to := make(chan heard, 1), newTold()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = n.pass(ctx, events, nil, to) }()
		events <- heard{pid: 1}
		synctest.Wait()
		events <- heard{pid: 2}
		synctest.Wait()
		if got := to.hinted(); len(got) != 1 {
			t.Errorf("%d hints at once", len(got))
		}
		time.Sleep(n.Breath)
		synctest.Wait()
		if got := to.hinted(); len(got) != 2 || got[1].PID != 2 {
			t.Errorf("after the pause %+v", got)
		}
	})
}

// An overflow is lost events, and a burst is few hints.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Netlink{Name: "n", Breath: 50 * time.Millisecond}
		events, to := make(chan heard, 1), newTold()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range 100 {
				select {
				case <-events:
				default:
				}
				events <- heard{}
				time.Sleep(time.Millisecond)
			}
			events <- heard{lost: true}
			time.Sleep(time.Second)
			cancel()
		}()
		if err := n.pass(ctx, events, nil, to); err != nil {
			t.Fatal(err)
		}
		if got := to.hinted(); len(got) > 5 || !got[len(got)-1].Lost {
			t.Errorf("hints: %+v", got)
		}
	})
}

func TestABrokenListenerEnds(t *testing.T) {
	failed := make(chan error, 1)
	failed <- errors.New("broken")
	if err := (&Netlink{}).pass(t.Context(), nil, failed, newTold()); err == nil || err.Error() != "broken" {
		t.Error(err)
	}
}

func TestTwoPeople(t *testing.T) {
	for _, c := range []struct{ first, second, want heard }{
		{heard{pid: 1}, heard{pid: 1}, heard{pid: 1}},
		{heard{pid: 1, lost: true}, heard{pid: 2}, heard{lost: true}},
		{heard{pid: 1}, heard{lost: true}, heard{lost: true}},
	} {
		if diff := cmp.Diff(c.want, c.first.and(c.second), cmp.AllowUnexported(heard{})); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPace(t *testing.T) {
	now := time.Now()
	var p Pace
	for i := range 10 * paceMost { // as fast as half of what is too fast
		if rest := p.Rest(now.Add(time.Duration(i) * time.Millisecond)); rest > paceBreath {
			t.Fatalf("told to rest after %d messages, a thousand a second", i)
		}
	}
	now = now.Add(time.Hour)
	for i := range paceFew {
		if p.Rest(now) != 0 {
			t.Fatalf("told to rest after %d messages", i)
		}
	}
	if rest := p.Rest(now); rest != paceBreath {
		t.Errorf("told to rest %v after a few", rest)
	}
	now = now.Add(paceBreath)
	for i := range paceMost - paceFew - 1 { // what came meanwhile is read at once
		if p.Rest(now) != 0 {
			t.Fatalf("told to rest after %d messages that came meanwhile", i)
		}
	}
	if rest := p.Rest(now); rest != paceRest {
		t.Errorf("told to rest %v", rest)
	}
	now = now.Add(paceRest)
	for range paceFew {
		if p.Rest(now) != 0 {
			t.Fatal("told to rest again by what came before")
		}
	}
}
