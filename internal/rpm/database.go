package rpm

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/nodeguard/nodeguard/internal/host"
)

// Databases are where rpm keeps its database since 4.16.
func Databases() []string {
	return []string{"/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite"}
}

// Others are what rpm kept before and keeps elsewhere (Berkeley DB, NDB), which takes
// its library to read.
func Others() []string {
	return []string{"/var/lib/rpm/Packages", "/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages"}
}

// Log is where what was written last may still be.
func Log(database string) string { return database + "-wal" }

// Lock is locked while rpm changes files and the database.
func Lock(database string) string { return path.Dir(database) + "/.rpm.lock" }

// ErrBeingWritten means that what was written last is not in the database yet.
var ErrBeingWritten = errors.New("the database is being written")

// State tells whether a database is what it was. It can be compared.
type State struct {
	Database, Log host.Entry
}

// StateOf looks at a database, which fails with fs.ErrNotExist where there is none.
func StateOf(root *host.Root, database string) (s State, err error) {
	if s.Database, err = root.Stat(database); err != nil {
		return State{}, err
	}
	if s.Log, err = root.Stat(Log(database)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return State{}, err
	}
	return s, nil
}

// Unfinished tells whether something was written that is not in the database yet.
func (s State) Unfinished() bool { return s.Log.Size > 0 }

// steadily reads a database, and fails with ErrBeingWritten where it changed meanwhile.
func steadily(root *host.Root, database string, read func(*os.File) error) error {
	before, err := StateOf(root, database)
	if err != nil {
		return err
	}
	if before.Unfinished() {
		return ErrBeingWritten
	}
	f, err := root.OpenFile(database)
	if err != nil {
		return err
	}
	defer f.Close()
	err = read(f)
	if after, gone := StateOf(root, database); gone != nil || after != before {
		return ErrBeingWritten
	}
	return err
}
