package packages

import (
	"context"
	"crypto/md5" //nolint:gosec // it is what dpkg and old packages keep of their files
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

// sums are the digests of files, as long as nothing touches them.
type sums map[content]digests

// content is that of a file, with the algorithm of its package's digest.
type content struct {
	entry     host.Entry
	algorithm string
}

type digests struct{ own, sha256 string }

// dpkgDigest is what dpkg keeps of its files.
const dpkgDigest = "MD5"

// hashes are the algorithms that package managers use.
var hashes = map[string]func() hash.Hash{"MD5": md5.New, "SHA-256": sha256.New, "SHA-384": sha512.New384, "SHA-512": sha512.New}

// maxSumsKept bounds what is remembered: an upgrade of all that is protected.
const maxSumsKept = 1_000

// settled is when a further change of a file would show in its metadata.
const settled = time.Second

// Intact tells whether the file at the path, whose content has the SHA-256 digest, is
// as its package has it.
func (i *Inventory) Intact(ctx context.Context, root *host.Root, path string, f File, sha256 string) (bool, error) {
	e, err := root.Stat(path)
	if err != nil {
		return false, err
	}
	c := content{e, f.algorithm}
	i.mu.Lock()
	d, known := i.sums[c]
	i.mu.Unlock()
	if !known {
		if d, err = read(ctx, root, path, f.algorithm); err != nil {
			return false, err
		}
		i.remember(c, d)
	}
	return d.own == f.digest && (sha256 == "" || d.sha256 == sha256), nil
}

func (i *Inventory) remember(c content, d digests) {
	if time.Since(c.entry.Changed) < settled {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.sums) >= maxSumsKept {
		clear(i.sums)
	}
	i.sums[c] = d
}

func read(ctx context.Context, root *host.Root, path, algorithm string) (digests, error) {
	own, known := hashes[algorithm]
	if !known {
		return digests{}, fmt.Errorf("%s: its package's digest is of %s, which is not known", path, algorithm)
	}
	f, err := root.OpenFile(path)
	if err != nil {
		return digests{}, err
	}
	defer f.Close()
	one, two := own(), sha256.New()
	if _, err := io.Copy(io.MultiWriter(one, two), until{ctx, host.Content(f)}); err != nil {
		return digests{}, fmt.Errorf("read %s: %w", path, err)
	}
	return digests{inHex(one), inHex(two)}, nil
}

func inHex(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// until reads until the context ends.
type until struct {
	ctx  context.Context
	from io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.from.Read(p)
}
