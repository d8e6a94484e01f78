package host

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotRegular means a FIFO, a device, a socket or a directory stands where
	// a file was expected.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge means that more is there than the reader takes.
	ErrTooLarge = errors.New("too large")
)

// ReadFile reads the regular file that name leads to, at most limit bytes; a
// larger one fails with ErrTooLarge.
func (r *Root) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := r.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, limit)
}

// ReadFile reads one regular file of the directory, as Root.ReadFile does.
func (d *Dir) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := d.OpenFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name, limit)
}

func readAll(f *os.File, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(Content(f), limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, &os.PathError{Op: "read", Path: name, Err: ErrTooLarge}
	}
	return data, nil
}

// Content reads a file from its start without leaving it in the page cache where
// the kernel can do that (Linux 6.14): neither does the cache grow, nor is
// anything thrown out that others had there.
func Content(f *os.File) io.Reader { return &content{f: f, flags: unix.RWF_DONTCACHE} }

type content struct {
	f      *os.File
	offset int64
	flags  int
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.pread(p)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		c.flags = 0
		n, err = c.pread(p)
	}
	c.offset += int64(n)
	if err == nil && n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, err
}

func (c *content) pread(p []byte) (int, error) {
	for {
		n, err := c.once(p)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return max(n, 0), err
	}
}

func (c *content) once(p []byte) (int, error) {
	if c.flags == 0 {
		return unix.Pread(int(c.f.Fd()), p, c.offset)
	}
	return unix.Preadv2(int(c.f.Fd()), [][]byte{p}, c.offset, c.flags)
}
