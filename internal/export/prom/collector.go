package prom

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// maxFindings bounds the series of nodeguard_finding_info.
const maxFindings = 200

// collector emits the metrics of the snapshot that is current at each scrape.
type collector struct {
	metrics
	snapshot func() Snapshot
}

// NewCollector returns a collector of what snapshot returns.
func NewCollector(snapshot func() Snapshot) prometheus.Collector {
	return collector{metrics: newMetrics(), snapshot: snapshot}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.all() {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.snapshot()
	e := emission{metrics: c.metrics, to: to}
	e.findings(s)
	e.conditions(s)
	e.checks(s.Checks)
	e.sources(s.Sources)
	e.reporters(s.Reporters)
	e.baselines(s.Baselines)
	e.waivers(s.Waivers)
	buckets, count := s.Latency.cumulative()
	to <- prometheus.MustNewConstHistogram(c.latency.desc, count, s.Latency.Sum, buckets)
	e.put(e.build, 1, s.Build.Version, s.Build.GoVersion, s.Build.Revision)
}

// emission is one scrape.
type emission struct {
	metrics
	to chan<- prometheus.Metric
}

func (e emission) put(m metric, value float64, labels ...string) {
	e.to <- m.constant(value, labels...)
}

// findings come in the order of the report, the most severe first.
func (e emission) findings(s Snapshot) {
	shown := s.Report.Findings[:min(len(s.Report.Findings), maxFindings)]
	for _, f := range shown {
		e.put(e.findingInfo, 1, f.ID, f.Operation, f.Subject, f.Condition, string(f.Severity), string(f.State), strconv.FormatBool(f.Waiver != nil))
	}
	e.put(e.truncated, float64(len(s.Report.Findings)-len(shown)))
	e.findingCounts(s)
}

// findingCounts has a 0 for each severity of each family, so that a first finding
// is an increase and not a new series.
func (e emission) findingCounts(s Snapshot) {
	type key struct {
		condition string
		severity  drift.Severity
	}
	counts := map[key]int{}
	for _, condition := range families(s) {
		for _, severity := range []drift.Severity{drift.Critical, drift.Warning, drift.Info} {
			counts[key{condition, severity}] = 0
		}
	}
	for _, f := range s.Report.Findings {
		k := key{f.Condition, f.Severity}
		if f.Waiver == nil {
			counts[k]++
		}
	}
	for k, n := range counts {
		e.put(e.findingCount, float64(n), k.condition, string(k.severity))
	}
}

// families are the conditions that findings belong to, all but the aggregates.
func families(s Snapshot) []string {
	var out []string
	for condition := range conditionSeconds(s) {
		if condition != drift.NodeOutOfSupport && condition != drift.NodeRebuildAdvised {
			out = append(out, condition)
		}
	}
	return out
}

// conditions that have no report yet have no status, but a counter.
func (e emission) conditions(s Snapshot) {
	e.statuses(s.Report)
	for condition, seconds := range conditionSeconds(s) {
		e.put(e.outOfSupport, seconds, condition)
	}
}

func (e emission) statuses(r drift.Report) {
	for _, c := range r.Conditions {
		for _, status := range []drift.Status{drift.True, drift.False, drift.Unknown} {
			e.put(e.condition, oneIf(c.Status == status), c.Type, string(status))
		}
	}
}

// conditionSeconds are the seconds out of support of every known condition.
func conditionSeconds(s Snapshot) map[string]float64 {
	out := map[string]float64{}
	for _, c := range s.Report.Conditions {
		out[c.Type] = 0
	}
	for condition, seconds := range s.OutOfSupport {
		out[condition] = seconds
	}
	return out
}

func (e emission) checks(checks []CheckStats) {
	for _, c := range checks {
		e.put(e.checkDuration, c.Duration.Seconds(), c.Name)
		e.put(e.checkLastSuccess, timestamp(c.LastSuccess), c.Name)
		e.put(e.checkPasses, float64(c.Passes), c.Name)
		e.put(e.checkFailed, float64(c.Failures), c.Name)
	}
}

// sources of one name in several checks are one series: a duplicate would cost
// the scrape.
func (e emission) sources(sources []Source) {
	type mode struct {
		source string
		mode   drift.Mode
	}
	sums, modes := map[string]Source{}, map[mode]bool{}
	for _, s := range sources {
		sum := sums[s.Name]
		sum.Events += s.Events
		sum.Overflows += s.Overflows
		sum.Errors += s.Errors
		sums[s.Name] = sum
		modes[mode{s.Name, s.Mode}] = true
	}
	for m := range modes {
		e.put(e.sourceInfo, 1, m.source, string(m.mode))
	}
	for name, sum := range sums {
		e.put(e.sourceEvents, float64(sum.Events), name)
		e.put(e.sourceOverflows, float64(sum.Overflows), name)
		e.put(e.sourceErrors, float64(sum.Errors), name)
	}
}

func (e emission) reporters(reporters []ReporterStats) {
	for _, r := range reporters {
		e.put(e.reportAttempts, float64(r.Attempts), r.Name)
		e.put(e.reportFailures, float64(r.Failures), r.Name)
	}
}

func (e emission) baselines(baselines []BaselineInfo) {
	for _, b := range baselines {
		e.put(e.baseline, 1, b.Scope, b.Digest)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// timestamp is the time in seconds, 0 for never.
func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
