package apiserver_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// converges is how soon after a server's return the latest report has to stand.
const converges = 5 * time.Second

func TestServerAway(t *testing.T) {
	name := node(t)
	e := export(t, name, server.Config(apiserver.AgentToken))
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))

	server.Pause()
	for i := range 1000 {
		e.Publish(report(raised(kernel, fmt.Sprintf("report %d", i))))
	}
	e.Publish(report(raised(kernel, "the latest")))
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, converges, name, "the latest report", is(kernel, "True", "the latest"))
	if s := e.Stats(); s.Failures == 0 || s.Failures > s.Attempts || s.Attempts > 100 {
		t.Errorf("stats are %+v: failures are counted, and a server that is away is not stormed", s)
	}
}

func TestServerAwayAtStart(t *testing.T) {
	name := node(t)
	server.Pause()
	e := export(t, name, server.Config(apiserver.AgentToken))
	e.Publish(report(raised(kernel, "found at start")))
	if _, ok := e.Before(); ok {
		t.Error("the exporter tells what an earlier run left, without having asked")
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitWithin(t, converges, name, "the report", is(kernel, "True", "found at start"))
}

func TestConnectionsCut(t *testing.T) {
	name := node(t)
	wire, err := server.NewWire()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	e := export(t, name, server.ConfigAt(wire.Address, apiserver.AgentToken))
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))

	wire.Cut()
	e.Publish(report(raised(kernel, "while cut")))
	for e.Stats().Failures < 3 {
		time.Sleep(10 * time.Millisecond) // nothing tells of an attempt that reaches nobody
	}
	patch(t, name, `{"metadata":{"annotations":{"nodeguard.io/accept-baseline":"sha256:while-cut"}}}`)
	wire.Mend()
	awaitWithin(t, converges, name, "the report", is(kernel, "True", "while cut"))
	for n := range e.seen { // what happened to the Node meanwhile is not lost either
		if n.AcceptBaseline() == "sha256:while-cut" {
			break
		}
	}
}

// Nobody answers on the connections there are, and nobody closes them.
func TestConnectionsHalfOpen(t *testing.T) {
	name := node(t)
	wire, err := server.NewWire()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	e := export(t, name, server.ConfigAt(wire.Address, apiserver.AgentToken))
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))
	wire.Stall()
	e.Publish(report(raised(kernel, "into nowhere")))
	awaitWithin(t, 10*time.Second+converges, name, "the report on a new connection", is(kernel, "True", "into nowhere"))
}

func TestThrottled(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))

	const asked = 2 * time.Second
	var (
		mu    sync.Mutex
		times []time.Time
	)
	proxy.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPatch {
			return false
		}
		times = append(times, time.Now())
		if len(times) > 1 {
			return false
		}
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	e.Publish(report(raised(kernel, "first")))
	e.Publish(report(raised(kernel, "latest")))
	awaitWithin(t, asked+converges, name, "the report", is(kernel, "True", "latest"))
	mu.Lock()
	defer mu.Unlock()
	if got := times[1].Sub(times[0]); got < asked {
		t.Errorf("asked again after %v, the server said %v", got, asked)
	}
}

func TestConflictAndServerErrors(t *testing.T) {
	for _, status := range []int{http.StatusConflict, http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusNotFound} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			name := fmt.Sprintf("answers-%d", status)
			register(t, name)
			t.Cleanup(func() { _ = admin.DeleteNode(context.Background(), name) })
			e, proxy := audited(t, name)
			e.seesNode(t)
			left := 3
			proxy.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPatch || left == 0 {
					return false
				}
				left--
				w.WriteHeader(status)
				return true
			})
			e.Publish(report(raised(kernel, "in the end")))
			awaitWithin(t, converges, name, "the report", is(kernel, "True", "in the end"))
			if s := e.Stats(); s.Failures != 3 {
				t.Errorf("stats are %+v, want 3 failures", s)
			}
		})
	}
}

func TestCredentialsRotated(t *testing.T) {
	name := node(t)
	file := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("expired")
	config := server.Config("")
	config.BearerTokenFile = file
	refused := make(chan struct{}, 100)
	proxy, err := server.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	proxy.Refuse(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer expired" {
			refused <- struct{}{}
		}
		return false
	})
	config.Host = "https://" + proxy.Address
	e := export(t, name, config)
	e.Publish(report(raised(kernel, "with the new token")))
	<-refused
	write(apiserver.AgentToken)
	awaitWithin(t, converges, name, "the report", is(kernel, "True", "with the new token"))
}

// Drift between two reports that were never written is no transition.
func TestLatestWins(t *testing.T) {
	name := node(t)
	e := export(t, name, server.Config(apiserver.AgentToken))
	e.Publish(report(raised(kernel, "drifted")))
	await(t, name, "the first conditions", is(kernel, "True", ""))
	server.Pause()
	e.Publish(report(clear(kernel)))
	back := raised(kernel, "drifted again")
	back.LastTransitionTime = transition.Add(time.Hour)
	e.Publish(report(back, clear(drift.NodeOutOfSupport)))
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	n := awaitWithin(t, converges, name, "the latest", is(kernel, "True", "again"))
	if c := condition(n, kernel); !c.LastTransitionTime.Time.Equal(transition) {
		t.Errorf("transition at %v, but consumers never saw it turn", c.LastTransitionTime)
	}
}
