package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// kind is the type of a metric, as Prometheus writes it.
type kind string

const (
	gauge     kind = "gauge"
	counter   kind = "counter"
	histogram kind = "histogram"
)

// metric is one metric family: a row of docs/metrics.md.
type metric struct {
	name   string
	kind   kind
	help   string
	labels []string
	desc   *prometheus.Desc
}

func newMetric(k kind, name, help string, labels ...string) metric {
	name = "nodeguard_" + name
	return metric{name, k, help, labels, prometheus.NewDesc(name, help, labels, nil)}
}

// constant is the metric with a value. Label values are made valid UTF-8: an
// invalid one would cost the whole scrape.
func (m metric) constant(value float64, labels ...string) prometheus.Metric {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "\uFFFD")
	}
	t := prometheus.GaugeValue
	if m.kind == counter {
		t = prometheus.CounterValue
	}
	return prometheus.MustNewConstMetric(m.desc, t, value, labels...)
}

// metrics are all that nodeguard has to say.
type metrics struct {
	findingInfo, findingCount, truncated                      metric
	condition, outOfSupport                                   metric
	checkDuration, checkLastSuccess, checkPasses, checkFailed metric
	sourceInfo, sourceEvents, sourceOverflows, sourceErrors   metric
	latency                                                   metric
	reportAttempts, reportFailures                            metric
	baseline, waiverExpiry, build                             metric
}

func newMetrics() metrics {
	return metrics{
		findingInfo: newMetric(gauge, "finding_info", "An open finding, always 1. At most 200, the most severe first.",
			"id", "operation", "subject", "condition", "severity", "state", "waived"),
		findingCount:     newMetric(gauge, "findings", "Open findings that are not waived, active and pending.", "condition", "severity"),
		truncated:        newMetric(gauge, "findings_truncated", "Open findings that nodeguard_finding_info has no room for."),
		condition:        newMetric(gauge, "condition", "1 for the status that a node condition has, 0 for the others. True is bad.", "condition", "status"),
		outOfSupport:     newMetric(counter, "out_of_support_seconds_total", "Time that a node condition has been True since the agent started.", "condition"),
		checkDuration:    newMetric(gauge, "check_duration_seconds", "How long the last look of a check took.", "check"),
		checkLastSuccess: newMetric(gauge, "check_last_success_timestamp_seconds", "When a look of a check last came to its end, 0 for never.", "check"),
		checkPasses:      newMetric(counter, "check_passes_total", "Looks of a check.", "check"),
		checkFailed:      newMetric(counter, "check_failures_total", "Looks of a check that ran into their deadline or panicked.", "check"),
		sourceInfo:       newMetric(gauge, "source_info", "How a source notices changes, always 1: event (at once), poll (at the next look) or off.", "source", "mode"),
		sourceEvents:     newMetric(counter, "source_events_total", "Events of a source.", "source"),
		sourceOverflows:  newMetric(counter, "source_overflows_total", "Times that a source lost events and everything was looked at again.", "source"),
		sourceErrors:     newMetric(counter, "source_errors_total", "Errors that a source went on after.", "source"),
		latency:          newMetric(histogram, "detection_latency_seconds", "Time from an event to the published report."),
		reportAttempts:   newMetric(counter, "report_attempts_total", "Attempts of a reporter to deliver.", "reporter"),
		reportFailures:   newMetric(counter, "report_failures_total", "Attempts of a reporter that failed.", "reporter"),
		baseline:         newMetric(gauge, "baseline_info", "The digest of the accepted state of a scope, always 1. It is the same on equal nodes.", "scope", "digest"),
		waiverExpiry: newMetric(gauge, "waiver_expiry_timestamp_seconds", "When a waiver of the configuration ends, or ended; those without an end are not there. At most 200, the first to end first.",
			"operation", "subject", "owner"),
		build: newMetric(gauge, "build_info", "What runs, always 1.", "version", "goversion", "revision"),
	}
}

// all lists them in the order of the documentation.
func (m metrics) all() []metric {
	return []metric{
		m.findingInfo, m.findingCount, m.truncated, m.condition, m.outOfSupport,
		m.checkDuration, m.checkLastSuccess, m.checkPasses, m.checkFailed,
		m.sourceInfo, m.sourceEvents, m.sourceOverflows, m.sourceErrors,
		m.latency, m.reportAttempts, m.reportFailures, m.baseline, m.waiverExpiry, m.build,
	}
}
