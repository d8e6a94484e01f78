package apiserver_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/test/apiserver"
)

// A server whose certificate is another authority's gets no token and no report, and is
// asked again without a storm.
func TestWrongAuthority(t *testing.T) {
	name := node(t)
	met := make(chan struct{}, 1000)
	impostor := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server that cannot prove who it is got %s %s", r.Method, r.URL)
	}))
	impostor.Config.ErrorLog = log.New(io.Discard, "", 0)
	impostor.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		met <- struct{}{}
		return nil, nil
	}}
	impostor.StartTLS()
	defer impostor.Close()
	e := export(t, name, server.ConfigAt(impostor.Listener.Addr().String(), apiserver.AgentToken))
	e.Publish(report(raised(kernel, "to nobody")))
	begin := time.Now()
	for range 6 {
		<-met
	}
	if took := time.Since(begin); took < time.Second/2 {
		t.Errorf("asked six times within %v", took)
	}
}

// What the server refuses as too large is tried again, without a storm, and the next
// report is not held up by it.
func TestObjectTooLarge(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))
	var (
		mu       sync.Mutex
		largest  int64
		refusing = true
	)
	proxy.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPatch {
			return false
		}
		largest = max(largest, r.ContentLength)
		if refusing {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
		return refusing
	})
	e.Publish(report(raised(kernel, strings.Repeat("x", 1<<10))))
	for e.Stats().Failures < 2 {
		time.Sleep(10 * time.Millisecond)
	}
	mu.Lock()
	refusing = false
	mu.Unlock()
	e.Publish(report(raised(kernel, "shorter")))
	awaitWithin(t, 2*converges, name, "the report", is(kernel, "True", "shorter"))
	mu.Lock()
	defer mu.Unlock()
	if largest > 64<<10 {
		t.Errorf("a patch of %d bytes", largest)
	}
}

// A server that takes its time delays what it is told and nothing else: reports are
// taken at once, and the latest wins.
func TestSlowServer(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))
	const late = 30 * time.Second
	slow := make(chan struct{}, 100)
	proxy.Delay(func(r *http.Request) time.Duration {
		if r.Method != http.MethodPatch {
			return 0
		}
		slow <- struct{}{}
		return late
	})
	e.Publish(report(raised(kernel, "first")))
	<-slow
	begin := time.Now()
	for range 1000 {
		e.Publish(report(raised(kernel, "not this one")))
	}
	e.Publish(report(raised(kernel, "latest")))
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("who reports waited %v for the server", took)
	}
	proxy.Delay(nil)
	awaitWithin(t, late+2*converges, name, "the latest report", is(kernel, "True", "latest"))
	if n := proxy.Count("PATCH"); n > 10 {
		t.Errorf("%d patches", n)
	}
}
