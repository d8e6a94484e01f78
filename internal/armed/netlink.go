package armed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// MessageSize is more than the kernel makes any message of: with a buffer that large
// nobody asks for the size first. An event is built in NLMSG_GOODSIZE, 8 KB at most, or in
// what an interface without the counters of its virtual functions needs.
const MessageSize = 16 << 10

// Netlink is a stream of messages that are no more than a reason to look.
type Netlink struct {
	Conn *netlink.Conn
	Name string // of the source
	// Breath is the least time between two hints: what comes meanwhile is one.
	Breath time.Duration
	// Matters tells whether messages do, and who caused them; 0 is unknown.
	Matters func([]netlink.Message) (pid int, matter bool)
}

// heard is what came since the last hint.
type heard struct {
	pid  int // 0 where it is not known, or where there were several
	lost bool
}

// and joins what was heard. Of two people nobody can say who it was.
func (h heard) and(next heard) heard {
	if h.pid != next.pid {
		next.pid = 0
	}
	next.lost = next.lost || h.lost
	return next
}

// Follow implements Stream.
func (n *Netlink) Follow(ctx context.Context, to drift.Sink) error {
	events, failed := make(chan heard, 1), make(chan error, 1)
	go func() { failed <- n.read(ctx, events) }()
	err := n.pass(ctx, events, failed, to)
	_ = n.Conn.Close()
	if ctx.Err() != nil {
		<-failed //nolint:errcheck // the end was asked for
		return nil
	}
	return err
}

// pass hints at once and then at most every breath, the last time after the last event.
func (n *Netlink) pass(ctx context.Context, events <-chan heard, failed <-chan error, to drift.Sink) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case h := <-events:
			to.Hint(drift.Hint{Source: n.Name, PID: h.pid, At: time.Now(), Lost: h.lost})
		}
		sleep(ctx, n.Breath)
	}
}

// read keeps the slot of events filled with what nobody took yet.
func (n *Netlink) read(ctx context.Context, events chan heard) error {
	var pace Pace
	for {
		next, matters, err := n.next()
		if err != nil {
			return err
		}
		if matters {
			select {
			case before := <-events:
				next = before.and(next)
			default:
			}
			events <- next
		}
		if rest := pace.Rest(time.Now()); rest > 0 {
			sleep(ctx, rest)
		}
	}
}

func (n *Netlink) next() (next heard, matters bool, err error) {
	messages, err := n.Conn.Receive()
	switch {
	case errors.Is(err, unix.ENOBUFS):
		return heard{lost: true}, true, nil
	case err != nil:
		return next, false, fmt.Errorf("receive from netlink: %w", err)
	}
	next.pid, matters = n.Matters(messages)
	return next, matters, nil
}
