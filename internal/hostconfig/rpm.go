package hostconfig

import (
	"errors"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// rpmPackages are the names that rpm keeps.
func (l *look) rpmPackages() *table {
	for _, name := range rpm.Databases() {
		l.noteFile(name)
		installed, err := l.rpmNames(name)
		switch {
		case gone(err):
		case errors.Is(err, rpm.ErrBeingWritten):
			return faulty("package", &fault{name + ": " + err.Error(), "look again when rpm has ended"})
		case err != nil:
			return faulty("package", &fault{name + ": " + drift.Printable(err.Error()), "compare rpm -qa with a node of the same image"})
		default:
			return packageTable(installed)
		}
	}
	for _, name := range rpm.Others() {
		if l.noteFile(name); l.root.Exists(name) {
			return faulty("package", &fault{name + ": a format of rpm's database that is not read", "compare rpm -qa with a node of the same image"})
		}
	}
	return skipped()
}

func (l *look) rpmNames(name string) (map[string]bool, error) {
	e, err := l.root.Stat(name)
	if err != nil {
		return nil, err
	}
	// What was written last may still be in the log beside the database.
	if log, err := l.root.Stat(rpm.Log(name)); err == nil && log.Size > 0 {
		return nil, rpm.ErrBeingWritten
	}
	if value, ok := l.memory.recall(name, stampOf(e)).(map[string]bool); ok {
		return value, nil
	}
	f, err := l.root.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	installed, err := l.memory.rpm.Names(l.ctx, l.root, f)
	if err != nil {
		return nil, err
	}
	l.memory.keep(name, parsed{stampOf(e), installed})
	return installed, nil
}
