package kube

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// What a node asks of the API server is counted here; how long it takes is for make bench.

// all are the conditions of a node, each with the longest message that there is.
func all() drift.Report {
	var r drift.Report
	for _, family := range []string{
		kernel, "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift", "VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift", drift.NodeOutOfSupport, drift.NodeRebuildAdvised,
	} {
		r.Conditions = append(r.Conditions, drift.Condition{
			Type: family, Status: drift.True, Reason: drift.ReasonOutOfSupport, Message: strings.Repeat("x", 1<<10), LastTransitionTime: time.Now(),
		})
	}
	return r
}

// farAPI takes its time for a patch.
type farAPI struct{ *fakeAPI }

func (f farAPI) patchStatus(ctx context.Context, node string, body []byte) (*corev1.Node, error) {
	time.Sleep(5 * time.Millisecond)
	return f.fakeAPI.patchStatus(ctx, node, body)
}

// However many reports come while a patch is under way, one more says what is true.
func TestPatchesOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(t)
		e := newExporter(farAPI{f}, Config{Node: "n1", Language: drift.English})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			e.Run(ctx)
		}()
		e.Publish(is(drift.False))
		pass(time.Second)
		before := len(f.patches)
		for i := range 10_000 {
			e.Publish(is(drift.True, fmt.Sprint(i)))
		}
		pass(time.Second)
		if n := len(f.patches) - before; n > 2 {
			t.Errorf("%d patches for one burst", n)
		}
		if got := f.node.Status.Conditions[len(f.node.Status.Conditions)-1].Message; got != "True9999" {
			t.Errorf("the last word is %q", got)
		}
		cancel()
		<-done
	})
}

func TestPatchesAtRest(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		r := all()
		e.Publish(r)
		synctest.Wait()
		before := len(f.patches)
		for range 24 * 60 {
			e.Publish(r) // every pass of the agent
			pass(time.Minute)
		}
		if n := len(f.patches) - before; n > 24*60/4 {
			t.Errorf("%d patches in a day without news", n)
		}
	})
}

func TestBytesOfAPatch(t *testing.T) {
	exporting(t, func(f *fakeAPI, e *Exporter) {
		r := all()
		e.Publish(r)
		synctest.Wait()
		if n := len(f.bodies[0]); n > 9*(1<<10+256)+128 {
			t.Errorf("%d bytes for everything that can be said", n)
		}
		before := len(f.bodies)
		r = all()
		r.Conditions[3].Message = "short"
		e.Publish(r)
		synctest.Wait()
		if n := len(f.bodies) - before; n != 1 {
			t.Fatalf("%d patches", n)
		}
		if n := len(f.bodies[before]); n > 320 {
			t.Errorf("%d bytes for one condition", n)
		}
	})
}

// A report that changes nothing is compared, and costs next to nothing.
func TestAllocationsOfNoNews(t *testing.T) {
	r, now := all(), time.Now()
	c := newConditions(newExporter(newFakeAPI(t), Config{Node: "n1"}))
	c.want, c.node = r.Conditions, state{Node: Node{Exists: true, Conditions: r.Conditions}}
	for i := range c.want {
		c.want[i].LastTransitionTime = now.Truncate(time.Second)
	}
	c.node.Conditions = c.want
	if p := c.patch(false, now); !p.empty() {
		t.Fatalf("news: %s", p.json())
	}
	if n := testing.AllocsPerRun(100, func() { c.patch(false, now) }); n > 8 {
		t.Errorf("%.0f allocations to see that nothing changed", n)
	}
}
