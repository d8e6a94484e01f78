package journal

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/nodeguard/nodeguard/internal/host"
)

const bufferSize = 32 << 10

// lines reads lines of which the last one may still be written. Of a line that is too
// long it keeps enough to see that.
type lines struct {
	from    *bufio.Reader
	read    int64 // bytes so far
	partial []byte
}

// next returns a line, false where there is no whole one yet. The line is good until
// the next call.
func (l *lines) next() ([]byte, bool, error) {
	for {
		part, err := l.from.ReadSlice('\n')
		l.read += int64(len(part))
		if room := maxLine + 2 - len(l.partial); room > 0 {
			l.partial = append(l.partial, part[:min(room, len(part))]...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, false, nil
		case err != nil:
			return nil, false, err
		default:
			line := bytes.TrimSuffix(l.partial, []byte("\n"))
			l.partial = l.partial[:0]
			if len(line) > 0 {
				return line, true, nil
			}
		}
	}
}

// Decode reads lines. It returns the entries that are whole, in order, and what is
// wrong with the others.
func Decode(data []byte) (entries []Entry, damage Damage) {
	var s scan
	l := lines{from: bufio.NewReader(bytes.NewReader(data))}
	for {
		line, whole, err := l.next()
		if err != nil || !whole {
			s.damage.Torn = len(l.partial) > 0
			return entries, s.damage
		}
		if e, ok := s.read(line); ok {
			entries = append(entries, e)
		}
	}
}

// Read returns all that the host's journal holds, the oldest first, and how many
// lines are not whole.
func Read(root *host.Root) (entries []Entry, damaged int, err error) {
	r, err := NewReader(root)
	if errors.Is(err, ErrNone) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer r.Close()
	for {
		e, more, err := r.Next()
		if err != nil || !more {
			d := r.Damage()
			if d.Torn {
				d.Lines++
			}
			return entries, d.Lines, err
		}
		entries = append(entries, e)
	}
}
