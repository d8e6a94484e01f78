package prom

import (
	"cmp"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// maxWaivers bounds the series of nodeguard_waiver_expiry_timestamp_seconds.
	maxWaivers = 200
	// maxWaiverLabel bounds what people wrote.
	maxWaiverLabel = 100
)

// Waiver is one of the configuration that ends.
type Waiver struct {
	Operation, Subject, Owner string
	Expires                   time.Time
}

// waiverKey is a series: a duplicate would cost the scrape.
type waiverKey struct{ operation, subject, owner string }

// waivers come with the ones that end first. Of those that only differ in their
// reason the last one counts: until then one of them is in force.
func (e emission) waivers(all []Waiver) {
	ends := map[waiverKey]time.Time{}
	for _, w := range all {
		k := waiverKey{label(w.Operation), label(cmp.Or(w.Subject, "*")), label(w.Owner)}
		if !w.Expires.IsZero() && w.Expires.After(ends[k]) {
			ends[k] = w.Expires
		}
	}
	keys := make([]waiverKey, 0, len(ends))
	for k := range ends {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b waiverKey) int {
		return cmp.Or(ends[a].Compare(ends[b]), cmp.Compare(a.operation, b.operation), cmp.Compare(a.subject, b.subject), cmp.Compare(a.owner, b.owner))
	})
	for _, k := range keys[:min(len(keys), maxWaivers)] {
		e.put(e.waiverExpiry, timestamp(ends[k]), k.operation, k.subject, k.owner)
	}
}

// label is what people wrote as a label: printable, and not too long.
func label(text string) string {
	runes := []rune(drift.Printable(text))
	if len(runes) > maxWaiverLabel {
		return string(runes[:maxWaiverLabel-1]) + "…"
	}
	return string(runes)
}
