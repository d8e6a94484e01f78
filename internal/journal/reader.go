package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// ErrNone means that no agent has run on the host; ErrGone that the journal was
// removed while it was read.
var (
	ErrNone = errors.New("there is no journal")
	ErrGone = errors.New("the journal was removed")
)

// Reader reads a journal, which may be written and rotated meanwhile, the oldest
// line first.
type Reader struct {
	dir  *os.Root
	todo []*source // the first one is being read

	follow  bool // wait for what is still to come
	lines   lines
	leaving bool // the current file is another one by now: the rest of this one, and then that
	scan    scan
	open    openSet
	carried int64 // bytes that the current file begins with and that were carried over
}

// source is an open file of the journal.
type source struct {
	name  string
	file  *os.File
	again bool // some of its lines may have been read from another file
}

// NewReader opens the host's journal for reading.
func NewReader(root *host.Root) (*Reader, error) {
	dir, err := root.State(dirName, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	r, err := newReader(dir)
	if errors.Is(err, ErrNone) {
		return nil, errors.Join(err, dir.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), dir.Close())
	}
	return r, nil
}

func newReader(dir *os.Root) (*Reader, error) {
	todo, err := openBoth(dir)
	if err != nil {
		return nil, err
	}
	if len(todo) == 0 {
		return nil, ErrNone
	}
	r := &Reader{dir: dir, todo: todo}
	r.begin()
	return r, nil
}

// Close closes what is open.
func (r *Reader) Close() error { return errors.Join(r.closeFiles(), r.dir.Close()) }

func (r *Reader) closeFiles() (err error) {
	for _, s := range r.todo {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// Damage is what was wrong with the lines so far.
func (r *Reader) Damage() Damage {
	d := r.scan.damage
	d.Torn = len(r.lines.partial) > 0
	return d
}

func (r *Reader) name() string { return r.todo[0].name }

// begin begins with the file that is the first now.
func (r *Reader) begin() {
	r.lines = lines{from: bufio.NewReaderSize(r.todo[0].file, bufferSize)}
	r.scan.again, r.leaving = r.todo[0].again, false
}

// Next returns the next entry, false where there is none yet. A line that only carries
// over what was read before is left out.
func (r *Reader) Next() (Entry, bool, error) {
	for {
		line, whole, err := r.lines.next()
		if err != nil {
			return Entry{}, false, fmt.Errorf("read the journal: %w", err)
		}
		if !whole {
			if more, err := r.advance(); err != nil || !more {
				return Entry{}, false, err
			}
			continue
		}
		e, ok := r.scan.read(line)
		if ok && e.Event == Carried && r.name() != previous {
			r.carried = r.lines.read
		}
		if !ok || e.Event == Carried && r.open.has(e) {
			continue
		}
		r.open.add(e)
		return e, true, nil
	}
}

// advance goes on at the end of a file: with the next one, or with what came in place
// of the current one. It returns false where there is nothing more yet.
func (r *Reader) advance() (bool, error) {
	if len(r.todo) > 1 {
		r.finish()
		return true, nil
	}
	if !r.follow {
		return false, nil
	}
	if shrunk, err := r.followTruncation(); shrunk || err != nil {
		return shrunk, err
	}
	if r.leaving {
		return r.turnOver()
	}
	named, err := r.dir.Lstat(current)
	if errors.Is(err, fs.ErrNotExist) {
		return false, r.gone() // or in the middle of a rotation
	}
	mine, statErr := r.todo[0].file.Stat()
	if err = errors.Join(err, statErr); err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	r.leaving = !os.SameFile(named, mine)
	return r.leaving, nil // lines may have come between its end and its renaming
}

// finish leaves a file that nobody writes to any more.
func (r *Reader) finish() {
	if len(r.lines.partial) > 0 {
		r.scan.damage.Lines++
		r.scan.unread++
	}
	_ = r.todo[0].file.Close()
	r.todo = r.todo[1:]
	r.carried = 0
	r.begin()
}

// turnOver goes on with the files that are there now. What is the previous one may
// be the file that was read, less its oldest lines.
func (r *Reader) turnOver() (bool, error) {
	fresh, err := openBoth(r.dir)
	if err != nil || len(fresh) == 0 {
		return false, err
	}
	was, err := r.todo[0].file.Stat()
	if err != nil {
		return false, fmt.Errorf("read the journal: %w", err)
	}
	for _, s := range fresh {
		info, err := s.file.Stat()
		if err == nil && os.SameFile(was, info) {
			_ = s.file.Close()
			continue
		}
		s.again = s.name == previous
		r.todo = append(r.todo, s)
	}
	if len(r.todo) == 1 {
		r.leaving = false
		return false, nil
	}
	r.finish()
	r.scan.resume()
	return true, nil
}

// followTruncation goes back where the end of the file did: a line that could not be
// written whole was taken back.
func (r *Reader) followTruncation() (bool, error) {
	f := r.todo[0].file
	info, err := f.Stat()
	if err != nil || info.Size() >= r.lines.read {
		return false, err
	}
	at, err := f.Seek(info.Size(), io.SeekStart)
	if err != nil {
		return false, err
	}
	r.lines = lines{from: bufio.NewReaderSize(f, bufferSize), read: at}
	r.scan.again = true
	return true, nil
}

func (r *Reader) gone() error {
	dir, err := r.dir.Open(".")
	if err != nil {
		return ErrGone
	}
	defer dir.Close()
	var s unix.Stat_t
	if unix.Fstat(int(dir.Fd()), &s) == nil && s.Nlink == 0 {
		return ErrGone
	}
	return nil
}

// openTries is how often the journal may be rotated while it is opened.
const openTries = 100

// openBoth opens the files as they belong together, the oldest first.
func openBoth(dir *os.Root) ([]*source, error) {
	for range openTries {
		out, err := openOnce(dir)
		if err != nil {
			return nil, err
		}
		if consistent(dir, out) {
			return out, nil
		}
		for _, s := range out {
			_ = s.file.Close()
		}
	}
	return nil, errors.New("the journal does not hold still")
}

// openOnce opens the current file before the previous one, so that a rotation in
// between shows. Between two steps of a rotation there is no current one, and what is
// in the next one is in the previous one as well.
func openOnce(dir *os.Root) (out []*source, err error) {
	for _, name := range []string{current, previous} {
		f, openErr := openFile(dir, name)
		if errors.Is(openErr, fs.ErrNotExist) {
			continue
		}
		if err = openErr; err != nil {
			break
		}
		out = append([]*source{{name: name, file: f}}, out...)
	}
	if err != nil {
		for _, s := range out {
			_ = s.file.Close()
		}
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	return out, nil
}

// consistent tells whether the current file still is.
func consistent(dir *os.Root, opened []*source) bool {
	named, err := dir.Lstat(current)
	var mine os.FileInfo
	for _, s := range opened {
		if s.name == current {
			mine, _ = s.file.Stat()
		}
	}
	if mine == nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return err == nil && os.SameFile(named, mine)
}

func openFile(dir *os.Root, name string) (*os.File, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(host.ErrNotRegular, err, f.Close())
	}
	return f, nil
}
