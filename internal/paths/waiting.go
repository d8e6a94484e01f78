package paths

import (
	"context"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// askEvery is how often it is asked whether the package manager has ended.
const askEvery = 500 * time.Millisecond

// await has the check looked with again when the package manager has ended.
func (c *Check) await() {
	select {
	case c.wait <- struct{}{}:
	default:
	}
}

// awaitPackages hints when the package manager has ended that a look came upon.
func (c *Check) awaitPackages(ctx context.Context, to drift.Sink) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wait:
		}
		for packages.Busy(c.root) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(askEvery):
			}
		}
		to.Hint(drift.Hint{Source: source, Subject: packages.DatabaseOf(c.root), At: time.Now()})
	}
}
