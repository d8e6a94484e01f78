package watch

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		name            string
		at, every, want int // changes at once, how often in milliseconds, storms in ten seconds
	}{
		{"calm", 1, 1, 0},
		{"as much as is read", readable / 10, 100, 0},
		{"twice as much", readable / 5, 100, 6}, // after four seconds, half of the time
		{"a large change now and then", large, 4200, 0},
		{"one that is too large", large + 1, 10_000, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, storms := pace{most: large}, 0
				for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Duration(c.every) * time.Millisecond) {
					if p.storm(c.at) {
						storms++
						time.Sleep(stormPause)
					}
				}
				if storms != c.want {
					t.Errorf("%d storms, want %d", storms, c.want)
				}
			})
		})
	}
}
