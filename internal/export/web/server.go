package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
)

const (
	maxConnections = 128
	shutdownAfter  = 5 * time.Second
)

// Run serves on all addresses until ctx ends. An address that cannot be served is
// logged and tried again, and stops neither the others nor the agent.
func Run(ctx context.Context, o Options) {
	var all sync.WaitGroup
	for _, address := range o.Addresses {
		log := o.Log.With("address", address)
		all.Go(func() {
			again(ctx, log, func(ctx context.Context) error { return serve(ctx, o, address) })
		})
	}
	all.Wait()
}

// serve serves on one address until ctx ends. The toolkit changes the server that
// it is given, so there is one for each address and attempt.
func serve(ctx context.Context, o Options, address string) error {
	if err := toolkit.Validate(o.ConfigFile); err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	server := newServer(o)
	down := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(down)
		shutdown(server)
	})
	err = toolkit.Serve(netutil.LimitListener(l, maxConnections), server, &toolkit.FlagConfig{WebConfigFile: &o.ConfigFile}, o.Log)
	if !stop() {
		<-down
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newServer returns a server with limits for peers that are slow or many.
func newServer(o Options) *http.Server {
	s := &http.Server{
		Handler:           Handler(o),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute, // a CPU profile takes 30 s
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 16},
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug), // port scans and broken handshakes
	}
	s.BaseContext = func(net.Listener) context.Context {
		s.Handler = probesFirst(o, s.Handler)
		return context.Background()
	}
	return s
}

// probesFirst answers probes before the toolkit asks for a password, since the
// kubelet has none. It is called once the toolkit has put its handler in place,
// and before there are requests.
func probesFirst(o Options, authenticating http.Handler) http.Handler {
	mux := http.NewServeMux()
	probes(mux, o)
	mux.Handle("/", authenticating)
	return secured(mux)
}

// shutdown lets open requests end, but not for ever.
func shutdown(s *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownAfter)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
}
