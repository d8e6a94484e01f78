package sysctl

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// flaky is a source whose arming succeeds as often as it is told to.
type flaky struct {
	armed  []time.Duration // since the start
	works  func(attempt int) bool
	begun  time.Time
	breaks chan struct{}
	closed chan struct{}
}

func (f *flaky) arm(drift.Sink) (stream, error) {
	f.armed = append(f.armed, time.Since(f.begun))
	if !f.works(len(f.armed)) {
		return nil, errors.New("no capability")
	}
	f.closed = make(chan struct{})
	return f, nil
}

func (f *flaky) run(drift.Sink) error {
	select {
	case <-f.closed:
	case <-f.breaks:
	}
	return errors.New("it broke")
}

func (f *flaky) Close() error { close(f.closed); return nil }

func newFlaky(works func(attempt int) bool) *flaky {
	return &flaky{works: works, begun: time.Now(), breaks: make(chan struct{})}
}

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, f := newHeard(), newFlaky(func(int) bool { return false })
		stop := (&source{name: "flaky", mode: drift.Event, arm: f.arm}).start(context.Background(), to)
		if m, why := to.mode("flaky"); m != drift.Off || why != "no capability" {
			t.Errorf("%s: %s", m, why)
		}
		time.Sleep(36 * time.Minute)
		stop("")
		var want []time.Duration
		for _, seconds := range []int{0, 30, 90, 210, 450, 930, 1530, 2130} {
			want = append(want, time.Duration(seconds)*time.Second)
		}
		if !slices.Equal(f.armed, want) {
			t.Errorf("tried at %v, want %v", f.armed, want)
		}
	})
}

// A source that comes back says so, hints for what it missed, and takes over from
// its fallback; when it breaks, the fallback serves again.
func TestFallbackServesWhileTheSourceIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := newHeard()
		better, worse := newFlaky(func(n int) bool { return n >= 2 }), newFlaky(func(int) bool { return true })
		s := &source{name: "better", mode: drift.Event, arm: better.arm, fallback: &source{name: "worse", mode: drift.Event, arm: worse.arm}}
		stop := s.start(context.Background(), to)
		expect := func(wantBetter, wantWorse drift.Mode, hints int) {
			t.Helper()
			synctest.Wait()
			b, _ := to.mode("better")
			w, _ := to.mode("worse")
			if got := len(to.now()); b != wantBetter || w != wantWorse || got != hints {
				t.Errorf("better is %s, worse is %s, %d hints", b, w, got)
			}
		}
		expect(drift.Off, drift.Event, 0)
		time.Sleep(firstRetry)
		expect(drift.Event, drift.Off, 1)
		better.breaks <- struct{}{}
		expect(drift.Off, drift.Event, 0)
		if len(to.failed) != 1 {
			t.Errorf("failed: %v", to.failed)
		}
		time.Sleep(firstRetry)
		expect(drift.Event, drift.Off, 1)
		stop("")
		if len(worse.armed) != 2 {
			t.Errorf("the fallback was armed %d times", len(worse.armed))
		}
	})
}

// Of all that stood in, each says who does its work from now on, and what never had
// to stand in is not said to be off.
func TestNothingStandsInForWhatIsBack(t *testing.T) {
	const back = "best does its work"
	for _, c := range []struct {
		name        string
		secondWorks bool
		want        map[string]string // reasons of what is off
	}{
		{"the second stood in", true, map[string]string{"second": back}},
		{"the third stood in", false, map[string]string{"second": back, "third": back}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := newHeard()
				third := &source{name: "third", mode: drift.Event, arm: newFlaky(func(int) bool { return true }).arm}
				second := &source{name: "second", mode: drift.Event, arm: newFlaky(func(int) bool { return c.secondWorks }).arm, fallback: third}
				best := &source{name: "best", mode: drift.Event, arm: newFlaky(func(n int) bool { return n >= 2 }).arm, fallback: second}
				end := best.start(t.Context(), to)
				time.Sleep(firstRetry)
				synctest.Wait()
				got := map[string]string{}
				for name, m := range to.modes {
					if m == drift.Off {
						got[name] = to.why[name]
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				end("")
			})
		})
	}
}

func TestSubjectOf(t *testing.T) {
	for path, want := range map[string]string{
		"net/ipv4/ip_forward":               "net.ipv4.ip_forward",
		"net/ipv4/conf/all/forwarding":      "net.ipv4.ip_forward",
		"net/ipv4/conf/eth0/forwarding":     "net.ipv4.conf.eth0.forwarding",
		"net/ipv4/conf/eth0.100/rp_filter":  "net.ipv4.conf.eth0/100.rp_filter",
		"net/ipv4/conf/ens5/rp_filter":      "net.ipv4.conf.ens5.rp_filter",
		"net/ipv4/conf/all/rp_filter":       "net.ipv4.conf.all.rp_filter",
		"net/ipv4/conf/default/rp_filter":   "",
		"net/ipv4/ip_local_reserved_ports":  "net.ipv4.ip_local_port_range",
		"net/ipv4/ip_local_port_range":      "net.ipv4.ip_local_port_range",
		"net/ipv4/conf/veth1/rp_filter":     "none",
		"net/ipv4/conf/wlan0/forwarding":    "none",
		"net/ipv4/conf/eth0/proxy_arp":      "none",
		"net/ipv6/conf/all/forwarding":      "none",
		"kernel/panic":                      "none",
		"net/ipv4/conf/eth0/rp_filter/more": "none",
	} {
		got, named := subjectOf(ackRules, path)
		if !named {
			got = "none"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestPollsMoreOftenWithoutEvents(t *testing.T) {
	for _, c := range []struct {
		modes map[string]drift.Mode
		want  time.Duration
	}{
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Event}, pollBesideEvents},
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Off, inotifySource: drift.Event, netconfSource: drift.Event}, pollBesideEvents},
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Off, fanotifySource: drift.Event, netconfSource: drift.Event}, pollBesideEvents},
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Off, fanotifySource: drift.Event, netconfSource: drift.Off}, pollAlone},
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Off, inotifySource: drift.Event, netconfSource: drift.Off}, pollAlone},
		{map[string]drift.Mode{heldSource: drift.Poll, bpfSource: drift.Off, inotifySource: drift.Off, netconfSource: drift.Event}, pollAlone},
		{map[string]drift.Mode{heldSource: drift.Off}, pollBesideEvents},
	} {
		check := &Check{}
		for source, m := range c.modes {
			check.modes.set(source, m)
		}
		if got := check.PollEvery(); got != c.want {
			t.Errorf("%v: %s, want %s", c.modes, got, c.want)
		}
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 8, 0, 1, 0, 255, 255, 255, 255})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = parseNetconf(data)
		_, _ = parseWrite(data)
		_, _ = parseFanotify(data)
	})
}
