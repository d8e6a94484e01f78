package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/units"
	"github.com/nodeguard/nodeguard/internal/watch"
)

// session is what the commands work with: the host, what is documented about it
// and what was accepted of it.
type session struct {
	*options
	config   config.Config
	catalog  *catalog.Catalog
	language drift.Language

	host     *host.Root
	store    *baseline.Store
	baseline *baseline.Baseline // nil: none that can be used
	baseErr  error              // why not; baseline.ErrNone where there is none yet
	profile  catalog.Profile
	because  string // why that profile
	progress *paths.Progress

	files *watch.Watcher // nil: nobody listens for changes
	units *units.Bus

	ownNode *node.Source // nil: no cluster

	inventory *packages.Inventory // outlives the checks, too

	mounts *probe.Mounts // outlives the checks, as who hangs on a mount does
}

// open reads configuration and catalogue, which no host is needed for.
func open(o *options) (*session, error) {
	s := &session{options: o, language: drift.English, progress: &paths.Progress{}}
	var err error
	if s.catalog, err = catalog.Load(); err != nil {
		return nil, err
	}
	if o.config != "" {
		if s.config, err = config.Read(o.config); err != nil {
			return nil, usage(err, "docs/reference.yaml documents every key")
		}
	}
	if s.config.Language != "" {
		s.language = s.config.Language
	}
	if o.lang != "" {
		s.language = drift.Language(o.lang)
	}
	if !slices.Contains(drift.Languages[:], s.language) {
		return nil, usage(fmt.Errorf("--lang: there is no %q", o.lang), "use en or zh")
	}
	return s, s.validateConfig()
}

// openHost opens the host with its baseline and chooses the profile.
func openHost(o *options) (*session, error) {
	opened := aside(func() *session { return openRoot(o.root) }) // while the catalogue is read
	s, err := open(o)
	state := opened()
	switch {
	case err != nil:
		if state.host != nil {
			_ = state.host.Close()
		}
		return nil, err
	case state.host == nil:
		return nil, usage(state.baseErr, "--root names the host's root directory")
	}
	s.host, s.store, s.baseline, s.baseErr = state.host, state.store, state.baseline, state.baseErr
	if err := s.chooseProfile(); err != nil {
		return nil, err
	}
	return s, s.tryOverrides()
}

// openRoot opens the host with its baseline; without one, why not.
func openRoot(root string) *session {
	h, err := host.Open(root)
	if err != nil {
		return &session{baseErr: err}
	}
	s := &session{host: h, store: baseline.NewStore(h)}
	s.baseline, s.baseErr = s.store.Load()
	return s
}

// aside begins to do something and returns how to wait for it.
func aside[T any](do func() T) (done func() T) {
	result := make(chan T, 1)
	go func() { result <- do() }()
	return sync.OnceValue(func() T { return <-result })
}

// chooseProfile takes the named profile, else the one that was recorded, else
// what the host's files and the own Node tell.
func (s *session) chooseProfile() error {
	name, because := s.named(), "it is named"
	if name == auto {
		var err error
		if name, because, err = s.detected(); err != nil {
			return err
		}
	}
	s.because = because
	p, err := s.catalog.Profile(name)
	if err != nil {
		return usage(err, "or leave --profile out to have it detected")
	}
	return s.use(p)
}

func (s *session) named() string {
	for _, name := range []string{s.options.profile, s.config.Profile} {
		if name != "" {
			return name
		}
	}
	return auto
}

const auto = "auto"

// detected never changes what was recorded: that the API is away, or a file of the
// provider's gone, makes it no other node.
func (s *session) detected() (name, because string, err error) {
	if s.kept() {
		return s.baseline.Profile, "it was recorded with the baseline", nil
	}
	if own, known := s.ownNode.Get(); known {
		return s.catalog.Detect(s.host, &own)
	}
	return s.catalog.Detect(s.host, nil)
}

// kept tells whether the baseline says which profile this node has.
func (s *session) kept() bool {
	return s.baseline != nil && s.baseline.Machine.Same(s.machine()) && slices.Contains(s.catalog.Names(), s.baseline.Profile)
}

// undetected tells whether the own Node has a say in the profile.
func (s *session) undetected() bool { return s.named() == auto && !s.kept() }

// use makes the profile with the user's additions the session's.
func (s *session) use(p catalog.Profile) error {
	p, err := p.With(s.config.Operations)
	if err != nil {
		return usage(err, "docs/reference.yaml documents every key")
	}
	s.profile = p.Without(s.config.Disabled)
	if err := s.profile.CheckRules(conditions()); err != nil {
		return usage(err, "CONTRIBUTING.md shows how an operation is added")
	}
	return nil
}

// rest lets go of the rules when the checks have been built from them.
func (s *session) rest() {
	s.catalog.Forget()
	s.profile = s.profile.Told()
}

// rouse has the rules again.
func (s *session) rouse() error {
	if !s.profile.LacksRules() {
		return nil
	}
	p, err := s.catalog.Profile(s.profile.Name)
	if err != nil {
		return err
	}
	return s.use(p)
}

func (s *session) machine() baseline.Machine {
	return baseline.Machine{ID: s.host.MachineID(), Instance: s.host.InstanceID()}
}

// policy is what Judge needs to know.
func (s *session) policy(checks []drift.Check) drift.Policy {
	p := drift.Policy{
		Node: drift.Printable(s.host.Hostname()), Profile: s.profile.Name, Waivers: s.config.Waivers, Language: s.language,
		Operations: s.profile.In(s.language),
	}
	for _, o := range s.profile.Operations {
		if _, said := s.config.Severities[o.ID]; !said && o.OnTrial(versionString()) {
			p.Operations[o.ID] = catalog.Tried(p.Operations[o.ID])
		}
	}
	for id, severity := range s.config.Severities {
		if o, ok := p.Operations[id]; ok {
			o.Severity, o.Tiers = severity, withSeverity(o.Tiers, severity)
			p.Operations[id] = o
		}
	}
	for _, c := range checks {
		cp := drift.CheckPolicy{Name: c.Name(), Condition: conditions()[c.Name()], Operations: s.profile.OperationsOf(c.Name())}
		if err := s.unusable(); err != nil {
			cp.Gaps = baseline.Gaps(err, baselineOperations(c))
		}
		p.Checks = append(p.Checks, cp)
	}
	return p
}

// withSeverity caps every tier at the user's severity: what the document already
// takes lightly stays light.
func withSeverity(tiers map[string]drift.Tier, severity drift.Severity) map[string]drift.Tier {
	out := map[string]drift.Tier{}
	for name, t := range tiers {
		if t.Severity.Weighs() || t.Severity == "" {
			t.Severity = severity
		}
		out[name] = t
	}
	return out
}

// unusable tells why the baseline cannot be used, nil where it can or where there
// is none yet.
func (s *session) unusable() error {
	if s.baseErr == nil || errors.Is(s.baseErr, baseline.ErrNone) {
		return nil
	}
	return s.baseErr
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
