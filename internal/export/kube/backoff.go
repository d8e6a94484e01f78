package kube

import (
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	firstRetry = 100 * time.Millisecond
	// lastRetry and a dial that just failed make up the five seconds within which
	// a server that is back has to know the latest.
	lastRetry = 3 * time.Second
	// refusedRetry is for what only somebody's hand can mend. A server that has
	// just started says the same for a moment, so it is not the first wait.
	refusedRetry = time.Minute
	maxAskedFor  = time.Minute // of a Retry-After
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
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		asked := min(time.Duration(seconds)*time.Second, maxAskedFor)
		wait = max(wait, asked+rand.N(asked/10+1)) //nolint:gosec // jitter
	}
	return wait
}

func (b *backoff) reset() { *b = backoff{} }

// refused tells whether the server understood and said no.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || malformed(err)
}

// malformed tells whether the same request would never be taken.
func malformed(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }
