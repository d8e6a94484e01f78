package units

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	systemBus  = "/run/dbus/system_bus_socket"
	privateBus = "/run/systemd/private"
)

// patience is how long the other side has to answer.
const patience = 2 * time.Second

// Ask asks the host's systemd over the system bus or, where that does not answer,
// over systemd's own socket. The error is that of the system bus.
func Ask(ctx context.Context, root *host.Root, question func(context.Context, *systemd.Conn) error) error {
	err := ask(ctx, root, systemBus, question)
	if err == nil || ask(ctx, root, privateBus, question) == nil {
		return nil
	}
	return err
}

func ask(ctx context.Context, root *host.Root, socket string, question func(context.Context, *systemd.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bus, _, err := dial(ctx, root, socket)
	if err != nil {
		return err
	}
	defer bus.Close()
	return question(ctx, bus)
}

// wire is one connection to the bus with the socket under it, whose deadline is
// the only one that all of the D-Bus library keeps.
type wire struct {
	socket net.Conn
	bus    *dbus.Conn
}

// dial connects and authenticates within the context's deadline, which then holds
// for the whole conversation. The library opens two wires: to ask, and to hear.
func dial(ctx context.Context, root *host.Root, socket string) (*systemd.Conn, []wire, error) {
	var wires []wire
	bus, err := systemd.NewConnection(func() (*dbus.Conn, error) {
		w, err := dialWire(ctx, root, socket)
		if err != nil {
			return nil, err
		}
		wires = append(wires, w)
		return w.bus, nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	return bus, wires, nil
}

func dialWire(ctx context.Context, root *host.Root, socket string) (wire, error) {
	at, release, err := root.SocketPath(socket)
	if err != nil {
		return wire{}, err
	}
	defer release() //nolint:errcheck // nothing was written
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", at)
	if err != nil {
		return wire{}, err
	}
	bus, err := converse(ctx, conn, socket == systemBus)
	if err != nil {
		return wire{}, errors.Join(err, conn.Close())
	}
	return wire{conn, bus}, nil
}

func converse(ctx context.Context, conn net.Conn, hello bool) (*dbus.Conn, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("set the deadline: %w", err)
	}
	bus, err := dbus.NewConn(conn)
	if err != nil {
		return nil, err
	}
	if err := bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	if !hello {
		return bus, nil
	}
	if err := bus.Hello(); err != nil {
		return nil, fmt.Errorf("greet the bus: %w", err)
	}
	return bus, nil
}

// Cause is an error of the bus in words that are the same at every try: no
// descriptor numbers, no names of connections.
func Cause(err error) string {
	var (
		errno  syscall.Errno
		answer dbus.Error
	)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &answer):
		return answer.Name
	default:
		return err.Error()
	}
}
