package main

import (
	"context"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// deadline is what a check may take; hashing a cold disk's worth of binaries is
// the longest of it.
const deadline = 2 * time.Minute

// look lets all checks look at once, and says on a terminal how far they are.
func (s *session) look(ctx context.Context, checks []drift.Check) (map[string]drift.Look, error) {
	stop := s.showProgress()
	defer stop()
	return lookAtAll(ctx, checks)
}

func lookAtAll(ctx context.Context, checks []drift.Check) (map[string]drift.Look, error) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]drift.Look{}
	for _, check := range checks {
		wait.Go(func() {
			l := drift.Run(ctx, check, nil, deadline)
			mu.Lock()
			defer mu.Unlock()
			seen[check.Name()] = l
		})
	}
	wait.Wait()
	return seen, ctx.Err()
}

// baselined is a check that compares with the baseline.
type baselined interface {
	// BaselineOperations cannot be judged without one.
	BaselineOperations() []string
}

func baselineOperations(c drift.Check) []string {
	if b, ok := c.(baselined); ok {
		return b.BaselineOperations()
	}
	return nil
}

// lookAnew builds the checks and lets them look.
func (s *session) lookAnew(ctx context.Context) (map[string]drift.Look, error) {
	checks, err := s.checks()
	if err != nil {
		return nil, err
	}
	return s.look(ctx, checks)
}
