package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Journal bounds what happened; 0 where the file does not say.
type Journal struct {
	MaxAge  time.Duration // of a line
	MaxSize int64         // of all of it, in bytes
}

const (
	day = 24 * time.Hour
	// Less would not outlast a weekend's outage, with what an on-call asks afterwards.
	minAge = 7 * day
	maxAge = 3650 * day
	// Less would be gone in one bad night.
	minJournal = 1 << 20
	maxJournal = 256 << 20
)

func (r rawJournal) value() (out Journal, err error) {
	if out.MaxAge, err = days(r.MaxAge); err != nil {
		return out, fmt.Errorf("maxAge: %w", err)
	}
	if out.MaxSize, err = size(r.MaxSize); err != nil {
		return out, fmt.Errorf("maxSize: %w", err)
	}
	return out, nil
}

// days is 0 where nothing is said.
func days(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	number, isDays := strings.CutSuffix(text, "d")
	n, err := strconv.ParseUint(number, 10, 16)
	if !isDays || err != nil {
		return 0, fmt.Errorf("%q is no number of days: write it like 90d", text)
	}
	if d := time.Duration(n) * day; d >= minAge && d <= maxAge {
		return d, nil
	}
	return 0, fmt.Errorf("%s is out of bounds: choose between %dd and %dd", text, minAge/day, maxAge/day)
}

// size is 0 where nothing is said.
func size(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: write it like 16Mi", text)
	}
	if n := q.Value(); n >= minJournal && n <= maxJournal {
		return n, nil
	}
	return 0, fmt.Errorf("%s is out of bounds: choose between 1Mi and 256Mi", text)
}
