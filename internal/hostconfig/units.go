package hostconfig

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

const (
	unitsHint = "mount the host's /run/dbus/system_bus_socket; where AppArmor confines the container, run it unconfined"
	adminDir  = "/etc/systemd/system"
)

var unitDirs = [...]string{adminDir, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// units are systemd's words for the state of a unit. Where systemd does not run, a
// unit that files mask is pending, and of others there is nothing to say.
func (l *look) units(_ Rule, name string) *table {
	t := newTable("")
	t.area, t.owns = name, func(subject string) bool { return subject == name }
	there, masked := l.unitFile(name)
	args := map[string]string{"unit": name}
	switch {
	case !there && !masked:
		return skipped()
	case !l.root.Live() || !l.root.Systemd():
		if !masked {
			return skipped()
		}
		t.entries[name] = entry{value: "masked", pending: true, args: args}
		return t
	}
	state, err := unitState(l.ctx, l.root, name)
	if err != nil {
		return faulty(name, &fault{"systemd cannot be asked over D-Bus: " + units.Cause(err), unitsHint})
	}
	t.entries[name] = entry{value: drift.Printable(state), args: args}
	return t
}

// unitFile tells whether a unit is installed, and whether it is masked.
func (l *look) unitFile(name string) (there, masked bool) {
	for _, dir := range unitDirs {
		l.dirs[dir] = true
		e, err := l.root.Lstat(path.Join(dir, name))
		if err != nil {
			continue
		}
		if e.Type == host.Link && l.masked(path.Join(dir, name)) || e.Type == host.File && e.Size == 0 {
			masked = true
		} else {
			there = true
		}
	}
	return there, masked
}

// unitState is the unit's active state, or "masked".
func unitState(ctx context.Context, root *host.Root, name string) (state string, err error) {
	err = units.Ask(ctx, root, func(ctx context.Context, bus *systemd.Conn) error {
		found, err := bus.ListUnitsByNamesContext(ctx, []string{name})
		var answer dbus.Error
		if errors.As(err, &answer) && answer.Name == "org.freedesktop.DBus.Error.UnknownMethod" {
			found, err = bus.ListUnitsContext(ctx)
		}
		if err != nil {
			return fmt.Errorf("list units: %w", err)
		}
		state = stateOf(name, found)
		return nil
	})
	return state, err
}

func stateOf(name string, found []systemd.UnitStatus) string {
	for _, u := range found {
		if u.Name != name {
			continue
		}
		switch {
		case u.LoadState == "masked" && u.ActiveState != "active":
			return "masked"
		case u.ActiveState == "reloading":
			return "active"
		default:
			return u.ActiveState
		}
	}
	return "inactive"
}

// enabledUnits are the units that `systemctl enable` linked into a target.
func (l *look) enabledUnits(_ Rule, _ string) *table {
	t := newTable("enabled unit")
	names, err := l.list(adminDir)
	if err != nil {
		return faulty("enabled unit", faultOf(adminDir, err))
	}
	for _, dir := range names {
		if !strings.HasSuffix(dir, ".wants") && !strings.HasSuffix(dir, ".requires") {
			continue
		}
		linked, err := l.list(path.Join(adminDir, dir))
		if err != nil {
			return faulty("enabled unit", faultOf(path.Join(adminDir, dir), err))
		}
		for _, unit := range linked {
			if path.Ext(unit) == "" || unit[0] == '.' {
				continue
			}
			t.entries[drift.Printable(unit)] = entry{value: "enabled", args: map[string]string{"unit": drift.Printable(unit)}}
		}
	}
	return t
}
