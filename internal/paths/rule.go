package paths

import (
	"errors"
	"fmt"
	"path"
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
	// Rotating are links that kubelet moves to a newer certificate of its own.
	Rotating []string `yaml:"rotating"`
	// MayVanish are entries that are removed in the ordinary course of things.
	MayVanish []string `yaml:"mayVanish"`
	// PerNode are entries whose content differs from node to node.
	PerNode []string `yaml:"perNode"`
	// Appears says what a path is that was absent in the baseline and is there
	// now: "drift" (a drop-in), or "" for newly installed.
	Appears string `yaml:"appears"`
}

// Validate tells what is wrong with a rule.
func (r Rule) Validate() error {
	if len(r.Paths) == 0 {
		return errors.New("paths is missing")
	}
	for _, p := range r.Paths {
		if !strings.HasPrefix(p, "/") || path.Clean(p) != p {
			return fmt.Errorf("path %q is not absolute and clean", p)
		}
	}
	for _, globs := range [][]string{r.Content, r.Exclude, r.Rotating, r.MayVanish, r.PerNode} {
		for _, g := range globs {
			if !doublestar.ValidatePattern(g) {
				return fmt.Errorf("glob %q does not parse", g)
			}
		}
	}
	if r.Appears != "" && r.Appears != "drift" {
		return fmt.Errorf(`appears is %q: leave it out or say "drift"`, r.Appears)
	}
	return nil
}

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
