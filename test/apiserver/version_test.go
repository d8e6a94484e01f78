package apiserver_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// Whoever is authenticated may ask the server for its version; the agent's role says
// nothing of it.
func TestVersionOfTheServer(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	n := e.seesNode(t)
	if !strings.HasPrefix(n.APIServerVersion, "v1.") {
		t.Errorf("the server is of version %q", n.APIServerVersion)
	}
	if err := admin.Patch(t.Context(), name, `{"metadata":{"labels":{"pool":"b"}}}`); err != nil {
		t.Fatal(err)
	}
	e.sees(t, "the change", func(n kube.Node) bool { return n.Labels["pool"] == "b" && n.APIServerVersion != "" })
	if asked := proxy.Count(apiserver.Version); asked != 1 {
		t.Errorf("asked %d times, want once a watch", asked)
	}
}

// An upgrade of the control plane ends the watch, and the next one begins with its
// version. A server that does not tell it changes nothing.
func TestVersionAfterAnUpgrade(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	before := e.seesNode(t).APIServerVersion
	restart := func(status int, body string) (asked <-chan struct{}) {
		t.Helper()
		question := make(chan struct{})
		ask := sync.OnceFunc(func() { close(question) })
		proxy.Refuse(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/version" {
				return false
			}
			defer ask()
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		})
		server.Pause()
		if err := server.Resume(); err != nil {
			t.Fatal(err)
		}
		return question
	}
	asked := restart(http.StatusForbidden, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
		t.Fatal("a server that is back is not asked for its version")
	}
	if err := admin.Patch(t.Context(), name, `{"metadata":{"labels":{"pool":"c"}}}`); err != nil {
		t.Fatal(err)
	}
	n := e.sees(t, "what changed", func(n kube.Node) bool { return n.Labels["pool"] == "c" })
	if n.APIServerVersion != before {
		t.Errorf("the version is %q after %q", n.APIServerVersion, before)
	}
	restart(http.StatusOK, `{"major":"1","minor":"99","gitVersion":"v1.99.1-gke.1348000"}`)
	e.sees(t, "the new version", func(n kube.Node) bool { return n.APIServerVersion == "v1.99.1-gke.1348000" })
}
