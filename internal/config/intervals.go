package config

import (
	"fmt"
	"time"
)

const (
	// A shorter resync would be a poll of everything.
	minResync = 10 * time.Second
	// No check waits longer by itself, so a longer one would change nothing.
	maxResync = 10 * time.Minute
	// Nothing is known about a node that was looked at for less.
	minSettle = time.Second
	// A node that is never recorded would never be compared.
	maxSettle = 24 * time.Hour
)

func (r rawIntervals) value() (out Intervals, err error) {
	if out.Resync, err = interval(r.Resync, minResync, maxResync); err != nil {
		return out, fmt.Errorf("resync: %w", err)
	}
	if out.BaselineSettle, err = interval(r.BaselineSettle, minSettle, maxSettle); err != nil {
		return out, fmt.Errorf("baselineSettle: %w", err)
	}
	return out, nil
}

// interval is 0 where nothing is said.
func interval(text string, least, most time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write it like 90s or 10m", text)
	}
	if d < least || d > most {
		return 0, fmt.Errorf("%s is out of bounds: choose between %s and %s", text, least, most)
	}
	return d, nil
}
