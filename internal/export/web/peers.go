package web

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

const onlyHere = `This is answered on the node itself, or to peers that authenticate.
On the node: curl http://127.0.0.1:19639/api/v1/report
From afar: kubectl port-forward to the node's nodeguard pod, and then http://localhost:19639
Or give the agent a --web.config.file with basic_auth_users or verified client certificates.
`

// peers decides who may see the report.
type peers struct{ configFile string }

// trusted answers next to peers on this node and to those that authenticated.
func (p peers) trusted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r) && !p.authenticated(r) {
			http.Error(w, onlyHere, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local tells whether the connection comes from this node. What headers say of
// the peer is anybody's claim. The name that was asked for must be no domain's:
// one that resolves to 127.0.0.1 would let a web page read the answer.
func local(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err = netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || strings.EqualFold(host, "localhost")
}

// authenticated tells whether the toolkit verified who asks: by certificate, or
// by password, without which it lets nobody through to here once there are users.
func (p peers) authenticated(r *http.Request) bool {
	return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 || p.configFile != "" && hasUsers(p.configFile)
}

// hasUsers reads the file as the toolkit does at each request. What cannot be
// read has none.
func hasUsers(file string) bool {
	data, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	var c toolkit.Config
	return yaml.UnmarshalStrict(data, &c) == nil && len(c.Users) > 0
}
