package paths

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule protects paths of the host. Globs are relative to the path; ** covers any
// depth.
type Rule struct {
	Paths []string `yaml:"paths"` // absolute; one that leads where an earlier one led counts once

	// Content names the entries below a directory that are static; none: only the
	// identity of the path itself counts. A path that is a file is static.
	Content []string `yaml:"content"`
	// Exclude takes entries out of Content again.
	Exclude []string `yaml:"exclude"`
	// Rotating are links that kubelet moves to a newer certificate of its own, which is
	// absorbed.
	Rotating []string `yaml:"rotating"`
	// MayVanish are entries that are removed in the ordinary course of things.
	MayVanish []string `yaml:"mayVanish"`
	// PerNode are entries whose content differs from node to node.
	PerNode []string `yaml:"perNode"`
	// Renewed are certificates, and kubeconfig files with one, that are renewed in the
	// ordinary course of things: what counts is whose they are and who signed them,
	// and of authorities their keys. One that is newer is absorbed.
	Renewed []string `yaml:"renewed"`
	// Authorities are files with the certificates of those who sign the rotating and
	// renewed ones, as far as the host has them.
	Authorities []string `yaml:"authorities"`
	// Only narrows what counts of the paths, which then counts for this operation and
	// no other: "presence" (gone, of another type, on another file system) or
	// "permissions" (mode and owner). Nothing below the paths counts.
	Only string `yaml:"only"`
	// Mounts: the paths are where no file system of a block device may be mounted, at
	// or below, beside those that were recorded and those that match a glob here.
	Mounts []string `yaml:"mounts"`
	// Must is what the paths have to be, whatever was recorded.
	Must *Must `yaml:"must"`
	// Runtime is whose paths they are, "containerd" or "docker": on a node whose kubelet
	// uses another runtime nothing counts of them.
	Runtime string `yaml:"runtime"`

	// Tier of the findings; "" where the operation has none.
	Tier string `yaml:"tier"`
	// LightTier is that of an entry that is new, or of which only mode and owner differ.
	LightTier string `yaml:"lightTier"`
	// FirstTier is that of an entry that is new in a directory that had none: what was to
	// come. "" is no other tier.
	FirstTier string `yaml:"firstTier"`
	// Appears says what a path is that was absent in the baseline and is there
	// now: "drift" (a drop-in), or "" for newly installed.
	Appears string `yaml:"appears"`
}

// Validate tells what is wrong with a rule.
func (r Rule) Validate() error {
	if len(r.Paths) == 0 {
		return errors.New("paths is missing")
	}
	for _, p := range slices.Concat(r.Paths, r.Authorities) {
		if !strings.HasPrefix(p, "/") || path.Clean(p) != p {
			return fmt.Errorf("path %q is not absolute and clean", p)
		}
	}
	for _, globs := range [][]string{r.Content, r.Exclude, r.Rotating, r.MayVanish, r.PerNode, r.Renewed, r.Mounts} {
		for _, g := range globs {
			if !doublestar.ValidatePattern(g) {
				return fmt.Errorf("glob %q does not parse", g)
			}
		}
	}
	if r.Appears != "" && r.Appears != "drift" {
		return fmt.Errorf(`appears is %q: leave it out or say "drift"`, r.Appears)
	}
	if r.Runtime != "" && r.Runtime != "containerd" && r.Runtime != "docker" {
		return fmt.Errorf(`runtime is %q: leave it out or say "containerd" or "docker"`, r.Runtime)
	}
	switch r.Only {
	case "", onlyPresence, onlyPermissions:
	default:
		return fmt.Errorf("only is %q: leave it out or say %q or %q", r.Only, onlyPresence, onlyPermissions)
	}
	if (r.Only != "" || r.Mounts != nil || r.Must != nil) && len(r.Content) > 0 {
		return errors.New("content goes with none of only, mounts and must")
	}
	if r.Must != nil {
		return r.Must.validate()
	}
	return nil
}

// The aspects that a rule can be narrowed to.
const (
	onlyPresence    = "presence"
	onlyPermissions = "permissions"
)

// recorded tells whether the rule protects its paths by what was recorded of them.
func (r Rule) recorded() bool { return r.Must == nil && r.Mounts == nil }

// static tells whether the entry rel counts.
func (r Rule) static(rel string) bool {
	return matchAny(r.Content, rel) && !matchAny(r.Exclude, rel)
}

// below tells whether an entry below the directory rel can count.
func (r Rule) below(rel string) bool {
	if matchAny(r.Exclude, rel) || matchAny(r.Exclude, rel+"/x") && matchAny(r.Exclude, rel+"/x/x") {
		return false
	}
	for _, g := range r.Content {
		if reaches(strings.Split(g, "/"), strings.Split(rel, "/")) {
			return true
		}
	}
	return false
}

// reaches tells whether the glob can match something below the directory.
func reaches(glob, dir []string) bool {
	for i, part := range dir {
		switch {
		case i >= len(glob):
			return false
		case glob[i] == "**":
			return true
		case !match(glob[i], part):
			return false
		}
	}
	return len(glob) > len(dir)
}

func matchAny(globs []string, rel string) bool {
	for _, g := range globs {
		if match(g, rel) {
			return true
		}
	}
	return false
}

// match has no error to tell: Validate has seen every glob.
func match(glob, rel string) bool {
	ok, err := doublestar.Match(glob, rel)
	return ok && err == nil
}
