package prom

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Snapshot is all that a scrape shows. It is never changed after it was handed out.
type Snapshot struct {
	Report       drift.Report // the last one; zero before the first
	Checks       []CheckStats
	Sources      []Source
	OutOfSupport map[string]float64 // seconds that a condition has been True, by its type
	Latency      Latency
	Reporters    []ReporterStats
	Baselines    []BaselineInfo
	Waivers      []Waiver
	Build        Build
}

// CheckStats counts the looks of one check.
type CheckStats struct {
	Name        string
	Duration    time.Duration // of the last look
	LastSuccess time.Time     // zero: never
	Passes      uint64
	Failures    uint64 // of these, the ones that ran into their deadline or panicked
}

// Source counts what one source of hints had to say.
type Source struct {
	Name      string
	Check     string // whose source it is; metrics add up sources of one name
	Mode      drift.Mode
	Events    uint64
	Overflows uint64
	Errors    uint64
}

// ReporterStats counts the deliveries of one reporter, such as kube.
type ReporterStats struct {
	Name     string
	Attempts uint64
	Failures uint64
}

// BaselineInfo names the accepted state of a scope.
type BaselineInfo struct{ Scope, Digest string }

// Build says what runs.
type Build struct{ Version, GoVersion, Revision string }

// ThisBuild is the running program, which calls itself version.
func ThisBuild(version string) Build {
	b := Build{Version: version, GoVersion: runtime.Version(), Revision: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}
