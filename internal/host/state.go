package host

import (
	"errors"
	"fmt"
	"os"
	"path"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// StateDir is the one directory of the host that nodeguard writes to.
const StateDir = "/var/lib/nodeguard"

// State opens a directory below StateDir, which it makes where create is set. One
// that somebody else owns or can write to is refused: what is in there is trusted.
func (r *Root) State(sub string, create bool) (*os.Root, error) {
	if sub != "" {
		top, err := r.State("", create)
		if err != nil {
			return nil, err
		}
		defer top.Close()
	}
	name := path.Join(StateDir, sub)
	dir, err := r.stateDir(name, create)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	if err := private(dir, name); err != nil {
		return nil, err
	}
	state, err := os.OpenRoot(fdPath(dir))
	var at *os.PathError
	if errors.As(err, &at) {
		err = &os.PathError{Op: "open", Path: name, Err: at.Err}
	}
	return state, err
}

func (r *Root) stateDir(name string, create bool) (*os.File, error) {
	if !create {
		return r.open(name, unix.O_PATH|unix.O_DIRECTORY)
	}
	dir, err := pathrs.MkdirAllHandle(r.dir, relative(name), 0o700)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return dir, nil
}

func private(dir *os.File, name string) error {
	e, err := statx(int(dir.Fd()), "", unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	if e.UID != 0 && int(e.UID) != os.Geteuid() || e.Mode&0o022 != 0 {
		return fmt.Errorf("%s belongs to uid %d with mode %04o: it must be root's and writable by nobody else", name, e.UID, e.Mode)
	}
	return nil
}
