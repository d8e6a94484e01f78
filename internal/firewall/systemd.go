package firewall

import (
	"context"
	"errors"
	"fmt"
	"path"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// readUnits asks systemd for the units of the services.
func readUnits(ctx context.Context, root *host.Root, services []string) (found map[string]unit, err error) {
	var names []string
	for _, s := range services {
		names = append(names, s+".service")
	}
	err = units.Ask(ctx, root, func(ctx context.Context, bus *systemd.Conn) error {
		states, files, err := list(ctx, bus, names)
		found = unitsOf(services, states, files)
		return err
	})
	return found, err
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
