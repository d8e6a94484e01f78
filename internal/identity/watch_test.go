package identity

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

// told keeps what the sources say.
type told struct {
	hints chan drift.Hint
	modes chan string
}

func newTold() *told { return &told{make(chan drift.Hint, 1<<12), make(chan string, 1<<8)} }

func (s *told) Hint(h drift.Hint) { s.hints <- h }

func (s *told) Mode(source string, m drift.Mode, why string) {
	if why != "" {
		why = ": " + why
	}
	s.modes <- source + " " + string(m) + why
}

func (s *told) Failed(string, error) {}

func (s *told) await(t *testing.T, what, source string) drift.Hint {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case h := <-s.hints:
			if h.Source == source {
				return h
			}
		case <-deadline:
			t.Fatalf("no hint: %s", what)
		}
	}
}

// watching lets the check watch until the test ends, and finds what is left behind.
func watching(t *testing.T, c *Check) *told {
	t.Helper()
	before := hosttest.Use(t)
	to, done := newTold(), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- c.Watch(ctx, to) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
		if now, exceeded := before.Exceeded(t); exceeded {
			t.Errorf("left behind: %+v, before %+v", now, before)
		}
	})
	to.await(t, "the first for everything", netlinkSource)
	return to
}

func TestWatchTheNetwork(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	for _, change := range []string{
		"address add 192.0.2.20/24 dev eth0", "address del 192.0.2.20/24 dev eth0", "route replace default via 192.0.2.254 dev eth0", "route del default",
		"link set eth0 mtu 1400", "rule add from 10.0.0.1/32 lookup 1003", "link del eth0",
	} {
		t.Run(change, func(t *testing.T) {
			c := New(open(t, "/"), bound(theNetwork), nil, nil)
			to := watching(t, c)
			if mode := <-to.modes; mode != "rtnetlink event" || c.ResyncEvery() != resync {
				t.Errorf("%s, every %s", mode, c.ResyncEvery())
			}
			ip(t, change)
			to.await(t, change, netlinkSource)
		})
	}
}

// Pods come and go without a look at the node's own network.
func TestPodsDoNotMatter(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	conn, err := listen(eventBuffer)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ip(t, "link add cali1 type veth peer name lxc1", "link set cali1 up", "link set lxc1 up", "route add 10.0.0.7/32 dev cali1", "link del cali1", "link set eth0 mtu 1400")
	for quiet := 0; ; {
		messages, err := conn.Receive()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if !matters(m) {
				quiet++
				continue
			}
			var n network
			if err := n.takeLink(m); err != nil || len(n.links) != 1 || n.links[0].name != "eth0" && n.links[0].name != "gw0" {
				t.Fatalf("message %v matters: %+v %v", m.Header, n.links, err)
			}
			if n.links[0].mtu != 1400 {
				continue // of before
			}
			if quiet < 4 {
				t.Errorf("only %d messages came of the pod", quiet)
			}
			return
		}
	}
}

func TestATreeTellsNothing(t *testing.T) {
	c := New(tree(t), nil, nil, nil)
	to := watching(t, c)
	if mode := <-to.modes; mode != "rtnetlink off: "+errNotLive.Error() || c.ResyncEvery() != resyncAlone {
		t.Errorf("%s, every %s", mode, c.ResyncEvery())
	}
}

func TestTheNodeHints(t *testing.T) {
	nodes := &node.Source{}
	to := watching(t, New(tree(t), nil, nodes, nil))
	nodes.Set(node.Node{UID: "u1"})
	to.await(t, "the Node was seen", nodeSource)
	nodes.Gone()
	to.await(t, "the Node is gone", nodeSource)
	if mode := <-to.modes; mode != "node event" {
		t.Error(mode)
	}
}

func TestWatchedDirectories(t *testing.T) {
	c := New(tree(t), bound(Rule{Agree: []string{"/var/lib/cloud/data/instance-id", "/var/paas/conf/server.conf"}}), nil, nil)
	if diff := cmp.Diff([]string{"/etc", "/var/lib/cloud/data", "/var/paas/conf"}, c.WatchedDirectories()); diff != "" {
		t.Error(diff)
	}
}
