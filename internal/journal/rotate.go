package journal

import (
	"cmp"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// rotation is a new file on its way to be the current one. Wherever it stops, on an
// error or without power, the lines that are open are in the file that is read.
type rotation struct {
	file *os.File
	end  link
	size int64
	done int // of the steps
}

// full tells whether another line needs a new file. One that is mostly what was
// carried over would not be shorter.
func (j *Journal) full(line int) bool {
	return j.size+int64(line) > max(j.limits.fileSize(), 2*j.base)
}

// rotate begins a new file with what is open. After an error the next one goes on
// where this one stopped.
func (j *Journal) rotate() error {
	if j.rotation == nil {
		r, err := j.carryOver()
		if err != nil {
			return errors.Join(err, removeIfThere(j.dir, next))
		}
		j.rotation = r
	}
	r := j.rotation
	for steps := j.steps(); r.done < len(steps); r.done++ {
		if err := steps[r.done](); err != nil {
			return err
		}
	}
	was := j.file
	j.file, j.end, j.size, j.base, j.rotation = r.file, r.end, r.size, r.size, nil
	j.oldest.rotate()
	return was.Close()
}

// steps put the new file in place. Power that is lost between them keeps their order.
func (j *Journal) steps() []func() error {
	return []func() error{
		func() error { return j.dir.Rename(current, previous) },
		j.syncDir,
		func() error { return j.dir.Rename(next, current) },
		j.syncDir,
	}
}

// carryOver writes the new file, and returns when it is on disk.
func (j *Journal) carryOver() (*rotation, error) {
	if err := removeIfThere(j.dir, next); err != nil {
		return nil, err
	}
	f, err := j.dir.OpenFile(next, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	r := &rotation{file: f, end: j.end}
	for _, e := range j.open.carried() {
		line, err := encode(e, r.end.n+1, r.end)
		if err == nil {
			_, err = f.Write(line.text)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		r.end, r.size = line.link, r.size+int64(len(line.text))
	}
	if err := cmp.Or(f.Sync(), j.syncDir()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// tidyUp finishes a rotation that was interrupted once the current file was out of
// the way, and forgets one that had not got that far.
func (j *Journal) tidyUp() error {
	if err := removeIfThere(j.dir, trimmed); err != nil {
		return err
	}
	if exists(j.dir, current) {
		return removeIfThere(j.dir, next)
	}
	if err := j.dir.Rename(next, current); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return j.syncDir()
}
