package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/components"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/firewall"
	"github.com/nodeguard/nodeguard/internal/hostconfig"
	"github.com/nodeguard/nodeguard/internal/identity"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/sysctl"
	"github.com/nodeguard/nodeguard/internal/volumes"
)

// area is a check with the condition it stands for and how it is built.
type area struct {
	name      string
	condition string
	build     func(s *session, recorded baseline.Scope) (drift.Check, error)
}

// areas is the list of checks. A new check is a line here.
func areas() []area {
	return []area{
		{sysctl.Name, "KernelParameterDrift", buildSysctl},
		{paths.Name, "KubernetesPathDrift", buildPaths},
		{firewall.Name, "FirewallInterference", buildFirewall},
		{components.Name, "ComponentConfigDrift", buildComponents},
		{volumes.Name, "VolumeMountDrift", buildVolumes},
		{identity.Name, "NodeIdentityDrift", buildIdentity},
		{hostconfig.Name, "HostConfigDrift", buildHostconfig},
	}
}

func buildSysctl(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[sysctl.Rule](s.profile, sysctl.Name)
	return sysctl.New(s.host, rules, s.config.NodePortRange, recorded), err
}

func buildPaths(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[paths.Rule](s.profile, paths.Name)
	check := paths.New(s.host, rules, recorded, s.progress).
		WithPackages(s.installed(rules), components.OwnedFiles(s.baseline.Scope(components.Name))).
		WithRuntime(func() string { return components.RuntimeOf(s.host, s.ownNode) })
	if s.files != nil {
		check = check.WithFiles(s.files)
	}
	return check, err
}

func buildFirewall(s *session, _ baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[firewall.Rule](s.profile, firewall.Name)
	return firewall.New(s.host, rules).WithUnits(s.units), err
}

func buildComponents(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[components.Rule](s.profile, components.Name)
	protected, failed := catalog.Rules[paths.Rule](s.profile, paths.Name)
	check := components.New(s.host, rules, recorded).WithUnits(s.units).WithNode(s.ownNode, s.upgrade().Observed())
	return check.WithPackages(s.installed(protected)), errors.Join(err, failed)
}

func buildHostconfig(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[hostconfig.Rule](s.profile, hostconfig.Name)
	check := hostconfig.New(s.host, rules, recorded).WithUnits(s.units)
	if s.files != nil { // the agent: one look has no time to wait for answers
		check = check.WithProbes()
	}
	return check, err
}

func buildIdentity(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[identity.Rule](s.profile, identity.Name)
	return identity.New(s.host, rules, s.ownNode, recorded), err
}

func buildVolumes(s *session, recorded baseline.Scope) (drift.Check, error) {
	rules, err := catalog.Rules[volumes.Rule](s.profile, volumes.Name)
	if s.mounts == nil {
		s.mounts = probe.NewMounts(s.host)
	}
	return volumes.New(s.host, rules, s.mounts, recorded), err
}

func checkNames() []string {
	var names []string
	for _, a := range areas() {
		names = append(names, a.name)
	}
	return names
}

// conditions are the checks' conditions by the name of the check.
func conditions() map[string]string {
	out := map[string]string{}
	for _, a := range areas() {
		out[a.name] = a.condition
	}
	return out
}

// enabled are the areas that the configuration leaves on and the profile has
// operations for.
func (s *session) enabled() []area {
	return slices.DeleteFunc(areas(), func(a area) bool {
		c, said := s.config.Checks[a.name]
		return said && !c.Enabled || len(s.profile.OperationsOf(a.name)) == 0
	})
}

// checks builds the enabled checks against the baseline.
func (s *session) checks() ([]drift.Check, error) {
	if err := s.rouse(); err != nil {
		return nil, err
	}
	var out []drift.Check
	for _, a := range s.enabled() {
		check, err := a.build(s, s.baseline.Scope(a.name))
		if err != nil {
			return nil, usage(fmt.Errorf("rules of the %s check: %w", a.name, err), "CONTRIBUTING.md documents the rules")
		}
		out = append(out, check)
	}
	return out, nil
}
