package watch

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

type record struct{ subjects []string }

func (r *record) Hint(h drift.Hint)               { r.subjects = append(r.subjects, h.Subject) }
func (r *record) Mode(string, drift.Mode, string) {}
func (r *record) Failed(string, error)            {}

func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		to := &record{}
		sub := newSubscriber(Subscription{Source: "s", To: to}, &mu)
		hint := func(paths ...string) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range paths {
				sub.hint(p)
			}
		}
		heard := func(want ...string) {
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
		heard("/a", "/b")
		time.Sleep(window)
		heard("/a") // it changed again after it was passed on
		time.Sleep(window)
		hint("/a")
		heard("/a")
		time.Sleep(time.Second)
		heard()
		var many []string
		for i := range 26 {
			many = append(many, fmt.Sprintf("/%02d", i))
		}
		hint(many...)
		heard(many[:burstHints]...)
		time.Sleep(window)
		heard(many[burstHints:]...)
		hint(many...)
		hint("/z")
		time.Sleep(window)
		heard("")
		mu.Lock()
		sub.hint("/a")
		sub.hint("/a")
		sub.close()
		to.subjects = nil
		mu.Unlock()
		time.Sleep(time.Second)
		heard()
	})
}
