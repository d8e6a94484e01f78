package web_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/web"
)

func no() bool  { return false }
func yes() bool { return true }

func sampleReport() drift.Report {
	return drift.Report{
		APIVersion: drift.APIVersion, Kind: drift.Kind, Node: "n1", GeneratedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Findings: []drift.FindingReport{{ID: "01", Impact: "a < b & c"}},
	}
}

// working are the options of an agent that is well.
func working() web.Options {
	return web.Options{
		Log:     slog.New(slog.DiscardHandler),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics\n") }),
		Report:  sampleReport, Turning: yes, Ready: yes,
		Status: func(drift.Language) web.Status { return web.Status{Report: sampleReport()} },
	}
}

// ask asks as a peer; change may make another request of it.
func ask(o web.Options, peer, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.RemoteAddr, r.Host = peer, "localhost:19639"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	web.Handler(o).ServeHTTP(w, r)
	return w
}

const (
	here = "127.0.0.1:4711"
	afar = "192.0.2.7:4711"
)

func TestAnswers(t *testing.T) {
	stuck := working()
	stuck.Turning = no
	early := working()
	early.Ready, early.Report = no, func() drift.Report { return drift.Report{} }
	profiled := working()
	profiled.Pprof = true
	for _, c := range []struct {
		name    string
		options web.Options
		peer    string
		path    string
		code    int
		body    string
	}{
		{"metrics", working(), afar, "/metrics", 200, "metrics\n"},
		{"alive", working(), afar, "/healthz", 200, "ok\n"},
		{"stuck", stuck, afar, "/healthz", 503, "the loop does not turn\n"},
		{"alive before the first pass", early, afar, "/healthz", 200, "ok\n"},
		{"ready", working(), afar, "/readyz", 200, "ok\n"},
		{"ready though stuck", stuck, afar, "/readyz", 200, "ok\n"},
		{"not ready", early, afar, "/readyz", 503, "the first pass is not over\n"},
		{"no report yet", early, here, "/api/v1/report", 503, "there is no report yet: the first pass is not over\n"},
		{"nothing there", working(), here, "/else", 404, "404 page not found\n"},
		{"pprof is off", working(), here, "/debug/pprof/", 404, "404 page not found\n"},
		{"profile", profiled, here, "/debug/pprof/cmdline", 200, ""},
		{"profile by name", profiled, here, "/debug/pprof/goroutine?debug=1", 200, ""},
		{"profile from afar", profiled, afar, "/debug/pprof/heap", 403, ""},
		{"page from afar", working(), afar, "/", 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(c.options, c.peer, c.path, nil)
			if w.Code != c.code || c.body != "" && w.Body.String() != c.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.code, c.body)
			}
		})
	}
}

func TestReport(t *testing.T) {
	w := ask(working(), here, "/api/v1/report", nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(w.Body.String(), "a < b & c") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	var got drift.Report
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleReport(), got); diff != "" {
		t.Error(diff)
	}
}

// The report goes to peers on the node, whatever a request claims.
func TestOnlyLocalPeers(t *testing.T) {
	claims := func(r *http.Request) {
		for _, name := range []string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "True-Client-Ip"} {
			r.Header.Set(name, "127.0.0.1")
		}
		r.SetBasicAuth("any", "body")
	}
	asking := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	for _, c := range []struct {
		name, peer string
		change     func(*http.Request)
		code       int
	}{
		{"loopback", here, nil, 200},
		{"another loopback address", "127.3.2.1:4711", nil, 200},
		{"loopback in IPv6", "[::1]:4711", asking("[::1]:19639"), 200},
		{"mapped loopback", "[::ffff:127.0.0.1]:4711", nil, 200},
		{"no port in the name", here, asking("127.0.0.1"), 200},
		{"no port in the IPv6 name", here, asking("[::1]"), 200},
		{"afar", afar, nil, 403},
		{"afar with claims", afar, claims, 403},
		{"afar in IPv6", "[2001:db8::1]:4711", claims, 403},
		{"no address", "@", claims, 403},
		{"a name that resolves to here", here, asking("evil.example:19639"), 403},
		{"no name", here, asking(""), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(working(), c.peer, "/api/v1/report", c.change)
			if w.Code != c.code {
				t.Errorf("%d, want %d", w.Code, c.code)
			}
			if hint := strings.Contains(w.Body.String(), "--web.config.file"); hint != (c.code == 403) {
				t.Errorf("body: %s", w.Body)
			}
		})
	}
}

func TestPage(t *testing.T) {
	for _, pprof := range []bool{false, true} {
		o := working()
		o.Pprof = pprof
		w := ask(o, here, "/", nil)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `href="/api/v1/report"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "pprof") != pprof {
			t.Errorf("with pprof %t:\n%s", pprof, w.Body)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/metrics", "/healthz", "/api/v1/report", "/else"} {
		h := ask(working(), here, path, nil).Header()
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none';") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
}

func TestOnlyGet(t *testing.T) {
	for method, code := range map[string]int{"POST": 405, "PUT": 405, "DELETE": 405, "HEAD": 200} {
		w := ask(working(), here, "/api/v1/report", func(r *http.Request) { r.Method = method })
		if w.Code != code {
			t.Errorf("%s: %d, want %d", method, w.Code, code)
		}
	}
}
