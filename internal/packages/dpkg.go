// Package packages reads which software the host's package manager has installed.
package packages

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	// DpkgStatus is dpkg's list of packages.
	DpkgStatus = "/var/lib/dpkg/status"
	// MaxStatus is far more than any list of packages, in bytes.
	MaxStatus = 64 << 20
)

// rpmDatabases are where rpm keeps its database; reading one takes its library.
var rpmDatabases = [...]string{
	"/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite",
	"/var/lib/rpm/Packages.db", "/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages",
}

// ErrRPM means that the host's packages are in a database that is not read.
var ErrRPM = errors.New("rpm's database is not read")

// Database is the host's list of packages. It is read again only when it changed.
type Database struct {
	mu        sync.Mutex
	read      host.Entry
	installed map[string]string
}

// Installed are the versions of the packages whose files are there, by name, which
// must not be changed. A host without a package database has none.
func (d *Database) Installed(root *host.Root) (map[string]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := root.Stat(DpkgStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withoutDpkg(root)
	}
	if err != nil {
		return nil, err
	}
	if d.installed != nil && now == d.read {
		return d.installed, nil
	}
	data, err := root.ReadFile(DpkgStatus, MaxStatus)
	if err != nil {
		return nil, err
	}
	d.read, d.installed = now, ParseDpkg(data)
	return d.installed, nil
}

func withoutDpkg(root *host.Root) error {
	for _, name := range rpmDatabases {
		if root.Exists(name) {
			return ErrRPM
		}
	}
	return nil
}

// ParseDpkg reads dpkg's status file: the versions of the packages whose files are
// there, by name.
func ParseDpkg(data []byte) map[string]string {
	out := map[string]string{}
	name, version, installed := "", "", false
	end := func() {
		if name != "" && installed {
			out[name] = version
		}
		name, version, installed = "", "", false
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\r\n")
		key, value, _ := strings.Cut(text, ":")
		switch {
		case strings.TrimSpace(text) == "":
			end()
		case key == "Package":
			name = strings.TrimSpace(value)
		case key == "Version":
			version = strings.TrimSpace(value)
		case key == "Status":
			words := strings.Fields(value)
			installed = len(words) == 3 && words[2] != "not-installed" && words[2] != "config-files"
		}
	}
	end()
	return out
}
