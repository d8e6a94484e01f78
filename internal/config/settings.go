package config

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// Settings are what may differ from one pool of nodes to another.
type Settings struct {
	Profile    string // "" or "auto": detected
	Mode       string // "", "enforce" or "observe"
	Observe    bool   // what the mode comes to: metrics, report and journal only, no condition and no event
	Operations []catalog.Operation
	Disabled   []string // operation ids
	Severities map[string]drift.Severity
	Waivers    []drift.Waiver
	Checks     map[string]Check
	Intervals  Intervals
	Accept     []Acceptance
	Journal    Journal
}

// Check is what the file says of one check.
type Check struct{ Enabled bool }

// Intervals are what the agent does by the clock; 0 where the file does not say.
type Intervals struct {
	Resync         time.Duration // longest time between two looks at all of a check's area
	BaselineSettle time.Duration // how long the node must look the same before it is recorded
}

// Acceptance is a state that is accepted on every node that shows it.
type Acceptance struct {
	Scope   string // name of the check
	Digest  string // as drift.SharedDigest has it
	Reason  string
	Expires time.Time // zero: never
}

// settings turns the raw form into values. Errors begin with where, those of
// operations with their own place.
func (r RawSettings) settings(file *catalog.File, where string) (Settings, error) {
	s := Settings{Profile: r.Profile, Mode: r.Mode, Observe: r.Mode == "observe", Disabled: r.Disabled, Severities: r.Severities, Checks: map[string]Check{}}
	var err error
	if s.Operations, err = file.Operations(r.Operations); err != nil {
		return s, err
	}
	for check, v := range r.Checks {
		s.Checks[check] = Check{Enabled: v.Enabled == nil || *v.Enabled}
	}
	if err := s.validate(r); err != nil {
		return s, fmt.Errorf("%s: %w", where, err)
	}
	return s, nil
}

func (s *Settings) validate(r RawSettings) error {
	if s.Mode != "" && s.Mode != "observe" && s.Mode != "enforce" {
		return fmt.Errorf("mode %q is none of [enforce observe]", s.Mode)
	}
	for id, severity := range s.Severities {
		if severity != drift.Critical && severity != drift.Warning && severity != drift.Info {
			return fmt.Errorf("severities: %s: %q is none of [critical warning info]", id, severity)
		}
	}
	for i, w := range r.Waivers {
		waiver, err := w.value()
		if err != nil {
			return fmt.Errorf("waivers[%d]: %w", i, err)
		}
		s.Waivers = append(s.Waivers, waiver)
	}
	for i, a := range r.Accept {
		acceptance, err := a.value()
		if err != nil {
			return fmt.Errorf("accept[%d]: %w", i, err)
		}
		s.Accept = append(s.Accept, acceptance)
	}
	var err error
	if s.Intervals, err = r.Intervals.value(); err != nil {
		return fmt.Errorf("intervals: %w", err)
	}
	if s.Journal, err = r.Journal.value(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

func (w rawWaiver) value() (drift.Waiver, error) {
	if w.Operation == "" {
		return drift.Waiver{}, errors.New("operation is missing")
	}
	if w.Reason == "" {
		return drift.Waiver{}, fmt.Errorf("reason is missing: say why %s is allowed", w.Operation)
	}
	expires, err := expiry(w.Expires)
	return drift.Waiver{Operation: w.Operation, Subject: w.Subject, Reason: w.Reason, Owner: w.Owner, Expires: expires}, err
}

var digest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (a rawAcceptance) value() (Acceptance, error) {
	if a.Scope == "" {
		return Acceptance{}, errors.New("scope is missing: name the check")
	}
	if !digest.MatchString(a.Digest) {
		return Acceptance{}, fmt.Errorf("digest %q is not sha256: and 64 digits: nodeguard_baseline_info shows it", a.Digest)
	}
	if a.Reason == "" {
		return Acceptance{}, fmt.Errorf("reason is missing: say why this state of %s is accepted", a.Scope)
	}
	expires, err := expiry(a.Expires)
	return Acceptance{Scope: a.Scope, Digest: a.Digest, Reason: a.Reason, Expires: expires}, err
}

// expiry is when something ends; zero for never. A date lasts through that day.
func expiry(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("expires %q is neither a date like 2027-01-31 nor RFC 3339", text)
	}
	return at, nil
}
