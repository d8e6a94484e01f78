package paths

import (
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// WithPackages gives the check what the host's package manager installed. former are
// the files of packages as the baseline knows them, with the package's name.
func (c *Check) WithPackages(inventory *packages.Inventory, former map[string]string) *Check {
	c.inventory, c.former = inventory, former
	return c
}

// Protected are the paths at or below which a file of a package counts.
func Protected(rules []drift.Bound[Rule]) []string {
	var out []string
	for _, r := range rules {
		if r.Rule.recorded() && r.Rule.Only == "" {
			out = append(out, r.Rule.Paths...)
		}
	}
	return out
}

// AtWork is why nobody knows whose a file is.
const AtWork = "the package manager is at work"

// atWork bounds how long the package manager's work is waited for.
const atWork = 15 * time.Minute

// owned tells of each finding whether it is what a package installed. While the package
// manager is at work nobody knows of what it may be about to change.
func (c *comparison) owned() {
	if c.inventory == nil || len(c.findings) == 0 {
		return
	}
	snapshot, err := c.inventory.Look(c.ctx, c.root)
	c.busy = c.worked() // it may have locked what had no lock a moment ago
	if err != nil && !c.busy {
		return
	}
	for i := range c.findings {
		c.ownedBy(&c.findings[i], snapshot)
	}
	c.busy = c.busy || c.worked()
	c.findings = slices.DeleteFunc(c.findings, func(f drift.Finding) bool {
		if !c.busy || !c.unsure(f, snapshot) {
			return false
		}
		c.gaps = append(c.gaps, drift.Gap{
			Operation: f.Operation, Subject: f.Subject, Reason: AtWork, Hint: "it is looked at again when it has ended",
		})
		return true
	})
}

// worked tells whether the package manager is at work, or has been since the look began.
func (c *comparison) worked() bool {
	return packages.Busy(c.root) || packages.StateOf(c.root) != c.database
}

// unsure tells whether the finding may be of what the package manager does right now.
func (c *comparison) unsure(f drift.Finding, s packages.Snapshot) bool {
	if !f.Baseline || strings.HasSuffix(f.Subject, mountSuffix) || !strings.HasPrefix(f.Subject, "/") {
		return false
	}
	if e, err := c.root.Lstat(f.Subject); err == nil && time.Since(e.Changed) > atWork {
		return false
	}
	_, known := c.recorded[f.Subject]
	_, owned := s.Owner(f.Subject)
	return f.Package == "" && (owned || !known || c.former[f.Subject] != "")
}

// ownedBy sets the package that a finding is explained by, and whether no package can
// explain it.
func (c *comparison) ownedBy(f *drift.Finding, s packages.Snapshot) {
	now, seen := c.facts[f.Subject]
	was := c.recorded[f.Subject]
	switch kind := kindOf(now.Value); {
	case !f.Baseline || strings.HasSuffix(f.Subject, mountSuffix):
	case !seen || now.Value == absent:
		f.Package = c.removedBy(f.Subject, s)
	case kind == "dir" && (was == "" || was == absent):
		f.Package = c.packageOfAll(f.Subject, s)
	case kind == "file" || kind == "link" && parseValue(now.Value).get("sha256") != "":
		f.Package, f.Altered = c.file(f.Subject, was, now.Value, s)
	}
	f.Version = s.Packages[f.Package].Version
}

// removedBy is the package that had the file and is there without it.
func (c *comparison) removedBy(subject string, s packages.Snapshot) string {
	name := c.former[subject]
	if _, installed := s.Packages[name]; !installed {
		return ""
	}
	if _, still := s.Owner(subject); still {
		return ""
	}
	return name
}

// packageOfAll is the one package that all below a new directory is of.
func (c *comparison) packageOfAll(dir string, s packages.Snapshot) string {
	owner := ""
	for subject, fact := range c.facts {
		if !strings.HasPrefix(subject, dir+"/") || kindOf(fact.Value) == "dir" {
			continue
		}
		name, _ := c.file(subject, "", fact.Value, s)
		if name == "" || owner != "" && name != owner {
			return ""
		}
		owner = name
	}
	return owner
}

// file tells which package a file is of, as it installed it, or whether it is not what
// its package installed.
func (c *comparison) file(subject, was, now string, s packages.Snapshot) (name string, altered bool) {
	sum := parseValue(now).get("sha256")
	at, err := c.root.Resolve(subject)
	if err != nil || sum == "" {
		return "", false
	}
	f, owned := s.Owner(at)
	if !owned {
		return c.setAside(at, sum, s), false
	}
	intact, err := c.inventory.Intact(c.ctx, c.root, at, f, sum)
	switch {
	case err != nil:
		return "", false
	case intact && contentOnly(was, now):
		return f.Package, false
	default:
		return "", !intact && !f.Config && parseValue(was).get("sha256") != sum
	}
}

// setAside is the package whose configuration file the package manager put aside: the new one that
// nobody wanted, or the old one that was replaced.
func (c *comparison) setAside(at, sum string, s packages.Snapshot) string {
	for _, suffix := range []string{".dpkg-dist", ".dpkg-new", ".rpmnew"} {
		if name, cut := strings.CutSuffix(at, suffix); cut {
			f, owned := s.Owner(name)
			if intact, err := c.inventory.Intact(c.ctx, c.root, at, f, sum); owned && f.Config && err == nil && intact {
				return f.Package
			}
		}
	}
	for _, suffix := range []string{".dpkg-old", ".dpkg-bak", ".rpmsave", ".rpmorig"} {
		if name, cut := strings.CutSuffix(at, suffix); cut {
			if f, owned := s.Owner(name); owned && f.Config && parseValue(c.recorded[name]).get("sha256") == sum {
				return f.Package
			}
		}
	}
	return ""
}

// contentOnly tells whether a file is new, or differs in nothing but its content.
func contentOnly(was, now string) bool {
	if was == "" || was == absent || was == baseline.Unread {
		return true
	}
	a, b := parseValue(was), parseValue(now)
	if a.kind != b.kind {
		return false
	}
	for _, name := range attributeNames(a, b) {
		switch name {
		case "sha256", "size", "modified":
		default:
			if a.get(name) != b.get(name) {
				return false
			}
		}
	}
	return true
}
