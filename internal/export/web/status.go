package web

import (
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Status is what the page shows.
type Status struct {
	Language drift.Language
	Report   drift.Report // in that language
	Version  string
	Sources  []Source
	History  []Happening // the newest first
}

// Source is how one source of a check is doing.
type Source struct {
	Check, Name, Why string
	Mode             drift.Mode
	Events, Lost     uint64
	Errors           uint64
}

// Happening is one line of the journal.
type Happening struct {
	At                 time.Time
	Event              string
	Operation, Subject string
	Observed, Detail   string
	Actor              *drift.Actor
}
