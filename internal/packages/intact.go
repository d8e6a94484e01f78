package packages

import (
	"context"
	"crypto/md5" //nolint:gosec // it is what dpkg keeps of its files
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

// sums are the digests of files, as long as nothing touches them.
type sums map[host.Entry]digests

type digests struct{ md5, sha256 string }

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
	i.mu.Lock()
	d, known := i.sums[e]
	i.mu.Unlock()
	if !known {
		if d, err = read(ctx, root, path); err != nil {
			return false, err
		}
		i.remember(e, d)
	}
	return d.md5 == f.md5 && (sha256 == "" || d.sha256 == sha256), nil
}

func (i *Inventory) remember(e host.Entry, d digests) {
	if time.Since(e.Changed) < settled {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.sums) >= maxSumsKept {
		clear(i.sums)
	}
	i.sums[e] = d
}

func read(ctx context.Context, root *host.Root, path string) (digests, error) {
	f, err := root.OpenFile(path)
	if err != nil {
		return digests{}, err
	}
	defer f.Close()
	one, two := md5.New(), sha256.New() //nolint:gosec // it is what dpkg keeps of its files
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
