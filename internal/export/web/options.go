package web

import (
	"log/slog"
	"net/http"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// DefaultAddress is where the agent listens unless told otherwise.
const DefaultAddress = ":19639"

// Options say what to serve, and where.
type Options struct {
	Addresses []string // each of them; none serves nothing
	// ConfigFile is exporter-toolkit's web configuration; "" is plain HTTP, with
	// the report on loopback only.
	ConfigFile string
	Pprof      bool
	Log        *slog.Logger

	Metrics http.Handler
	Report  func() drift.Report // the last one; the zero report before the first
	// Status is what the page shows, worded in the language; "" is the agent's.
	Status  func(drift.Language) Status
	Turning func() bool // whether the agent's loop turns
	Ready   func() bool // whether the first full pass is over
}
