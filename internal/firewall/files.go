package firewall

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxFile    = 8 << 20 // a rules file of 50,000 rules is 4 MiB
	maxEntries = 4096
	maxScripts = 64
)

// files reads a firewall's traces in the host's file system.
type files struct {
	root  *host.Root
	noted func(dir string) // told where was looked; nil for nobody
}

func (f files) note(dir string) {
	if f.noted != nil {
		f.noted(path.Clean(dir))
	}
}

// trace is what the file system tells of one service.
type trace struct {
	config  config
	unit    bool // a unit file of its own, neither an alias nor a mask
	present bool // that, an init script or its program
	masked  bool
	wanted  bool // a target wants its unit
	sysv    bool // a runlevel starts its init script
}

// boots tells whether the service starts with the host where nobody who knows
// better can be asked.
func (t trace) boots() bool { return t.wanted && !t.masked || t.sysv }

var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// trace looks for one service; what could not be read is not in it.
func (f files) trace(s service) (trace, error) {
	t, err := f.units(s.unit())
	if err != nil {
		return t, err
	}
	t.present = t.unit
	for _, name := range append([]string{"/etc/init.d/" + s.name}, s.programs...) {
		there, err := f.exists(name)
		if err != nil {
			return t, err
		}
		t.present = t.present || there
	}
	if !t.present {
		return t, nil
	}
	if t.wanted, err = f.wanted(s.unit()); err != nil {
		return t, err
	}
	if t.sysv, err = f.runlevels(s.name); err != nil {
		return t, err
	}
	t.config, err = s.config(f)
	return t, err
}

func (f files) units(unit string) (trace, error) {
	var t trace
	for _, dir := range unitDirs {
		name := path.Join(dir, unit)
		f.note(dir)
		e, err := f.root.Lstat(name)
		switch {
		case absent(err):
			continue
		case err != nil:
			return t, err
		}
		target := unit
		if e.Type == host.Link {
			if target, err = f.root.Readlink(name); err != nil {
				return t, err
			}
		}
		switch {
		case target == "/dev/null" || e.Type == host.File && e.Size == 0:
			t.masked = true
		case path.Base(target) == unit:
			t.unit = true
		}
	}
	return t, nil
}

// wanted tells whether `systemctl enable` left its link.
func (f files) wanted(unit string) (bool, error) {
	names, err := f.list(unitDirs[0])
	for _, name := range names {
		if !strings.HasSuffix(name, ".wants") && !strings.HasSuffix(name, ".requires") {
			continue
		}
		f.note(path.Join(unitDirs[0], name))
		_, err := f.root.Lstat(path.Join(unitDirs[0], name, unit))
		if err == nil {
			return true, nil
		}
		if !absent(err) {
			return false, err
		}
	}
	return false, err
}

func (f files) runlevels(name string) (bool, error) {
	for _, dir := range []string{"/etc/rcS.d", "/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"} {
		names, err := f.list(dir)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(names, func(n string) bool { return matches([]string{"S[0-9][0-9]" + name}, n) }) {
			return true, nil
		}
	}
	return false, nil
}

func (f files) exists(name string) (bool, error) {
	f.note(path.Dir(name))
	_, err := f.root.Stat(name)
	if absent(err) {
		return false, nil
	}
	return err == nil, err
}

// read returns nothing of a file that is not there.
func (f files) read(name string) ([]byte, error) {
	f.note(path.Dir(name))
	data, err := f.root.ReadFile(name, maxFile)
	if absent(err) {
		return nil, nil
	}
	return data, err
}

func (f files) list(dir string) ([]string, error) {
	f.note(dir)
	names, err := f.root.ReadDir(dir, maxEntries)
	if absent(err) {
		return nil, nil
	}
	return names, err
}

func (f files) assignments(name string) (map[string]string, error) {
	data, err := f.read(name)
	return parseAssignments(data), err
}

// nftScript reads the scripts with those that they include, each once.
func (f files) nftScript(names ...string) (nftScript, error) {
	all := nftScript{tables: map[string]bool{}}
	seen := map[string]bool{}
	for len(names) > 0 && len(seen) < maxScripts {
		name := names[0]
		names = names[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		data, err := f.read(name)
		if err != nil {
			return all, err
		}
		script := parseNft(data)
		all.hooked = all.hooked || script.hooked
		all.drops = all.drops || script.drops
		for t := range script.tables {
			all.tables[t] = true
		}
		for _, include := range script.includes {
			more, err := f.glob(path.Dir(name), include)
			if err != nil {
				return all, err
			}
			names = append(names, more...)
		}
	}
	return all, nil
}

// glob finds what an include means; nft allows wildcards, and a path without a
// directory is looked for beside the configuration.
func (f files) glob(dir, include string) ([]string, error) {
	if !path.IsAbs(include) {
		include = path.Join(dir, include)
	}
	if !strings.ContainsAny(include, "*?[") {
		return []string{include}, nil
	}
	names, err := f.list(path.Dir(include))
	var out []string
	for _, name := range names {
		if matches([]string{path.Base(include)}, name) {
			out = append(out, path.Join(path.Dir(include), name))
		}
	}
	return out, err
}

func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
