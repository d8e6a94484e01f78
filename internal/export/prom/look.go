package prom

import (
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// WriteLook writes the report of one look as metrics, by the names that the agent has
// for them. What it writes is OpenMetrics as well as the older text format: gauges
// alone, as counters would begin anew with each look.
func WriteLook(w io.Writer, r drift.Report, build Build) error {
	registry := prometheus.NewRegistry()
	if err := registry.Register(look{newMetrics(), r, build}); err != nil {
		return err
	}
	families, err := registry.Gather()
	if err != nil {
		return err
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeOpenMetrics))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	if end, ok := encoder.(expfmt.Closer); ok {
		return end.Close()
	}
	return nil
}

// look collects what a single look can tell.
type look struct {
	metrics
	report drift.Report
	build  Build
}

// Describe implements prometheus.Collector.
func (l look) Describe(to chan<- *prometheus.Desc) {
	for _, m := range []metric{l.findingInfo, l.findingCount, l.truncated, l.condition, l.checkDuration, l.checkLastSuccess, l.metrics.build} {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (l look) Collect(to chan<- prometheus.Metric) {
	e := emission{metrics: l.metrics, to: to}
	e.findings(Snapshot{Report: l.report})
	e.statuses(l.report)
	for _, c := range l.report.Checks {
		e.put(e.checkDuration, c.DurationSeconds, c.Name)
		if c.Error == "" {
			e.put(e.checkLastSuccess, timestamp(l.report.GeneratedAt), c.Name)
		}
	}
	e.put(e.build, 1, l.build.Version, l.build.GoVersion, l.build.Revision)
}
