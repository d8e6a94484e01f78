package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// The tiers of an operation, the most severe first.
const (
	Enforcing = "enforcing" // rules in the kernel drop packets
	Enabled   = "enabled"   // rules will, after the next boot
	Installed = "installed" // nothing more than that
)

// Rule says what a firewall is to one operation.
type Rule struct {
	// Services are the firewall services that count.
	Services []string `yaml:"services"`
	// RuleSets: rules in the kernel that drop packets count too when none of
	// the services explains them.
	RuleSets bool `yaml:"ruleSets"`
	// Tiers are the degrees that count; empty means all three.
	Tiers []string `yaml:"tiers"`
	// Ignore are globs of the names of chains and nf_tables tables that belong
	// to Kubernetes, its network plugins and container runtimes.
	Ignore []string `yaml:"ignore"`
	// ForwardDrop are globs of chains whose owner, Docker, sets the policy of
	// FORWARD to drop.
	ForwardDrop []string `yaml:"forwardDrop"`
	// AllowDropTo are addresses that rules may keep pods from reaching, such as
	// a cloud's metadata server.
	AllowDropTo []netip.Addr `yaml:"allowDropTo"`

	// Redirects are ports that no rule may hand to another address: in the kernel, and
	// in what Services load at boot. Such a rule looks for nothing else.
	Redirects []uint16 `yaml:"redirects"`
	// Tunnels: network interfaces that lead into a tunnel count, but for those that
	// Ignore names. Such a rule looks for nothing else.
	Tunnels bool `yaml:"tunnels"`
}

// Validate tells whether the rule can be judged.
func (r Rule) Validate() error {
	if len(r.Services) == 0 && !r.RuleSets && len(r.Redirects) == 0 && !r.Tunnels {
		return errors.New("neither services nor ruleSets: nothing to look for")
	}
	if r.Tunnels && (r.RuleSets || len(r.Services)+len(r.Redirects) > 0) || r.RuleSets && len(r.Redirects) > 0 {
		return errors.New("tunnels and redirects are rules of their own")
	}
	if r.RuleSets && len(r.Ignore) == 0 {
		return errors.New("ruleSets without ignore: the rules of kube-proxy would be a firewall")
	}
	for _, name := range r.Services {
		if !isService(name) {
			return fmt.Errorf("services: %q is none that is known", name)
		}
	}
	for _, tier := range r.Tiers {
		if tier != Enforcing && tier != Enabled && tier != Installed {
			return fmt.Errorf("tiers: %q is none of enforcing, enabled, installed", tier)
		}
	}
	for _, glob := range slices.Concat(r.Ignore, r.ForwardDrop) {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("glob %q: %w", glob, err)
		}
	}
	return nil
}

func (r Rule) ignores(name string) bool { return matches(r.Ignore, name) }

// readsRules tells whether the kernel's firewall rules matter to it.
func (r Rule) readsRules() bool { return !r.Tunnels }

func (r Rule) counts(tier string) bool { return len(r.Tiers) == 0 || slices.Contains(r.Tiers, tier) }

// supported is what a service should be.
func (r Rule) supported() string {
	switch {
	case r.counts(Installed):
		return "not installed"
	case r.counts(Enabled):
		return "disabled"
	default:
		return "not enforcing"
	}
}

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, _ := path.Match(glob, name)
		return ok
	})
}

// ignoredByAll tells of names that no rule is interested in.
func ignoredByAll(rules []drift.Bound[Rule]) func(name string) bool {
	return func(name string) bool {
		return !slices.ContainsFunc(rules, func(b drift.Bound[Rule]) bool { return b.Rule.readsRules() && !b.Rule.ignores(name) })
	}
}
