package packages

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// Inventory is what the host's package manager installed at or below some paths, and
// as what. It is read again only when the package manager's database changed.
type Inventory struct {
	below []string
	rpm   rpm.Reader

	mu    sync.Mutex
	state State
	read  bool
	seen  Snapshot
	sums  sums
}

// NewInventory returns the inventory of what lies at or below the paths.
func NewInventory(below []string) *Inventory { return &Inventory{below: below, sums: sums{}} }

// Covers tells whether the inventory is that of exactly these paths.
func (i *Inventory) Covers(below []string) bool { return i != nil && slices.Equal(i.below, below) }

// Snapshot is the inventory at one time. It must not be changed.
type Snapshot struct {
	Packages map[string]Package // by name; those with a file here
	files    map[string]File    // by path, without links on the way
	aliases  map[string]string  // directories of the root that are links
}

// Package is one that is installed.
type Package struct {
	Version string
	Files   []string // its files here, sorted
}

// File is what the package manager knows of a file.
type File struct {
	Package   string
	Config    bool // there to be edited
	digest    string
	algorithm string // as crypto names it
}

// Look returns the inventory as it is now. Where there is no package manager it is
// empty; with one whose database is not read it fails with ErrRPM.
func (i *Inventory) Look(ctx context.Context, root *host.Root) (Snapshot, error) {
	if i == nil {
		return Snapshot{}, nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	now := StateOf(root)
	if i.read && now == i.state {
		return i.seen, nil
	}
	seen, err := i.lookAtDpkg(root)
	if errors.Is(err, fs.ErrNotExist) {
		seen, err = i.lookAtRPM(ctx, root)
	}
	if err != nil || seen.Packages == nil {
		return Snapshot{}, err
	}
	i.state, i.seen, i.read = now, seen, true
	return seen, nil
}

// lookAtDpkg fails with fs.ErrNotExist where dpkg has no database.
func (i *Inventory) lookAtDpkg(root *host.Root) (Snapshot, error) {
	status, err := root.ReadFile(DpkgStatus, MaxStatus)
	if err != nil {
		return Snapshot{}, err
	}
	r := newDpkgReader(root, i.below)
	return r.seen, r.all(status)
}

// Owner is what the package manager knows of the file at the path.
func (s Snapshot) Owner(path string) (File, bool) {
	f, known := s.files[s.unaliased(path)]
	return f, known
}

// unaliased is the path without a link at its start: packages may still name a file in
// /lib that lies in /usr/lib.
func (s Snapshot) unaliased(path string) string {
	top, rest, below := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if to, aliased := s.aliases[top]; aliased && below {
		return to + "/" + rest
	}
	return path
}

// usrMerged are the directories of the root that may be links into /usr.
var usrMerged = [...]string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"}

func aliasesOf(root *host.Root) map[string]string {
	out := map[string]string{}
	for _, name := range usrMerged {
		if to, err := root.Readlink("/" + name); err == nil && strings.TrimPrefix(to, "/") == "usr/"+name {
			out[name] = "/usr/" + name
		}
	}
	return out
}

// Names are the packages of the snapshot, sorted.
func (s Snapshot) Names() []string { return slices.Sorted(maps.Keys(s.Packages)) }
