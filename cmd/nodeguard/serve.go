package main

import (
	"context"
	"reflect"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/prom"
	"github.com/nodeguard/nodeguard/internal/export/web"
)

// serve answers metrics and report until the context ends.
func (d *daemon) serve(ctx context.Context) {
	web.Run(ctx, web.Options{
		Addresses: d.flags.listen, ConfigFile: d.flags.webConfig, Pprof: d.flags.pprof, Log: d.log,
		Metrics: prom.Handler(d.metrics, d.log),
		Report:  func() drift.Report { return d.agent.Snapshot().Report },
		Turning: d.agent.Turning,
		Ready:   func() bool { return d.agent.Snapshot().Complete },
		Status:  d.status,
	})
}

// metrics is what a scrape shows.
func (d *daemon) metrics() prom.Snapshot {
	s := d.agent.Snapshot()
	out := prom.Snapshot{
		Report: s.Report, OutOfSupport: s.OutOfSupport, Baselines: d.baselines(), Waivers: d.waivers(), Build: prom.ThisBuild(versionString()),
		Latency: prom.Latency{Bounds: agent.LatencyBuckets[:], Counts: s.Latency.Counts, Sum: s.Latency.Sum},
	}
	for _, c := range s.Checks {
		out.Checks = append(out.Checks, prom.CheckStats{Name: c.Name, Duration: c.Took, LastSuccess: c.LastSuccess, Passes: c.Passes, Failures: c.Failures})
	}
	if d.exporter != nil {
		stats := d.exporter.Stats()
		out.Reporters = []prom.ReporterStats{{Name: "kube", Attempts: stats.Attempts, Failures: stats.Failures}}
	}
	for _, src := range d.sources(s) {
		out.Sources = append(out.Sources, prom.Source{Name: src.Name, Check: src.Check, Mode: src.Mode, Events: src.Events, Overflows: src.Overflows, Errors: src.Errors})
	}
	return out
}

// waivers are those of the configuration in force.
func (d *daemon) waivers() (out []prom.Waiver) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.config.Waivers {
		out = append(out, prom.Waiver{Operation: w.Operation, Subject: w.Subject, Owner: w.Owner, Expires: w.Expires})
	}
	return out
}

// baselines names what every check with a baseline sees now, in the way that
// nodes of one kind share.
func (d *daemon) baselines() []prom.BaselineInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []prom.BaselineInfo
	for _, check := range checkNames() {
		if facts := d.looks[check].Facts; facts != nil {
			out = append(out, prom.BaselineInfo{Scope: check, Digest: d.digests.of(check, facts)})
		}
	}
	return out
}

// digests are the last ones by check: most looks see what the one before saw, and
// say so with the same facts.
type digests map[string]digested

type digested struct {
	facts  map[string]drift.Fact
	digest string
}

func (d digests) of(check string, facts map[string]drift.Fact) string {
	last := d[check]
	if reflect.ValueOf(last.facts).Pointer() != reflect.ValueOf(facts).Pointer() {
		last = digested{facts, drift.SharedDigest(facts)}
		d[check] = last
	}
	return last.digest
}
