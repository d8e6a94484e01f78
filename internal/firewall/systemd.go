package firewall

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"strconv"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	systemBus  = "/run/dbus/system_bus_socket"
	privateBus = "/run/systemd/private"
)

// readUnits asks systemd for the units of the services, over the system bus or,
// where that does not answer, over systemd's own socket.
func readUnits(ctx context.Context, root *host.Root, services []string) (map[string]unit, error) {
	units, err := askBus(ctx, root, systemBus, services)
	if err == nil {
		return units, nil
	}
	units, privately := askBus(ctx, root, privateBus, services)
	if privately != nil {
		return nil, err
	}
	return units, nil
}

func askBus(ctx context.Context, root *host.Root, socket string, services []string) (map[string]unit, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	bus, err := systemd.NewConnection(func() (*dbus.Conn, error) { return dialBus(ctx, root, socket) })
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	defer bus.Close()
	var names []string
	for _, s := range services {
		names = append(names, s+".service")
	}
	states, files, err := list(ctx, bus, names)
	if err != nil {
		return nil, err
	}
	return unitsOf(services, states, files), nil
}

// list asks for the units alone, or for all of them where systemd is older than 230.
func list(ctx context.Context, bus *systemd.Conn, names []string) (states []systemd.UnitStatus, files []systemd.UnitFile, err error) {
	states, err = bus.ListUnitsByNamesContext(ctx, names)
	if unknownMethod(err) {
		states, err = bus.ListUnitsContext(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list units: %w", err)
	}
	files, err = bus.ListUnitFilesByPatternsContext(ctx, nil, names)
	if unknownMethod(err) {
		files, err = bus.ListUnitFilesContext(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list unit files: %w", err)
	}
	return states, files, nil
}

func unknownMethod(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.DBus.Error.UnknownMethod"
}

// unitsOf joins both answers. systemd answers with a unit's own name, so one that
// was asked for by an alias answers with another's.
func unitsOf(services []string, states []systemd.UnitStatus, files []systemd.UnitFile) map[string]unit {
	units := map[string]unit{}
	for _, s := range services {
		var u unit
		for _, state := range states {
			if state.Name == s+".service" && state.LoadState != "not-found" {
				u.loaded = state.LoadState != "masked"
				u.active = state.ActiveState == "active" || state.ActiveState == "reloading"
			}
		}
		for _, file := range files {
			if path.Base(file.Path) == s+".service" {
				u.enabled = file.Type == "enabled"
				u.sysv = file.Type == "generated"
			}
		}
		units[s] = u
	}
	return units
}

// dialBus connects and authenticates within the context's deadline, which then
// holds for the whole conversation.
func dialBus(ctx context.Context, root *host.Root, socket string) (*dbus.Conn, error) {
	at, release, err := root.SocketPath(socket)
	if err != nil {
		return nil, err
	}
	defer release() //nolint:errcheck // nothing was written
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", at)
	if err != nil {
		return nil, err
	}
	bus, err := converse(ctx, conn, socket == systemBus)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return bus, nil
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
