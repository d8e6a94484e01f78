package units

import (
	"context"
	"errors"
	"fmt"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"

	"github.com/nodeguard/nodeguard/internal/host"
)

// link is a connection over which systemd tells what changes.
type link struct {
	bus     *systemd.Conn
	wires   []wire
	updates chan *systemd.PropertiesUpdate
	dropped chan error // says that updates was full
}

// open subscribes over the system bus or, where that does not answer, over
// systemd's own socket.
func open(ctx context.Context, root *host.Root, queue int) (*link, error) {
	l, err := subscribe(ctx, root, systemBus, queue)
	if err == nil {
		return l, nil
	}
	if l, privately := subscribe(ctx, root, privateBus, queue); privately == nil {
		return l, nil
	}
	return nil, err
}

func subscribe(ctx context.Context, root *host.Root, socket string, queue int) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bus, wires, err := dial(ctx, root, socket)
	if err != nil {
		return nil, err
	}
	l := &link{bus: bus, wires: wires, updates: make(chan *systemd.PropertiesUpdate, queue), dropped: make(chan error, 16)}
	bus.SetPropertiesSubscriber(l.updates, l.dropped)
	if err := bus.Subscribe(); err != nil {
		bus.Close()
		return nil, fmt.Errorf("subscribe over %s: %w", socket, err)
	}
	if err := l.stay(); err != nil {
		bus.Close()
		return nil, err
	}
	return l, nil
}

// stay takes the handshake's deadline away.
func (l *link) stay() error {
	for _, w := range l.wires {
		if err := w.socket.SetDeadline(time.Time{}); err != nil {
			return fmt.Errorf("clear the deadline: %w", err)
		}
	}
	return nil
}

var errClosed = errors.New("the connection was closed")

// closed is closed when the wire that hears is: nothing else tells of it.
func (l *link) closed() <-chan struct{} { return l.hears().bus.Context().Done() }

func (l *link) hears() wire { return l.wires[len(l.wires)-1] }

// ping asks systemd itself, over the wire that hears: a bus can live while
// systemd is not on it.
func (l *link) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	manager := l.hears().bus.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	if err := manager.CallWithContext(ctx, "org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		return fmt.Errorf("ping systemd: %w", err)
	}
	return nil
}
