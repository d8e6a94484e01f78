package kube

import (
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	firstRetry = 100 * time.Millisecond
	// lastRetry and a dial that just failed make up the five seconds within which
	// a server that is back has to know the latest.
	lastRetry = 3 * time.Second
	// awayRetry is in case that nobody is told of a server that is back.
	awayRetry = 30 * time.Second
	// refusedRetry is for what only somebody's hand can mend. A server that has
	// just started says the same for a moment, so it is not the first wait.
	refusedRetry = time.Minute
	// maxAskedFor is how much of a Retry-After counts. A server that a fleet meets all at
	// once doubles what it asks of each, up to half a minute, while it is done in seconds.
	maxAskedFor = 10 * time.Second
)

// backoff is how long to leave a server alone: twice as long each time, with jitter.
type backoff struct {
	next    time.Duration
	refused bool
}

// after returns the wait after an error.
func (b *backoff) after(err error) time.Duration {
	limit := lastRetry
	if refused(err) {
		limit = refusedRetry
	}
	if refused(err) != b.refused {
		*b = backoff{refused: refused(err)}
	}
	b.next = min(max(2*b.next, firstRetry), limit)
	wait := b.next/2 + rand.N(b.next/2) //nolint:gosec // jitter
	if asked, ok := askedFor(err); ok {
		wait = max(wait, asked+rand.N(asked+1)) //nolint:gosec // a fleet that is told the same comes back spread
	}
	return wait
}

// askedFor is what a server that has too much to do asked for.
func askedFor(err error) (time.Duration, bool) {
	seconds, ok := apierrors.SuggestsClientDelay(err)
	return min(time.Duration(seconds)*time.Second, maxAskedFor), ok && seconds > 0
}

func (b *backoff) reset() { *b = backoff{} }

// retry is when to write again what the server did not take.
type retry struct {
	notBefore time.Time
	away      bool // the server: notBefore ends when it tells of the Node again
	wait      backoff
}

// failed puts the next attempt off. Where the server is away it is left to who follows the
// Node to find out when it is back: if all tried, a fleet would come back with three times
// as many connections as it needs.
func (r *retry) failed(err error, following bool) {
	wait := r.wait.after(err)
	if r.away = unanswered(err) && !following; r.away {
		wait = awayRetry
	}
	r.notBefore = time.Now().Add(wait)
}

// sees ends the wait for a server that was away.
func (r *retry) sees() {
	if r.away {
		r.away, r.notBefore = false, time.Time{}
	}
}

// refused tells whether the server understood and said no.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || malformed(err)
}

// unanswered tells whether there was no answer at all.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	return err != nil && !errors.As(err, &status)
}

// malformed tells whether the same request would never be taken.
func malformed(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }
