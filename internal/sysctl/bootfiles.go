package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// directories in order of precedence: a file in an earlier one stands in for the
// files of the same name in later ones.
var directories = [...]string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"}

const (
	sysctlConf   = "/etc/sysctl.conf"
	maxFiles     = 10_000
	maxFile      = 4 << 20
	systemdTool  = "/usr/lib/systemd/systemd-sysctl"
	systemdTool2 = "/lib/systemd/systemd-sysctl"
)

// unreadable is a file or directory of settings that could not be read, so that
// what the next boot sets cannot be told.
type unreadable struct {
	name string
	err  error
}

// readBoot reads what the next boot sets, in the order of the files: by base name,
// whatever directory they are in. Where systemd-sysctl is installed it applies
// them and knows no sysctl.conf; elsewhere `sysctl --system` does, and reads
// sysctl.conf last.
func readBoot(root *host.Root) (boot, []unreadable) {
	files, failed := bootFiles(root)
	bySystemd := root.Exists(systemdTool) || root.Exists(systemdTool2)
	if !bySystemd {
		files = append(files, sysctlConf)
	}
	var out []setting
	for _, name := range files {
		data, err := root.ReadFile(name, maxFile)
		switch {
		case masked(root, name) || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			failed = append(failed, unreadable{name, err})
		default:
			out = append(out, parseSettings(name, data)...)
		}
	}
	return newBoot(out, bySystemd), failed
}

// bootFiles lists the files of the directories, the masked ones included.
func bootFiles(root *host.Root) ([]string, []unreadable) {
	var failed []unreadable
	byName := map[string]string{}
	for _, dir := range directories {
		names, err := root.ReadDir(dir, maxFiles)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
			failed = append(failed, unreadable{dir, err})
		}
		for _, name := range names {
			if _, taken := byName[name]; strings.HasSuffix(name, ".conf") && !taken {
				byName[name] = path.Join(dir, name)
			}
		}
	}
	var names []string
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	files := make([]string, len(names))
	for i, name := range names {
		files[i] = byName[name]
	}
	return files, failed
}

// masked tells whether a file only hides the ones of its name: a link to /dev/null.
func masked(root *host.Root, name string) bool {
	to, err := root.Readlink(name)
	return err == nil && to == "/dev/null"
}

func (u unreadable) reason() string {
	err := u.err
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Sprintf("%s cannot be read: %v", u.name, err)
}

func (u unreadable) hint() string {
	if errors.Is(u.err, fs.ErrPermission) {
		return "run as root"
	}
	return "the next boot stumbles over it too: make it a file, or remove it"
}
