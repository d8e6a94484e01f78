package paths

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrSeen means that the file is torn, was changed, or is of another nodeguard.
var ErrSeen = errors.New("what was seen before cannot be used")

// seenHeader begins the file. Whoever changes what follows changes the number.
const seenHeader = "nodeguard seen 1\n"

// seenNumbers are those of a file: its stamp, and the sum of its value.
const seenNumbers = 6*8 + 1

// Encode writes what was seen for another run: the header, target by target its files,
// and a SHA-256 of it all.
func (s *Seen) Encode() []byte {
	out := []byte(seenHeader)
	for _, key := range s.keys() {
		p := s.parts[key]
		out = appendText(appendText(out, key), p.led)
		out = binary.AppendUvarint(out, uint64(len(p.files)))
		for _, f := range p.files {
			out = appendText(out, f.subject)
			for _, n := range [...]uint64{f.stamp.device, f.stamp.inode, f.stamp.size, uint64(f.stamp.modified), uint64(f.stamp.changed), f.value} { //nolint:gosec // the bits are kept
				out = binary.LittleEndian.AppendUint64(out, n)
			}
			mounted := byte(0)
			if f.stamp.mounted {
				mounted = 1
			}
			out = append(out, mounted)
		}
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

// DecodeSeen reads what an earlier run wrote. Its errors wrap ErrSeen.
func DecodeSeen(data []byte) (*Seen, error) {
	body := data[:max(0, len(data)-sha256.Size)]
	if sum := sha256.Sum256(body); !bytes.HasPrefix(body, []byte(seenHeader)) || !bytes.Equal(sum[:], data[len(body):]) {
		return nil, fmt.Errorf("%w: its checksum does not hold", ErrSeen)
	}
	s, r := &Seen{parts: map[string]seenPart{}}, seenReader{rest: body[len(seenHeader):]}
	for len(r.rest) > 0 && !r.torn {
		key, p := r.text(), seenPart{led: r.text()}
		for range r.count() {
			p.files = append(p.files, r.file())
			if r.torn {
				break
			}
		}
		s.parts[key] = p
	}
	if r.torn {
		return nil, fmt.Errorf("%w: it ends early", ErrSeen)
	}
	return s, nil
}

// seenReader reads until it cannot, and gives zeros from there on.
type seenReader struct {
	rest []byte
	torn bool
}

func (r *seenReader) count() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.rest, r.torn = nil, true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *seenReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.rest, r.torn = nil, true
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *seenReader) text() string { return string(r.bytes(r.count())) }

func (r *seenReader) file() (f seenFile) {
	f.subject = r.text()
	numbers := r.bytes(seenNumbers)
	if numbers == nil {
		return f
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(numbers[8*i:]) }
	f.stamp = stamp{at(0), at(1), at(2), int64(at(3)), int64(at(4)), numbers[seenNumbers-1] == 1} //nolint:gosec // the bits are kept
	f.value = at(5)
	return f
}
