package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// followed runs a test beside an exporter whose Node is told, with a clock of its own.
// told returns what was told since the last call.
func followed(t *testing.T, prepare func(*fakeAPI), test func(f *fakeAPI, told func() []Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(t)
		prepare(f)
		seen := make(chan Node, 100)
		e := newExporter(f, Config{Node: "n1", Language: drift.English, OnNode: func(n Node) { seen <- n }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		test(f, func() (out []Node) {
			synctest.Wait()
			for len(seen) > 0 {
				out = append(out, <-seen)
			}
			return out
		})
		cancel()
		<-done
	})
}

func servers(nodes []Node) (out []string) {
	for _, n := range nodes {
		out = append(out, n.KubeletVersion+" of "+n.APIServerVersion)
	}
	return out
}

// The server is asked when the watch begins, when the kubelet is another one and every
// few hours; what it told last holds while it does not tell.
func TestServerVersion(t *testing.T) {
	prepare := func(f *fakeAPI) {
		f.release, f.node.Status.NodeInfo.KubeletVersion = "v1.31.2", "v1.31.2"
	}
	followed(t, prepare, func(f *fakeAPI, told func() []Node) {
		tells := func(asked int, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, servers(told())); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if f.asked != asked {
				t.Errorf("asked %d times, want %d", f.asked, asked)
			}
		}
		change := func(do func()) {
			f.mu.Lock()
			defer f.mu.Unlock()
			do()
		}
		tells(1, "v1.31.2 of v1.31.2")
		pass(5 * time.Hour)
		change(f.changed)
		tells(1)

		// The control plane is upgraded behind a watch that lasts, and the kubelet after it:
		// at no moment is the new one told beside the old one's version.
		change(func() {
			f.release, f.node.Status.NodeInfo.KubeletVersion = "v1.32.1", "v1.32.1"
			f.changed()
		})
		tells(2, "v1.32.1 of v1.32.1")

		change(func() { f.release = "v1.33.0" })
		pass(7 * time.Hour)
		tells(3, "v1.32.1 of v1.33.0")

		change(func() { f.release = "" })
		f.stream.Stop() // as a server does that ends a watch
		pass(askSpread)
		tells(4)
		change(func() { f.release = "v1.34.0" })
		pass(askLater)
		tells(5, "v1.32.1 of v1.34.0")

		change(func() { f.release = "v1.35.0" })
		f.stream.Stop()
		pass(askSpread)
		tells(6, "v1.32.1 of v1.35.0")
	})
}

func TestServerThatNeverTells(t *testing.T) {
	followed(t, func(f *fakeAPI) { f.node.Status.NodeInfo.KubeletVersion = "v1.31.2" }, func(f *fakeAPI, told func() []Node) {
		pass(time.Hour)
		if diff := cmp.Diff([]string{"v1.31.2 of "}, servers(told())); diff != "" {
			t.Error(diff)
		}
		if f.asked < 2 || f.asked > 8 {
			t.Errorf("asked %d times in an hour", f.asked)
		}
	})
}

// A watch that is open and silent tells that there is no Node.
func TestMissingNode(t *testing.T) {
	followed(t, func(f *fakeAPI) { f.none = true }, func(f *fakeAPI, told func() []Node) {
		pass(appears / 2)
		if got := told(); got != nil {
			t.Errorf("told at once: %+v", got)
		}
		pass(appears)
		if got := told(); len(got) != 1 || got[0].Exists {
			t.Errorf("told %+v, want once that there is none", got)
		}
		f.mu.Lock()
		f.stream.Add(f.node.DeepCopy())
		f.mu.Unlock()
		if got := told(); len(got) != 1 || !got[0].Exists || got[0].UID != "u1" {
			t.Errorf("it was registered: %+v", got)
		}
		pass(time.Hour)
		if got := told(); got != nil {
			t.Errorf("a Node of which there is no news: %+v", got)
		}
	})
}

// A watch that cannot be opened tells nothing about the Node.
func TestMissingServer(t *testing.T) {
	followed(t, func(f *fakeAPI) { f.down = errors.New("connection refused") }, func(_ *fakeAPI, told func() []Node) {
		pass(time.Hour)
		if got := told(); got != nil {
			t.Errorf("told %+v", got)
		}
	})
}

// Nobody tells of a deletion while no watch is open.
func TestDeletedBetweenWatches(t *testing.T) {
	followed(t, func(*fakeAPI) {}, func(f *fakeAPI, told func() []Node) {
		if got := told(); len(got) != 1 || !got[0].Exists {
			t.Fatalf("told %+v", got)
		}
		f.mu.Lock()
		f.none = true
		f.mu.Unlock()
		f.stream.Stop()
		pass(2 * appears)
		if got := told(); len(got) != 1 || got[0].Exists {
			t.Errorf("told %+v, want that it went", got)
		}
	})
}
