package components

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// WithPackages returns the check with what the host's package manager installed of the
// protected files.
func (c *Check) WithPackages(inventory *packages.Inventory) *Check {
	with := *c
	with.inventory = inventory
	return &with
}

const (
	packagesSubject = "installed packages" // tells that the packages have been recorded
	packagePrefix   = "installed package "
	filesSuffix     = " files"
	recordedPackage = "recorded"
)

// owned is what the package manager installed of the protected files.
type owned struct {
	seen   packages.Snapshot
	fault  *fault
	unread *fault // the database is of a format that is not read
	known  bool   // there is a database, and it was read

	intact func(path string) string // nil: nobody asks
}

func (s *scene) lookAtOwned(ctx context.Context, inventory *packages.Inventory) {
	if inventory == nil {
		return
	}
	seen, err := inventory.Look(ctx, s.root)
	switch {
	case errors.Is(err, packages.ErrRPM):
		s.owned.unread = &fault{err.Error(), "compare rpm -qa with a node of the same image"}
		return
	case err != nil:
		s.owned.fault = faultOf(packages.DatabaseOf(s.root), err)
		return
	}
	s.owned.seen, s.owned.known = seen, true
	s.owned.intact = func(path string) string {
		f, known := seen.Owner(path)
		if !known {
			return ""
		}
		if ok, err := inventory.Intact(ctx, s.root, path, f, ""); err != nil || !ok {
			return ""
		}
		return f.Package
	}
}

// versionOf is a package's version as this check records it.
func versionOf(p packages.Package) string { return bounded(p.Version) }

// recordedVersion is the version of a package that this check recorded; "" for none.
func recordedVersion(recorded baseline.Scope, name string) string {
	return recorded[packagePrefix+oneWord(name)]
}

// OtherVersion tells whether a package of that version is another one than this check
// recorded. One that was not recorded is none, nor is one whose version is not known.
func OtherVersion(recorded baseline.Scope, name, version string) bool {
	was := recordedVersion(recorded, name)
	return was != "" && was != baseline.Unread && version != "" && was != bounded(version)
}

// Unmentioned tells whether a look of this check, which did look for packages, takes
// the package for the recorded one.
func Unmentioned(l drift.Look, name string) bool {
	_, looked := l.Facts[packagesSubject]
	return looked && l.Error == "" &&
		!slices.ContainsFunc(l.Findings, func(f drift.Finding) bool { return f.Explains && f.Package == name }) &&
		!slices.ContainsFunc(l.Gaps, func(g drift.Gap) bool {
			return g.Subject == packagePrefix+oneWord(name) || g.Subject == packagesSubject || g.Operation == "" && g.Subject == ""
		})
}

// packageOf is the package that the file is of, as it installed it; "" for none.
func (o owned) packageOf(path string) string {
	if o.intact == nil {
		return ""
	}
	return o.intact(path)
}

// transactions are the packages that are of another version than recorded.
func (s *scene) transactions(operation string, absorb bool) (findings []drift.Finding, gaps []drift.Gap) {
	if f := s.owned.fault; f != nil {
		for subject := range s.recorded {
			if strings.HasPrefix(subject, packagePrefix) && !strings.HasSuffix(subject, filesSuffix) {
				gaps = append(gaps, drift.Gap{Operation: operation, Subject: subject, Reason: f.reason, Hint: f.hint})
			}
		}
	}
	// On a host whose database is not read the versions that the Node tells have to do.
	if f := s.owned.unread; f != nil && s.own.KubeletVersion == "" {
		gaps = append(gaps, drift.Gap{Operation: operation, Subject: packagesSubject, Reason: f.reason, Hint: f.hint})
	}
	for _, name := range s.owned.seen.Names() {
		was, now := recordedVersion(s.recorded, name), versionOf(s.owned.seen.Packages[name])
		if was != "" && was != baseline.Unread && was != now {
			findings = append(findings, drift.Finding{
				Operation: operation, Subject: packagePrefix + oneWord(name), Observed: now, Supported: was, State: drift.Active,
				Baseline: true, Explains: true, Absorb: absorb, Package: name,
			})
		}
	}
	return findings, gaps
}

// ownedFacts adds the packages with their files to what a baseline would record. A
// package that came later is no addition: nobody said that it may replace files.
func (s *scene) ownedFacts(facts map[string]drift.Fact) {
	if !s.owned.known {
		for subject, was := range s.recorded {
			if was != baseline.Unread && (subject == packagesSubject || strings.HasPrefix(subject, packagePrefix)) {
				facts[subject] = drift.Fact{Value: was}
			}
		}
		return
	}
	_, covered := s.recorded[packagesSubject]
	add := func(subject, value string) { facts[subject] = drift.Fact{Value: value, Fresh: !covered} }
	add(packagesSubject, recordedPackage)
	for name, p := range s.owned.seen.Packages {
		subject := packagePrefix + oneWord(name)
		add(subject, versionOf(p))
		add(subject+filesSuffix, listed(p.Files))
	}
}

// listed keeps paths in one value; one with a space would be two, and is left out.
func listed(files []string) string {
	return drift.Printable(strings.Join(slices.DeleteFunc(slices.Clone(files), func(f string) bool { return strings.Contains(f, " ") }), " "))
}

// OwnedFiles are the files of packages, as this check recorded them, with the package's
// name.
func OwnedFiles(recorded baseline.Scope) map[string]string {
	out := map[string]string{}
	for subject, files := range recorded {
		name, ok := strings.CutPrefix(subject, packagePrefix)
		if name, is := strings.CutSuffix(name, filesSuffix); ok && is {
			for _, file := range strings.Fields(files) {
				out[file] = name
			}
		}
	}
	return out
}
