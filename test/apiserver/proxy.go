package apiserver

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Proxy passes requests on to the server and remembers them.
type Proxy struct {
	Address string

	mu       sync.Mutex
	requests []string
	refuse   func(http.ResponseWriter, *http.Request) bool
	delay    func(*http.Request) time.Duration
	server   *httptest.Server
}

// NewProxy returns a proxy in front of the server.
func (s *Server) NewProxy() (*Proxy, error) {
	cert, err := tls.LoadX509KeyPair(s.pki.path("server.crt"), s.pki.path("server.key"))
	if err != nil {
		return nil, err
	}
	p := &Proxy{}
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: s.Address})
	pass.FlushInterval = -1                                                                                           // watches
	pass.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true} //nolint:gosec // the server is ours
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.answered(w, r) {
			return
		}
		select {
		case <-time.After(p.delayOf(r)):
			pass.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	p.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	p.server.EnableHTTP2 = true
	p.server.StartTLS()
	p.Address = p.server.Listener.Addr().String()
	return p, nil
}

// Version is the kind of a request for the server's version, which touches no object.
const Version = "GET /version"

// Kind names a request: "PATCH", "POST", "WATCH", Version, "LIST or GET".
func kind(r *http.Request) string {
	switch {
	case r.Method != http.MethodGet:
		return r.Method
	case r.URL.Path == "/version":
		return Version
	case r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1":
		return "WATCH"
	default:
		return "LIST or GET"
	}
}

func (p *Proxy) answered(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, kind(r))
	return p.refuse != nil && p.refuse(w, r)
}

// Refuse lets f answer requests itself, which it tells by returning true; nil: none.
func (p *Proxy) Refuse(f func(http.ResponseWriter, *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = f
}

// Delay lets f say how long a request waits before it is passed on; nil: none does.
func (p *Proxy) Delay(f func(*http.Request) time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = f
}

func (p *Proxy) delayOf(r *http.Request) time.Duration {
	p.mu.Lock()
	f := p.delay
	p.mu.Unlock()
	if f == nil {
		return 0
	}
	return f(r)
}

// Requests are the kinds of all requests so far.
func (p *Proxy) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Count is the number of requests of a kind so far.
func (p *Proxy) Count(kind string) (n int) {
	for _, k := range p.Requests() {
		if k == kind {
			n++
		}
	}
	return n
}

// Close ends it.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Wire is a TCP proxy in front of the server, to be cut or stalled.
type Wire struct {
	Address string

	listener net.Listener
	target   string
	mu       sync.Mutex
	down     bool
	links    []*link
}

type link struct {
	client, server net.Conn
	stalled        chan struct{}
	once           sync.Once
}

// NewWire returns one.
func (s *Server) NewWire() (*Wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &Wire{Address: l.Addr().String(), listener: l, target: s.Address}
	go w.serve()
	return w, nil
}

func (w *Wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.connect(client)
	}
}

func (w *Wire) connect(client net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	server, err := net.Dial("tcp", w.target)
	if err != nil || w.down {
		client.Close()
		if server != nil {
			server.Close()
		}
		return
	}
	l := &link{client: client, server: server, stalled: make(chan struct{})}
	w.links = append(w.links, l)
	go l.copy(server, client)
	go l.copy(client, server)
}

func (l *link) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		select {
		case <-l.stalled:
			_, _ = io.Copy(io.Discard, from) // takes everything, answers nothing
			return
		default:
		}
		if n > 0 {
			_, _ = to.Write(buffer[:n])
		}
		if err != nil {
			l.close()
			return
		}
	}
}

func (l *link) close() {
	l.client.Close()
	l.server.Close()
}

// Cut closes all connections and takes no new ones until Mend.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for _, l := range w.links {
		l.close()
	}
	w.links = nil
}

// Mend takes connections again.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// Stall leaves the connections there are half open: nothing comes through them any
// more, and nobody says so. New ones work.
func (w *Wire) Stall() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.links {
		l.once.Do(func() { close(l.stalled) })
	}
}

// Close ends it.
func (w *Wire) Close() {
	w.listener.Close()
	w.Cut()
}
