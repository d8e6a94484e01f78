package watch

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

type heard struct {
	subjects []string
	hints    []drift.Hint
}

func (r *heard) Hint(h drift.Hint) {
	r.subjects, r.hints = append(r.subjects, h.Subject), append(r.hints, h)
}
func (r *heard) Mode(string, drift.Mode, string) {}
func (r *heard) Failed(string, error)            {}

func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		to := &heard{}
		sub := newSubscriber(Subscription{Source: "s", To: to}, &mu)
		hint := func(paths ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range paths {
				sub.hint(p, 0)
			}
		}
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(to.subjects, want) {
				t.Errorf("heard %q, want %q", to.subjects, want)
			}
			to.subjects = nil
		}
		hint("/a", "/b", "/a", "/a")
		expect("/a", "/b")
		time.Sleep(window)
		expect("/a") // it changed again after it was passed on
		time.Sleep(window)
		hint("/a")
		expect("/a")
		time.Sleep(time.Second)
		expect()
		var many []string
		for i := range 26 {
			many = append(many, fmt.Sprintf("/%02d", i))
		}
		hint(many...)
		expect(many[:burstHints]...)
		time.Sleep(window)
		expect(many[burstHints:]...)
		hint(many...)
		hint("/z")
		time.Sleep(window)
		expect("")
		mu.Lock()
		sub.hint("/a", 0)
		sub.hint("/a", 0)
		sub.close()
		to.subjects = nil
		mu.Unlock()
		time.Sleep(time.Second)
		expect()
	})
}

// Who changed something is the last one who is known.
func TestBurstKeepsWhoDidIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		to := &heard{}
		sub := newSubscriber(Subscription{Source: "s", To: to}, &mu)
		mu.Lock()
		start := time.Now()
		for _, h := range []struct {
			path string
			pid  int
		}{{"/open", 1}, {"/a", 2}, {"/a", 3}, {"/a", 4}, {"/a", 0}, {"/b", 0}, {"/open", 0}, {"", 0}, {"", 5}} {
			sub.hint(h.path, h.pid)
		}
		mu.Unlock()
		time.Sleep(window)
		synctest.Wait()
		want := []drift.Hint{
			{Source: "s", Subject: "/open", PID: 1, At: start},
			{Source: "s", Subject: "/a", PID: 2, At: start},
			{Source: "s", PID: 5, At: start, Armed: true},
			{Source: "s", Subject: "/a", PID: 4, At: start},
			{Source: "s", Subject: "/b", At: start},
			{Source: "s", Subject: "/open", At: start},
		}
		for i := range want {
			want[i].Path = want[i].Subject
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(want, to.hints); diff != "" {
			t.Error(diff)
		}
		to.hints = nil
		for i := range 2 * (burstHints + burstPaths) {
			sub.hint(fmt.Sprintf("/%02d", i), 7)
		}
		mu.Unlock()
		time.Sleep(window)
		synctest.Wait()
		mu.Lock()
		if last := to.hints[len(to.hints)-1]; last.Subject != "" || last.PID != 0 {
			t.Errorf("of all that changed, one has done: %+v", last)
		}
		sub.close()
	})
}
