package web

import (
	"bytes"
	"io"
	"net/http"
	"net/http/pprof"

	"github.com/nodeguard/nodeguard/internal/export/text"
)

// Handler answers everything but authentication, which is the server's.
func Handler(o Options) http.Handler {
	peers := peers{configFile: o.ConfigFile}
	mux := http.NewServeMux()
	probes(mux, o)
	mux.Handle("GET /metrics", o.Metrics)
	mux.Handle("GET /api/v1/report", peers.trusted(report(o)))
	mux.Handle("GET /{$}", peers.trusted(page(o)))
	if o.Pprof {
		profiles(mux, peers)
	}
	return secured(mux)
}

// probes say whether the agent works, never what it diagnoses.
func probes(mux *http.ServeMux, o Options) {
	mux.Handle("GET /healthz", probe(o.Turning, "the loop does not turn"))
	mux.Handle("GET /readyz", probe(o.Ready, "the first pass is not over"))
}

func probe(good func() bool, otherwise string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if !good() {
			http.Error(w, otherwise, http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "ok\n")
	}
}

// report is what `check -o json` prints.
func report(o Options) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		r := o.Report()
		if r.GeneratedAt.IsZero() {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "there is no report yet: the first pass is not over", http.StatusServiceUnavailable)
			return
		}
		var body bytes.Buffer
		if err := text.JSON(&body, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body.Bytes())
	}
}

func profiles(mux *http.ServeMux, peers peers) {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle("GET "+path, peers.trusted(h))
	}
}

// contentPolicy lets a page load and run nothing.
const contentPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secured sets what browsers need to be told, unless the web configuration did.
func secured(next http.Handler) http.Handler {
	headers := map[string]string{
		"Content-Security-Policy": contentPolicy,
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
		"Cache-Control":           "no-store",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			if w.Header().Get(name) == "" {
				w.Header().Set(name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}
