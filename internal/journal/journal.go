// Package journal is what happened, one JSON line each: raised, cleared, waived,
// recorded, accepted, blind. Every line carries its own checksum and continues the
// line before it, is on disk before anything else follows from it, and a torn one
// costs itself alone. Size and age are bounded; what is open is carried over.
package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Event says what a line is about.
type Event string

const (
	Raised      Event = "raise"
	Cleared     Event = "clear"
	Waived      Event = "waive"     // an open finding is held back by a waiver now
	Unwaived    Event = "unwaive"   // it counts again: its waiver expired or was taken away
	Attributed  Event = "actor"     // who did it became known, or somebody did it again
	Recorded    Event = "record"    // a baseline was recorded or extended
	Accepted    Event = "accept"    // a state was accepted
	Upgraded    Event = "upgrade"   // what is known of an upgrade: its versions and what changed with them
	Absorbed    Event = "absorb"    // an upgrade that is allowed was accepted by itself
	Archived    Event = "archive"   // a baseline of another machine was set aside
	Reinstalled Event = "reinstall" // the operating system under the Node is another one
	Recreated   Event = "recreate"  // the Node object is another one, of the same machine
	Blind       Event = "blind"     // a check cannot look
	Sighted     Event = "sighted"   // it can again
	Reloaded    Event = "reload"    // the configuration changed
	Carried     Event = "open"      // was raised or blind at that time, in a line that the bounds may take
)

// Entry is one line.
type Entry struct {
	At      time.Time            `json:"at"`
	Event   Event                `json:"event"`
	Finding *drift.FindingReport `json:"finding,omitempty"`
	Detail  string               `json:"detail,omitempty"` // of a blind or sighted check: its condition, ": " and why
}

const (
	dirName  = "journal"
	current  = "journal.jsonl"
	previous = "journal.1.jsonl"
	next     = "journal.next.jsonl"    // will be the current one
	trimmed  = "journal.1.jsonl.young" // will be the previous one
)

// Journal is open for appending.
type Journal struct {
	mu     sync.Mutex
	dir    *os.Root
	file   *os.File
	limits Limits
	end    link
	open   openSet
	size   int64 // of the current file
	base   int64 // of these, what it began with: what was carried over

	oldest   ages
	overdue  time.Time // since when there is a line that is too old
	rotation *rotation // one that could not be finished yet
}

// Open opens the host's journal, which it makes where there is none. A torn last
// line is closed off, and a rotation that was interrupted is finished.
func Open(root *host.Root) (*Journal, error) {
	dir, err := root.State(dirName, true)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{dir: dir}
	if err := j.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), dir.Close())
	}
	return j, nil
}

func (j *Journal) begin() error {
	if err := j.tidyUp(); err != nil {
		return err
	}
	headless := !exists(j.dir, current) && exists(j.dir, previous)
	if err := j.openCurrent(); err != nil {
		return err
	}
	if err := j.load(); err != nil {
		return errors.Join(err, j.file.Close())
	}
	if headless {
		j.end.n++ // the current file was taken away, and so were its lines
	}
	return nil
}

// load reads where the chain ends and what is open.
func (j *Journal) load() error {
	r, err := newReader(j.dir)
	if err != nil {
		return err
	}
	defer func() { _ = r.closeFiles() }()
	for {
		e, more, err := r.Next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if e.Event != Carried {
			j.oldest.note(r.name(), e.At)
		}
	}
	j.end, j.open, j.base = r.scan.end, r.open, r.carried
	return nil
}

func (j *Journal) openCurrent() error {
	fresh := !exists(j.dir, current)
	f, err := j.dir.OpenFile(current, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if !info.Mode().IsRegular() {
		return errors.Join(host.ErrNotRegular, f.Close())
	}
	if j.size, err = closeTornLine(f, info.Size()); err != nil {
		return errors.Join(err, f.Close())
	}
	if fresh {
		if err := j.syncDir(); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	j.file = f
	return nil
}

// closeTornLine ends a last line that is not, and returns the size of the file.
func closeTornLine(f *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return size, err
	}
	n, err := f.Write([]byte("\n"))
	return size + int64(n), err
}

// Close closes the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := errors.Join(j.file.Close(), j.dir.Close())
	if j.rotation != nil {
		err = errors.Join(err, j.rotation.file.Close())
	}
	return err
}

// Append writes one line and returns when it is on disk. After an error none of it
// is there.
func (j *Journal) Append(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	line, err := encode(e, j.end.n+1, j.end)
	if err != nil {
		return err
	}
	if j.rotation != nil || j.full(len(line.text)) {
		if err := j.rotate(); err != nil {
			return fmt.Errorf("rotate the journal: %w", err)
		}
		if line, err = encode(e, j.end.n+1, j.end); err != nil {
			return err
		}
	}
	if err := j.write(line.text); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	j.end = line.link
	j.open.add(e)
	if e.Event != Carried {
		j.oldest.note(current, e.At)
	}
	return nil
}

// Deleted tells whether the file is not the journal any more, because it was removed
// or moved: nobody will read what is written to it.
func (j *Journal) Deleted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.rotation != nil {
		return false
	}
	mine, err := j.file.Stat()
	if err != nil {
		return false
	}
	named, err := j.dir.Lstat(current)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, named)
}

// write goes to the end of the file, wherever others left it.
func (j *Journal) write(line []byte) error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if before := info.Size(); before != j.size {
		if j.size, err = closeTornLine(j.file, before); err != nil {
			return err
		}
	}
	if _, err = j.file.Write(line); err == nil {
		err = unix.Fdatasync(int(j.file.Fd()))
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	return nil
}

func (j *Journal) syncDir() error {
	f, err := j.dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func exists(dir *os.Root, name string) bool {
	_, err := dir.Lstat(name)
	return err == nil
}

func removeIfThere(dir *os.Root, name string) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
