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
	r := &dpkgReader{root: root, below: map[string]bool{}}
	r.seen = Snapshot{Packages: map[string]Package{}, files: map[string]File{}, aliases: aliasesOf(root)}
	for _, path := range below {
		r.below[r.seen.unaliased(path)] = true
		if to, err := root.Resolve(path); err == nil {
			r.below[to] = true
		}
	}
	return r
}

// all reads what belongs to the packages of the status file.
func (r *dpkgReader) all(status []byte) error {
	for p := range stanzas(status) {
		if !p.installed {
			continue
		}
		for _, c := range p.conffiles {
			r.add(p, c.path, File{Package: p.name, Config: true, md5: c.md5})
		}
		if err := r.sums(p); err != nil {
			return err
		}
	}
	for name, p := range r.seen.Packages {
		slices.Sort(p.Files)
		p.Files = slices.Compact(p.Files)
		r.seen.Packages[name] = p
	}
	return nil
}

// sums reads the digests of a package's files; those of several architectures bear it
// in the name.
func (r *dpkgReader) sums(p stanza) error {
	var data []byte
	err := error(fs.ErrNotExist)
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
			r.add(p, "/"+string(path), File{Package: p.name, md5: string(sum)})
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
	path = r.seen.unaliased(path)
	if _, known := r.seen.files[path]; !known || f.Config {
		r.seen.files[path] = f
	}
	owned := r.seen.Packages[p.name]
	owned.Version, owned.Files = p.version, append(owned.Files, path)
	r.seen.Packages[p.name] = owned
}
