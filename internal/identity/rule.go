package identity

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/mod/semver"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Rule says one thing that has to hold: it has exactly one of its kinds, and a tier
// where the operation has several.
type Rule struct {
	// Same are what must be as it was recorded.
	Same []Aspect `yaml:"same"`
	// Metadata are labels and annotations of the Node that only the provider changes.
	Metadata *Metadata `yaml:"metadata"`
	// Required is a label that the Node must have.
	Required *Required `yaml:"required"`
	// System is the operating system that the Node may have.
	System *System `yaml:"system"`
	// Platform says whose machine it may not be.
	Platform *Platform `yaml:"platform"`
	// MTU is the one that an interface must have, where there is such an interface.
	MTU *MTU `yaml:"mtu"`
	// Agree are files that must hold the same machine's id.
	Agree []string `yaml:"agree"`
	// Instance is how instance ids begin: the Node's providerID must end with the one
	// that cloud-init found.
	Instance string `yaml:"instance"`
	// Modules are kernel modules from elsewhere than the kernel's tree: none may come.
	Modules *Modules `yaml:"modules"`
	// PolicyRoutes is "complete": every table that rules send pods to has a default route.
	PolicyRoutes string `yaml:"policyRoutes"`

	// Tier of the findings.
	Tier string `yaml:"tier"`
}

// Aspect is one thing that a baseline keeps of a node.
type Aspect string

// The aspects.
const (
	Address      Aspect = "address"       // that the kubelet registered, on the host and on the Node
	DefaultRoute Aspect = "default-route" // gateway and interface
	Interface    Aspect = "interface"     // of the default route
	MAC          Aspect = "mac"           // of that interface
	LinkMTU      Aspect = "mtu"           // of that interface
	DHCP         Aspect = "dhcp"          // the address has a lease
	Hostname     Aspect = "hostname"      // in force, and of the next boot
	Installation Aspect = "installation"  // machine-id and root file system
	Distribution Aspect = "distribution"  // and its major version
	Kernel       Aspect = "kernel"        // that runs
	Capacity     Aspect = "capacity"      // CPUs and memory
	ProviderID   Aspect = "provider-id"   // of the Node
	NodeObject   Aspect = "node-object"   // the Node is there, and the same
)

var aspects = [...]Aspect{
	Address, DefaultRoute, Interface, MAC, LinkMTU, DHCP, Hostname, Installation, Distribution, Kernel, Capacity, ProviderID, NodeObject,
}

// Metadata are labels and annotations that must be as they were recorded, unless one
// of Controllers changed them.
type Metadata struct {
	Labels      []string `yaml:"labels"`      // globs of keys
	Annotations []string `yaml:"annotations"` // globs of keys
	Except      []string `yaml:"except"`      // globs of keys that may change
	// Added is "also" where keys that came count too, and "only" where nothing else does.
	Added       string   `yaml:"added"`
	Controllers []string `yaml:"controllers"` // globs of field managers that are the provider's
	// People are globs of field managers that people work with. A change by somebody else
	// is of UnknownTier, and a key that somebody else added is none.
	People      []string `yaml:"people"`
	UnknownTier string   `yaml:"unknownTier"`
	// RemovedTier is of keys that went: nothing tells who took them away.
	RemovedTier string   `yaml:"removedTier"`
	NotOn       []string `yaml:"notOn"` // globs of providerIDs of Nodes that it is not about
}

const (
	addedAlso = "also"
	addedOnly = "only"
)

// Required is a label that a Node must have.
type Required struct {
	Label      string   `yaml:"label"`
	ProviderID []string `yaml:"providerID"` // globs: of other Nodes nothing is asked
	Unless     []string `yaml:"unless"`     // globs of labels, KEY or KEY=VALUE, whose Nodes need none
}

// System says which operating systems a Node may have, as ID-VERSION of os-release.
type System struct {
	From        string   `yaml:"from"`   // version of the kubelet since which it holds
	Before      string   `yaml:"before"` // version of the kubelet before which it holds
	Label       string   `yaml:"label"`  // it holds for Nodes whose label is Value
	Value       string   `yaml:"value"`  // glob
	Supported   []string `yaml:"supported"`
	Unsupported []string `yaml:"unsupported"`
}

// Platform tells clouds by what the machine says of its maker, and the Node's
// providerID, in lower case. What says nothing of either is not judged.
type Platform struct {
	Supported []string `yaml:"supported"` // globs
	Other     []string `yaml:"other"`     // globs of whom it may not be
}

// MTU is that of an interface.
type MTU struct {
	Interface string `yaml:"interface"`
	Is        int    `yaml:"is"`
}

// Modules are kernel modules that were built elsewhere.
type Modules struct {
	Except []string `yaml:"except"` // globs of those that may come
}

const complete = "complete"

// Validate tells what is wrong with the rule.
func (r Rule) Validate() error {
	kinds := 0
	for _, has := range []bool{
		r.Same != nil, r.Metadata != nil, r.Required != nil, r.System != nil, r.Platform != nil, r.MTU != nil,
		r.Agree != nil, r.Instance != "", r.Modules != nil, r.PolicyRoutes != "",
	} {
		if has {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("a rule has exactly one of same, metadata, required, system, platform, mtu, agree, instance, modules and policyRoutes, not %d", kinds)
	}
	return errors.Join(r.validateSame(), r.Metadata.validate(), r.Required.validate(), r.System.validate(), r.validateRest())
}

func (r Rule) validateSame() error {
	for _, a := range r.Same {
		if !slices.Contains(aspects[:], a) {
			return fmt.Errorf("same: %q is none of %v", a, aspects)
		}
	}
	return nil
}

func (m *Metadata) validate() error {
	switch {
	case m == nil:
		return nil
	case len(m.Labels) == 0 && len(m.Annotations) == 0:
		return errors.New("metadata: neither labels nor annotations: nothing to look for")
	case m.Added != "" && m.Added != addedAlso && m.Added != addedOnly:
		return fmt.Errorf("metadata.added: %q is neither %q nor %q", m.Added, addedAlso, addedOnly)
	}
	return validGlobs(m.Labels, m.Annotations, m.Except, m.Controllers, m.People, m.NotOn)
}

func (r *Required) validate() error {
	switch {
	case r == nil:
		return nil
	case r.Label == "":
		return errors.New("required.label is missing")
	}
	return validGlobs(r.ProviderID, r.Unless)
}

func (s *System) validate() error {
	switch {
	case s == nil:
		return nil
	case (s.Supported == nil) == (s.Unsupported == nil):
		return errors.New("system: one of supported and unsupported is needed")
	case (s.Label == "") != (s.Value == ""):
		return errors.New("system: label and value go together")
	}
	for _, v := range []string{s.From, s.Before} {
		if v != "" && !semver.IsValid("v"+v) {
			return fmt.Errorf("system: %q is no version like 1.30", v)
		}
	}
	return validGlobs([]string{s.Value}, s.Supported, s.Unsupported)
}

func (r Rule) validateRest() error {
	switch {
	case r.MTU != nil && (r.MTU.Interface == "" || r.MTU.Is <= 0):
		return errors.New("mtu: interface and is are needed")
	case r.Platform != nil && len(r.Platform.Other) == 0:
		return errors.New("platform.other is missing: nothing could be out of support")
	case r.Agree != nil && len(r.Agree) < 2:
		return errors.New("agree: it takes two files to agree")
	case r.PolicyRoutes != "" && r.PolicyRoutes != complete:
		return fmt.Errorf("policyRoutes: %q is not %q", r.PolicyRoutes, complete)
	}
	if r.Platform != nil {
		return validGlobs(r.Platform.Supported, r.Platform.Other)
	}
	if r.Modules != nil {
		return validGlobs(r.Modules.Except)
	}
	return nil
}

// asks tells whether any of the rules wants one of the aspects as it was recorded.
func asks(rules []drift.Bound[Rule], aspects ...Aspect) bool {
	return slices.ContainsFunc(rules, func(r drift.Bound[Rule]) bool {
		return slices.ContainsFunc(r.Rule.Same, func(a Aspect) bool { return slices.Contains(aspects, a) })
	})
}

// baselined tells whether the rule compares with what was recorded.
func (r Rule) baselined() bool { return r.Same != nil || r.Metadata != nil || r.Modules != nil }

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, _ := path.Match(g, name)
		return ok
	})
}

func validGlobs(lists ...[]string) error {
	for _, g := range slices.Concat(lists...) {
		if _, err := path.Match(g, ""); err != nil {
			return fmt.Errorf("glob %q: %w", g, err)
		}
	}
	return nil
}
