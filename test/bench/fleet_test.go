package bench

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// fleetRuns is how often all drift: each time takes minutes until the last event is told.
const fleetRuns = 3

// BenchmarkFleet is what the API server has to do for many agents: $NODEGUARD_FLEET (5,000)
// of the real exporter in one process, each with a connection and a watch of its own, for
// $NODEGUARD_STEADY (5m).
func BenchmarkFleet(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		size, steady := 5000, 5*time.Minute
		if n, err := strconv.Atoi(os.Getenv("NODEGUARD_FLEET")); err == nil {
			size = n
		}
		if d, err := time.ParseDuration(os.Getenv("NODEGUARD_STEADY")); err == nil {
			steady = d
		}
		r.How = fmt.Sprintf("%d agents, each the real internal/export/kube with a connection and a watch of its own, in one process, at a real API server and etcd on the same two cores. Bytes are those of bodies, watch events included; times are of all requests but watches.", size)
		kube.LogTo(slog.New(slog.DiscardHandler))
		f := newFleet(b, size)
		defer f.stop()
		f.phase(r, "start of all", func() { f.publish("in support", drift.False); f.all(b, "in support") })
		f.quiet()
		for i := range fleetRuns {
			drifted := fmt.Sprintf("net.ipv4.ip_forward is 0 (%d)", i)
			f.phase(r, "all drift at once", func() { f.publish(drifted, drift.True); f.all(b, drifted) })
			f.publish("back", drift.False)
			f.all(b, "back")
			f.quiet()
		}
		f.rolling(b, r)
		f.outage(b, r)
		f.steady(b, r, steady)
		r.bound("drift", r.of("all drift at once, until all are seen").median())
		f.onPaper(r)
		for _, what := range slices.Sorted(maps.Keys(f.failed)) {
			r.note("Failed and tried again: %d × %s.", f.failed[what], what)
		}
	})
}

// fleet are agents without hosts.
type fleet struct {
	*cluster
	watcher *watcher
	meter   *meter
	agents  []*simulated
	report  drift.Report
	failed  map[string]int // of all phases
}

type simulated struct {
	name     string
	exporter *kube.Exporter
	cancel   context.CancelFunc
	ended    chan struct{}
}

func newFleet(b *testing.B, size int) *fleet {
	b.Helper()
	f := &fleet{cluster: startServer(b), meter: newMeter(), failed: map[string]int{}}
	var create errgroup.Group
	create.SetLimit(32)
	for i := range size {
		name := fmt.Sprintf("node-%05d", i)
		f.agents = append(f.agents, &simulated{name: name})
		create.Go(func() error {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"topology.kubernetes.io/zone": "a"}}}
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
			return f.CreateNode(b.Context(), n)
		})
	}
	if err := create.Wait(); err != nil {
		b.Fatal(err)
	}
	f.watcher = watchNodes(b, f.server.Config(apiserver.AdminToken))
	f.start(b, f.agents)
	return f
}

// start starts agents as their pods do: nothing is kept of an earlier run.
func (f *fleet) start(b *testing.B, agents []*simulated) {
	b.Helper()
	for _, a := range agents {
		config := f.server.Config(apiserver.AgentToken)
		config.Wrap(f.meter.through)
		client, err := kube.NewClient(config)
		if err != nil {
			b.Fatal(err)
		}
		a.exporter, err = kube.New(client, kube.Config{Node: a.name, Language: drift.English, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		var ctx context.Context
		ctx, a.cancel = context.WithCancel(context.Background())
		a.ended = make(chan struct{})
		go func(e *kube.Exporter, ended chan struct{}) {
			defer close(ended)
			e.Run(ctx)
		}(a.exporter, a.ended)
		if len(f.report.Conditions) > 0 {
			a.exporter.Publish(f.report)
		}
	}
}

func (f *fleet) stop() { stopAll(f.agents) }

func stopAll(agents []*simulated) {
	for _, a := range agents {
		a.cancel()
	}
	for _, a := range agents {
		<-a.ended
	}
}

// families are the conditions that an agent writes.
var families = []string{
	"KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift", "VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift", drift.NodeOutOfSupport, drift.NodeRebuildAdvised,
}

// publish has all agents say the same of their kernel parameters.
func (f *fleet) publish(message string, status drift.Status) {
	now := time.Now()
	r := drift.Report{}
	for _, family := range families {
		c := drift.Condition{Type: family, Status: drift.False, Reason: drift.ReasonInSupport, Message: "all that was looked at is in support", LastTransitionTime: now}
		if family == "KernelParameterDrift" || family == drift.NodeOutOfSupport {
			c.Status, c.Message = status, message
			if status == drift.True {
				c.Reason = drift.ReasonOutOfSupport
			}
		}
		r.Conditions = append(r.Conditions, c)
	}
	if status == drift.True {
		r.Findings = []drift.FindingReport{{
			ID: message, Operation: "ack.net.ip-forward", Condition: "KernelParameterDrift", Subject: "net.ipv4.ip_forward", Observed: "0", Supported: "1", State: drift.Active, Severity: drift.Critical, Since: now,
			Title: "net.ipv4.ip_forward was set to 0", Recovery: drift.RecoveryReport{Text: "Set it back.", Commands: []string{"sysctl -w net.ipv4.ip_forward=1"}, Class: drift.Revert},
		}}
	}
	f.report = r
	for _, a := range f.agents {
		a.exporter.Publish(r)
	}
}

// all waits until a watcher has seen the message on every Node.
func (f *fleet) all(b *testing.B, message string) {
	b.Helper()
	f.watcher.await(b, len(f.agents), message)
}

// phase measures what something costs until it is over, and a second more for stragglers.
func (f *fleet) phase(r *result, name string, do func()) time.Duration {
	f.meter.take()
	began := time.Now()
	do()
	took := time.Since(began)
	time.Sleep(time.Second)
	f.cost(r, name, took, f.meter.take())
	return took
}

func (f *fleet) cost(r *result, name string, took time.Duration, t traffic) {
	fmt.Fprintf(os.Stderr, "%s: %s, %d requests, failed %v\n", name, took.Round(time.Millisecond), t.requests(), t.failed) // it takes long
	r.add(name+", until all are seen", "s", took.Seconds())
	r.add(name+", requests", "/s", float64(t.requests())/took.Seconds())
	r.add(name+", requests of an agent", "", float64(t.requests())/float64(len(f.agents)))
	r.add(name+", failed", "", float64(t.failures()))
	r.add(name+", sent and received by an agent", "KB", float64(t.sent+t.received)/1024/float64(len(f.agents)))
	r.add(name+", p99 of a request", "ms", percentile(t.took, 99))
	for what, n := range t.failed {
		f.failed[what] += n
	}
}

// quiet waits, some minutes at most, until what was set off has been said: events too.
func (f *fleet) quiet() {
	const look = 2 * time.Second
	f.meter.take()
	for range 120 {
		time.Sleep(look)
		if f.meter.take().requests() < 1+len(f.agents)/100 {
			return
		}
	}
}

// rolling restarts a tenth at a time, as a DaemonSet with maxUnavailable 10% does.
func (f *fleet) rolling(b *testing.B, r *result) {
	b.Helper()
	f.publish("before the restart", drift.False)
	f.all(b, "before the restart")
	f.quiet()
	size := max(1, len(f.agents)/10)
	var slowest time.Duration
	for from := 0; from < len(f.agents); from += size {
		batch := f.agents[from:min(from+size, len(f.agents))]
		stopAll(batch)
		message := fmt.Sprintf("restarted %d", from)
		took := f.phase(r, "rolling restart, a tenth", func() {
			f.start(b, batch)
			f.publishTo(batch, message)
			f.watcher.await(b, len(batch), message)
		})
		slowest = max(slowest, took)
	}
	r.bound("rolling", slowest.Seconds())
}

func (f *fleet) publishTo(agents []*simulated, message string) {
	f.report.Conditions[0].Message = message
	for _, a := range agents {
		r := f.report
		r.Conditions = append([]drift.Condition{}, f.report.Conditions...)
		a.exporter.Publish(r)
	}
}

// outage kills the API server, has every node change meanwhile, and starts it again.
func (f *fleet) outage(b *testing.B, r *result) {
	b.Helper()
	f.meter.take()
	f.server.Pause()
	f.publish("changed meanwhile", drift.True)
	time.Sleep(10 * time.Second) // every agent has come to wait the longest
	if err := f.server.Resume(); err != nil {
		b.Fatal(err)
	}
	ready := time.Now()
	f.all(b, "changed meanwhile")
	took := time.Since(ready)
	time.Sleep(time.Second)
	f.cost(r, "API server away for 10 s and back", took, f.meter.take())
	r.bound("outage", took.Seconds())
}

// steady is when nothing happens.
func (f *fleet) steady(b *testing.B, r *result, during time.Duration) {
	b.Helper()
	f.publish("at rest", drift.False)
	f.all(b, "at rest")
	time.Sleep(time.Minute) // events about one condition are that far apart
	f.quiet()
	f.meter.take()
	each := during / runs
	patches := 0
	for range runs {
		time.Sleep(each)
		t := f.meter.take()
		patches += t.kinds["PATCH"]
		r.add("at rest, requests", "/s", float64(t.requests())/each.Seconds())
		r.add("at rest, sent and received by all", "KB/s", float64(t.sent+t.received)/1024/each.Seconds())
		r.add("at rest, p99 of a request", "ms", percentile(t.took, 99))
	}
	r.bound("steady patches", float64(patches)/float64(len(f.agents))*float64(5*time.Minute)/float64(during))
	r.note("%d of %d watches open at the end.", f.meter.open(), len(f.agents))
}

// onPaper says what more and fewer agents would ask for, from what was measured.
func (f *fleet) onPaper(r *result) {
	size := float64(len(f.agents))
	rest, bytes := r.of("at rest, requests").median(), r.of("at rest, sent and received by all").median()
	each, rate := r.of("all drift at once, requests of an agent").median(), r.of("all drift at once, requests").median()
	for _, n := range []float64{1000, 5000, 15000} {
		r.note("On paper for %.0f agents, from what was measured with %.0f: at rest %s requests and %s KB a second and %.0f open watches; all drifting at once %.0f requests, which this API server takes in %s s; a rolling restart of a tenth at a time %.0f connections at once.",
			n, size, figure(rest*n/size), figure(bytes*n/size), n, each*n, figure(each*n/rate), n/10)
	}
}
