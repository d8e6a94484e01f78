package units

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/host"
)

// logind's names on the bus.
const (
	logind        = "org.freedesktop.login1"
	logindManager = "org.freedesktop.login1.Manager"
	logindPath    = "/org/freedesktop/login1"
)

// Shutdowns tells whether the host shuts down, as its logind announces it: once at
// each connection and then whenever that turns. A lost connection is made again and
// changes nothing by itself. It returns when ctx ends, at once where systemd does
// not run the host.
func Shutdowns(ctx context.Context, root *host.Root, turned func(ending bool)) {
	if !root.Systemd() {
		return
	}
	for wait := soonest; ctx.Err() == nil; wait = min(2*wait, latest) {
		w, announced, err := openLogind(ctx, root)
		if err == nil {
			wait = soonest
			hearShutdowns(ctx, w, announced, turned)
			_ = w.bus.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// openLogind subscribes to logind's announcements. It starts no logind that is not there.
func openLogind(ctx context.Context, root *host.Root) (wire, chan *dbus.Signal, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w, err := dialWire(ctx, root, systemBus)
	if err != nil {
		return wire{}, nil, err
	}
	announced := make(chan *dbus.Signal, 16)
	w.bus.Signal(announced)
	if err := subscribeLogind(ctx, w); err != nil {
		_ = w.bus.Close()
		return wire{}, nil, err
	}
	return w, announced, nil
}

func subscribeLogind(ctx context.Context, w wire) error {
	err := w.bus.AddMatchSignalContext(ctx, dbus.WithMatchSender(logind), dbus.WithMatchInterface(logindManager), dbus.WithMatchMember("PrepareForShutdown"))
	if err != nil {
		return fmt.Errorf("subscribe to logind: %w", err)
	}
	if err := w.socket.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear the deadline: %w", err)
	}
	return nil
}

// hearShutdowns passes on what logind says until the connection ends.
func hearShutdowns(ctx context.Context, w wire, announced <-chan *dbus.Signal, turned func(ending bool)) {
	if ending, ok := preparing(ctx, w); ok {
		turned(ending)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s, open := <-announced:
			if !open {
				return
			}
			if ending, ok := announcement(s); ok {
				turned(ending)
			}
		}
	}
}

// preparing asks whether a shutdown has begun already; not ok where no logind answers.
func preparing(ctx context.Context, w wire) (ending, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var v dbus.Variant
	call := w.bus.Object(logind, logindPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, logindManager, "PreparingForShutdown")
	if call.Store(&v) != nil {
		return false, false
	}
	ending, ok = v.Value().(bool)
	return ending, ok
}

func announcement(s *dbus.Signal) (ending, ok bool) {
	if s.Name != logindManager+".PrepareForShutdown" || len(s.Body) != 1 {
		return false, false
	}
	ending, ok = s.Body[0].(bool)
	return ending, ok
}
