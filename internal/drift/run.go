package drift

import (
	"context"
	"fmt"
	"time"
)

// Run lets a check look, and answers for it when it hangs past the deadline or
// panics: a look always comes back. A hung look is left behind.
func Run(ctx context.Context, check Check, only []string, deadline time.Duration) Look {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	start := time.Now()
	done := make(chan Look, 1)
	go func() { done <- observe(ctx, check, only) }()
	select {
	case look := <-done:
		look.Took = time.Since(start)
		return look
	case <-ctx.Done():
	}
	select { // an answer at the last moment counts
	case look := <-done:
		look.Took = time.Since(start)
		return look
	default:
		return Look{Took: time.Since(start), Error: fmt.Sprintf("the check did not answer within %v", deadline)}
	}
}

func observe(ctx context.Context, check Check, only []string) (look Look) {
	defer func() {
		if p := recover(); p != nil {
			look = Look{Error: Printable(fmt.Sprintf("the check failed: %v", p))}
		}
	}()
	return Look{Observation: check.Observe(ctx, only)}
}
