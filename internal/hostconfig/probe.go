package hostconfig

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	apiServer  = "api-server"
	clusterDNS = "cluster-dns"

	probeEvery   = 30 * time.Second
	probeTimeout = 3 * time.Second
	// enough failures in a row are not a lost packet or a restart.
	enough = 3
)

// probe is whether the kubelet's API server and the cluster's DNS answered the
// last times; where nothing is probed there is nothing to say.
func (l *look) probe(_ Rule, which string) *table {
	if l.prober == nil {
		return skipped()
	}
	t := newTable("")
	t.area, t.owns = which, func(subject string) bool { return subject == which }
	if e, ok := l.prober.last(which); ok {
		t.entries[which] = e
	}
	return t
}

// prober connects to what the kubelet itself uses, and to nothing else: the server
// of its kubeconfig and the clusterDNS of its configuration.
type prober struct {
	root  *host.Root
	every time.Duration
	ask   map[string]func(context.Context, *host.Root) (where string, err error)

	mu      sync.Mutex
	results map[string]result
}

type result struct {
	where    string
	failures int
	known    bool
}

func newProber(root *host.Root) *prober {
	return &prober{
		root: root, every: probeEvery, results: map[string]result{},
		ask: map[string]func(context.Context, *host.Root) (string, error){apiServer: askAPIServer, clusterDNS: askClusterDNS},
	}
}

// errNotHere means that this host has nothing to probe.
var errNotHere = errors.New("nothing to probe")

func (p *prober) last(which string) (entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.results[which]
	switch {
	case !r.known:
		return entry{}, false
	case r.failures >= enough:
		return entry{value: "no answer from " + drift.Printable(r.where), want: "reachable"}, true
	default:
		return entry{value: "reachable"}, true
	}
}

// run probes until ctx ends, and hints when an answer is another one than before.
func (p *prober) run(ctx context.Context, which []string, to drift.Sink) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		for _, w := range which {
			if p.once(ctx, w) {
				to.Hint(drift.Hint{Source: "probe", Subject: w, At: time.Now()})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// once probes and tells whether that changed what there is to say.
func (p *prober) once(ctx context.Context, which string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if p.root.CheckNetwork() != nil {
		return false
	}
	where, err := p.ask[which](ctx, p.root)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.results[which]
	now := result{where: where, known: !errors.Is(err, errNotHere)}
	if err != nil && now.known {
		now.failures = before.failures + 1
	}
	p.results[which] = now
	return now.known != before.known || (now.failures >= enough) != (before.failures >= enough)
}
