// Package packages reads which software the host's package manager has installed.
package packages

import (
	"bytes"
	"errors"
	"io/fs"
	"iter"
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
	if rpmDatabase(root) == "" && otherDatabase(root) == "" {
		return nil
	}
	return ErrRPM
}

// ParseDpkg reads dpkg's status file: the versions of the packages whose files are
// there, by name.
func ParseDpkg(data []byte) map[string]string {
	out := map[string]string{}
	for p := range stanzas(data) {
		if p.installed {
			out[p.name] = p.version
		}
	}
	return out
}

// stanza is what the status file says of a package.
type stanza struct {
	name, version, architecture string
	installed                   bool // its files are there
	conffiles                   []conffile
}

// conffile is a configuration file as the package brought it.
type conffile struct{ path, md5 string }

// stanzas are those of the status file, in its order.
func stanzas(data []byte) iter.Seq[stanza] {
	return func(yield func(stanza) bool) {
		var p stanza
		field := ""
		for line := range bytes.Lines(data) {
			text := strings.TrimRight(string(line), "\r\n")
			if strings.TrimSpace(text) == "" {
				if p.name != "" && !yield(p) {
					return
				}
				p, field = stanza{}, ""
				continue
			}
			if text[0] == ' ' || text[0] == '\t' {
				if field == "Conffiles" {
					p.addConffile(text)
				}
				continue
			}
			var value string
			field, value, _ = strings.Cut(text, ":")
			p.set(field, strings.TrimSpace(value))
		}
		if p.name != "" {
			yield(p)
		}
	}
}

func (p *stanza) set(field, value string) {
	switch field {
	case "Package":
		p.name = value
	case "Version":
		p.version = value
	case "Architecture":
		p.architecture = value
	case "Status":
		words := strings.Fields(value)
		p.installed = len(words) == 3 && words[2] != "not-installed" && words[2] != "config-files"
	}
}

// addConffile reads " /etc/file MD5"; one that is obsolete, or not written yet, is not
// the package's.
func (p *stanza) addConffile(line string) {
	words := strings.Fields(line)
	if len(words) == 2 && len(words[1]) == md5Length {
		p.conffiles = append(p.conffiles, conffile{words[0], words[1]})
	}
}

// md5Length is that of a digest in hexadecimal.
const md5Length = 32
