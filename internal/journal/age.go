package journal

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Limits bound the journal; what is zero is the default.
type Limits struct {
	MaxAge  time.Duration // of a line
	MaxSize int64         // of all files together, as far as what is open leaves it to them
}

// DefaultLimits hold where nothing else is said.
var DefaultLimits = Limits{MaxAge: 90 * 24 * time.Hour, MaxSize: 16 << 20}

const (
	// leeway is how much older than MaxAge the oldest line gets before it goes, so
	// that lines go by the day.
	leeway = 24 * time.Hour
	// patience is how long a line must have been too old before it goes: a clock that
	// is wrong when the host starts takes nothing away.
	patience = time.Hour
)

func (l Limits) fileSize() int64       { return cmp.Or(l.MaxSize, DefaultLimits.MaxSize) / 2 }
func (l Limits) maxAge() time.Duration { return cmp.Or(l.MaxAge, DefaultLimits.MaxAge) }

// ages are the times of the oldest lines of both files, without those that were
// carried over; zero for none.
type ages struct{ previous, current time.Time }

func (a *ages) note(file string, at time.Time) {
	oldest := &a.current
	if file == previous {
		oldest = &a.previous
	}
	if oldest.IsZero() {
		*oldest = at
	}
}

func (a *ages) rotate() { a.previous, a.current = a.current, time.Time{} }

func isBefore(at, limit time.Time) bool { return !at.IsZero() && at.Before(limit) }

// Bound sets the limits, which hold from the next line on.
func (j *Journal) Bound(l Limits) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.limits = l
}

// Expire takes lines away that are too old. It is to be called by and by, with a time
// that has a monotonic reading, and mostly does nothing.
func (j *Journal) Expire(now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	limit := now.Add(-j.limits.maxAge())
	if tooOld := limit.Add(-leeway); j.rotation == nil && !isBefore(j.oldest.previous, tooOld) && !isBefore(j.oldest.current, tooOld) {
		j.overdue = time.Time{}
		return nil
	}
	if j.overdue.IsZero() {
		j.overdue = now
	}
	if now.Sub(j.overdue) < patience {
		return nil
	}
	j.overdue = time.Time{}
	if err := j.expire(limit); err != nil {
		return fmt.Errorf("take old lines out of the journal: %w", err)
	}
	return nil
}

// expire takes them out of the previous file; those of the current one get there first.
func (j *Journal) expire(limit time.Time) error {
	if j.rotation == nil && isBefore(j.oldest.previous, limit) {
		return j.trim(limit)
	}
	return j.rotate()
}

// trim drops what the previous file begins with, up to the first line that is young
// enough.
func (j *Journal) trim(limit time.Time) error {
	f, err := openFile(j.dir, previous)
	if errors.Is(err, fs.ErrNotExist) {
		j.oldest.previous = time.Time{}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	from, oldest, err := firstSince(f, limit)
	if err != nil {
		return err
	}
	if oldest.IsZero() {
		err = removeIfThere(j.dir, previous)
	} else {
		err = j.keepFrom(f, from)
	}
	if err != nil {
		return err
	}
	j.oldest.previous = oldest
	return j.syncDir()
}

// firstSince finds the first line that is young enough, and where it begins.
func firstSince(f *os.File, limit time.Time) (offset int64, at time.Time, err error) {
	lines := lines{from: bufio.NewReaderSize(f, bufferSize)}
	for {
		offset := lines.read
		line, whole, err := lines.next()
		if err != nil || !whole {
			return offset, time.Time{}, err
		}
		if _, e, err := decode(line); err == nil && !e.At.Before(limit) {
			return offset, e.At, nil
		}
	}
}

// keepFrom lets the previous file begin there.
func (j *Journal) keepFrom(f *os.File, offset int64) error {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	if err := removeIfThere(j.dir, trimmed); err != nil {
		return err
	}
	young, err := j.dir.OpenFile(trimmed, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(young, f)
	if err == nil {
		err = young.Sync()
	}
	if err = errors.Join(err, young.Close()); err != nil {
		return errors.Join(err, removeIfThere(j.dir, trimmed))
	}
	return j.dir.Rename(trimmed, previous)
}
