package catalog

import (
	"fmt"

	"golang.org/x/mod/semver"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// OnTrial tells whether the operation is new in a minor release, so that it is only
// info until nodeguard's next major: a roll-out of nodeguard itself raises nothing
// that was in support before. Of a build without a release it is assumed to be old.
func (o Operation) OnTrial(release string) bool {
	since := "v" + o.Since
	return o.Since != "" && semver.Compare(since, semver.Major(since)) > 0 && semver.Compare(semver.Major(release), semver.Major(since)) <= 0
}

// Tried returns the operation with nothing in it that weighs.
func Tried(o drift.Operation) drift.Operation {
	o.Severity = drift.Info
	tiers := map[string]drift.Tier{}
	for name, t := range o.Tiers {
		t.Severity = drift.Info
		tiers[name] = t
	}
	o.Tiers = tiers
	return o
}

func validSince(since string) error {
	if since != "" && (!semver.IsValid("v"+since) || semver.MajorMinor("v"+since) != "v"+since) {
		return fmt.Errorf("since %q: want the release that brought it, like 1.4", since)
	}
	return nil
}
