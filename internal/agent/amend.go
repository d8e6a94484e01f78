package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// amendments are what is new about findings that were open before: a waiver holds
// them back or does so no longer, or it became known who did it.
func amendments(was, is map[string]drift.FindingReport, now time.Time) (out []Change) {
	for _, id := range slices.Sorted(maps.Keys(is)) {
		before, known := was[id]
		if !known {
			continue
		}
		f := is[id]
		switch {
		case before.Waiver == nil && f.Waiver != nil:
			out = append(out, Change{At: now, Waived: &f})
		case before.Waiver != nil && f.Waiver == nil:
			out = append(out, Change{At: now, Unwaived: &f})
		}
		if f.Actor != nil && (before.Actor == nil || before.Actor.PID != f.Actor.PID || !before.Actor.At.Equal(f.Actor.At)) {
			out = append(out, Change{At: now, Attributed: &f})
		}
	}
	return out
}

// nextExpiry is when a waiver ends next: what it held back counts again at once. Zero
// for never.
func nextExpiry(waivers []drift.Waiver, now time.Time) (next time.Time) {
	for _, w := range waivers {
		if w.Expires.After(now) {
			next = soonest(next, w.Expires)
		}
	}
	return next
}

// soonest is the earlier of two times of which zero means never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
