package agent

import "time"

const (
	// share is the part of the time, one in so many, that looks take in the long run,
	// whatever happens on the host.
	share = 16
	// burst is how long they take at most before that counts, and ownBurst one check's
	// before it waits for the others.
	burst    = 20 * time.Millisecond
	ownBurst = 8 * time.Millisecond
	// most is as much of one look as counts: one that waits for an answer costs nothing.
	most = 400 * time.Millisecond
	// calm is after which silence a storm is over: the look that tells how it ended waits
	// for no share.
	calm = 400 * time.Millisecond
)

// budget is what looks took lately, less what they may take in the time since.
type budget struct {
	spent time.Duration
	at    time.Time
}

// spend counts a look.
func (b *budget) spend(took time.Duration, now time.Time) {
	b.spent = max(0, b.spent-now.Sub(b.at)/share) + min(took, most)
	b.at = now
}

// free is when no more than burst will have been spent with a look that is likely to
// take so long, or nothing has been spent lately.
func (b *budget) free(burst, likely time.Duration) time.Time {
	over := min(b.spent+likely-burst, b.spent)
	if over <= 0 {
		return time.Time{}
	}
	return b.at.Add(over * share)
}
