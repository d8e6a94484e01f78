package packages

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	dpkgInfo = "/var/lib/dpkg/info"
	// maxSums is far more than any list of one package's files, in bytes.
	maxSums = 32 << 20
)

// dpkgReader reads which files dpkg installed below some paths.
type dpkgReader struct {
	root  *host.Root
	seen  Snapshot
	below map[string]bool
}

func newDpkgReader(root *host.Root, below []string) *dpkgReader {
	r := &dpkgReader{root: root}
	r.seen, r.below = scope(root, below)
	return r
}

// scope is a snapshot of nothing yet, and the paths that count without links on the way.
func scope(root *host.Root, paths []string) (seen Snapshot, below map[string]bool) {
	seen, below = Snapshot{Packages: map[string]Package{}, files: map[string]File{}, aliases: aliasesOf(root)}, map[string]bool{}
	for _, path := range paths {
		below[seen.unaliased(path)] = true
		if to, err := root.Resolve(path); err == nil {
			below[to] = true
		}
	}
	return seen, below
}

// all reads what belongs to the packages of the status file.
func (r *dpkgReader) all(status []byte) error {
	for p := range stanzas(status) {
		if !p.installed {
			continue
		}
		for _, c := range p.conffiles {
			r.add(p, c.path, File{Package: p.name, Config: true, digest: c.md5, algorithm: dpkgDigest})
		}
		if err := r.sums(p); err != nil {
			return err
		}
	}
	r.seen.settle()
	return nil
}

// sums reads the digests of a package's files; those of several architectures bear it
// in the name.
func (r *dpkgReader) sums(p stanza) error {
	var data []byte
	err := fs.ErrNotExist
	for _, name := range []string{p.name + ":" + p.architecture, p.name} {
		if data, err = r.root.ReadFile(dpkgInfo+"/"+name+".md5sums", maxSums); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // one without files
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(data) {
		sum, path, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte("  "))
		if ok && r.counts(path) {
			r.add(p, "/"+string(path), File{Package: p.name, digest: string(sum), algorithm: dpkgDigest})
		}
	}
	return nil
}

// counts tells quickly whether a path, as it stands in a list without its first slash,
// may lie below one that counts.
func (r *dpkgReader) counts(path []byte) bool {
	name := r.seen.unaliased("/" + string(path))
	for end := len(name); end > 0; end = strings.LastIndexByte(name[:end], '/') {
		if r.below[name[:end]] {
			return true
		}
	}
	return false
}

func (r *dpkgReader) add(p stanza, path string, f File) {
	if !r.counts([]byte(strings.TrimPrefix(path, "/"))) {
		return
	}
	if before, known := r.seen.Owner(path); known && !f.Config {
		f = before
	}
	r.seen.add(p.name, path, f)
	owned := r.seen.Packages[p.name]
	owned.Version = p.version
	r.seen.Packages[p.name] = owned
}

// add notes a file of a package.
func (s Snapshot) add(name, path string, f File) {
	path = s.unaliased(path)
	s.files[path] = f
	owned := s.Packages[name]
	owned.Files = append(owned.Files, path)
	s.Packages[name] = owned
}

// settle sorts the files of all packages, each once.
func (s Snapshot) settle() {
	for name, p := range s.Packages {
		slices.Sort(p.Files)
		p.Files = slices.Compact(p.Files)
		s.Packages[name] = p
	}
}
