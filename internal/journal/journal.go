// Package journal is what happened, one JSON line each: raised, cleared,
// recorded, accepted, blind. Every line carries its own checksum, is on disk
// before anything else follows from it, and a torn one costs itself alone.
package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
)

// Entry is one line.
type Entry struct {
	At      time.Time            `json:"at"`
	Event   Event                `json:"event"`
	Finding *drift.FindingReport `json:"finding,omitempty"`
	Detail  string               `json:"detail,omitempty"`
}

const (
	dirName  = "journal"
	current  = "journal.jsonl"
	previous = "journal.1.jsonl"
	// maxSize bounds each of the two files.
	maxSize = 8 << 20
	maxLine = 64 << 10
)

// Journal is open for appending.
type Journal struct {
	mu   sync.Mutex
	dir  *os.Root
	file *os.File
	size int64
}

// Open opens the host's journal, which it makes where there is none. A torn last
// line is closed off.
func Open(root *host.Root) (*Journal, error) {
	dir, err := root.State(dirName, true)
	if err != nil {
		return nil, fmt.Errorf("open the journal: %w", err)
	}
	j := &Journal{dir: dir}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the journal: %w", err), dir.Close())
	}
	return j, nil
}

// open opens the current file in place of the one before.
func (j *Journal) open() error {
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
	size, err := closeTornLine(f, info.Size())
	if err != nil {
		return errors.Join(err, f.Close())
	}
	was := j.file
	j.file, j.size = f, size
	if was != nil {
		return was.Close()
	}
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
	return errors.Join(j.file.Close(), j.dir.Close())
}

// Append writes one line and returns when it is on disk. After an error none of it
// is there.
func (j *Journal) Append(e Entry) error {
	line, err := encode(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.size+int64(len(line)) > maxSize {
		if err := j.rotate(); err != nil {
			return fmt.Errorf("rotate the journal: %w", err)
		}
	}
	if err := j.write(line); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// Deleted tells whether the file is in no directory any more: nobody will read what
// is written to it.
func (j *Journal) Deleted() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	var s unix.Stat_t
	return unix.Fstat(int(j.file.Fd()), &s) == nil && s.Nlink == 0
}

func (j *Journal) write(line []byte) error {
	_, err := j.file.Write(line)
	if err == nil {
		err = unix.Fdatasync(int(j.file.Fd()))
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	return nil
}

// rotate begins a new file. Where an earlier try got no further than the renaming,
// there is none to rename.
func (j *Journal) rotate() error {
	if err := j.dir.Rename(current, previous); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.open()
}

// sealed is a line with the checksum of the entry in it.
type sealed struct {
	Entry json.RawMessage `json:"entry"`
	Sum   string          `json:"sum"`
}

func encode(e Entry) ([]byte, error) {
	entry, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode a journal line: %w", err)
	}
	line, err := json.Marshal(sealed{Entry: entry, Sum: sum(entry)})
	if err != nil {
		return nil, fmt.Errorf("encode a journal line: %w", err)
	}
	return append(line, '\n'), nil
}

func sum(entry []byte) string {
	s := sha256.Sum256(entry)
	return hex.EncodeToString(s[:8])
}

// Decode reads lines. It returns the entries that are whole, in order, and how
// many lines were not.
func Decode(data []byte) (entries []Entry, damaged int) {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var s sealed
		var e Entry
		if len(line) > maxLine || json.Unmarshal(line, &s) != nil || sum(s.Entry) != s.Sum || json.Unmarshal(s.Entry, &e) != nil {
			damaged++
			continue
		}
		entries = append(entries, e)
	}
	return entries, damaged
}

// Read returns all that the host's journal holds, the oldest first.
func Read(root *host.Root) (entries []Entry, damaged int, err error) {
	dir, err := root.State(dirName, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open the journal: %w", err)
	}
	defer dir.Close()
	for _, name := range []string{previous, current} {
		data, err := readFile(dir, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return entries, damaged, fmt.Errorf("read the journal: %w", err)
		}
		more, torn := Decode(data)
		entries, damaged = append(entries, more...), damaged+torn
	}
	return entries, damaged, nil
}

func readFile(dir *os.Root, name string) ([]byte, error) {
	f, err := dir.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(host.ErrNotRegular, err)
	}
	return io.ReadAll(io.LimitReader(f, 2*maxSize))
}

// OpenFindings are those that were raised and not cleared since, on this machine.
func OpenFindings(entries []Entry) []drift.FindingReport {
	open := map[string]drift.FindingReport{}
	var order []string
	for _, e := range entries {
		if e.Event == Archived {
			clear(open)
		}
		if e.Finding == nil {
			continue
		}
		switch e.Event {
		case Raised:
			if _, known := open[e.Finding.ID]; !known {
				order = append(order, e.Finding.ID)
			}
			open[e.Finding.ID] = *e.Finding
		case Cleared:
			delete(open, e.Finding.ID)
		}
	}
	var out []drift.FindingReport
	for _, id := range order {
		if f, still := open[id]; still {
			out = append(out, f)
			delete(open, id)
		}
	}
	return out
}
