package agent

import (
	"testing"
	"time"
)

// What looks take is a burst, and a share of the time beyond that.
func TestBudget(t *testing.T) {
	var b budget
	now := time.Now()
	b.spend(burst, now)
	if !b.free(burst, 0).IsZero() {
		t.Error("a burst is not free")
	}
	const look = 30 * time.Millisecond
	looked := time.Duration(0)
	for end := now.Add(time.Minute); now.Before(end); {
		if due := b.free(burst, 0); due.After(now) {
			now = due
		}
		now = now.Add(look)
		looked += look
		b.spend(look, now)
	}
	if least, most := time.Minute/share-look, time.Minute/share+look; looked < least || looked > most {
		t.Errorf("looks took %v of a minute", looked)
	}
	now = now.Add(time.Minute)
	b.spend(time.Millisecond, now)
	if !b.free(0, 0).After(now) || !b.free(burst, 0).IsZero() {
		t.Errorf("after a quiet minute %v are spent", b.spent)
	}

	b = budget{}
	b.spend(burst/2, now)
	if due := b.free(burst, burst); !due.Equal(now.Add(share * burst / 2)) {
		t.Errorf("a look that takes a burst waits %v for half of one", due.Sub(now))
	}
	if b = (budget{}); !b.free(burst, time.Hour).IsZero() {
		t.Error("whoever spent nothing waits")
	}
}
