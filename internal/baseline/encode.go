package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"unicode/utf8"
)

var (
	// ErrDamaged means that the file is torn or was changed: its checksum does
	// not hold.
	ErrDamaged = errors.New("the baseline is damaged")
	// ErrNewer means that a later nodeguard wrote the file.
	ErrNewer = errors.New("the baseline was written by a newer nodeguard")
)

// The file is JSON lines: the header, one line an acceptance, one the upgrade where
// one is open, one a subject, and the checksum of all lines before it.
type line struct {
	Header   *Header     `json:"header,omitempty"`
	Accepted *Acceptance `json:"accepted,omitempty"`
	Upgrade  *Upgrade    `json:"upgrade,omitempty"`
	Entry    *entry      `json:"entry,omitempty"`
	Scope    string      `json:"scope,omitempty"` // recorded, though it may have no entry
	SHA256   string      `json:"sha256,omitempty"`
}

type entry struct {
	Scope   string `json:"scope"`
	Subject string `json:"subject"`
	Value   string `json:"value"`
}

// Encode writes the baseline in its one form: equal baselines are equal bytes.
func Encode(b *Baseline) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	for l := range b.lines() {
		if err := enc.Encode(l); err != nil {
			return nil, fmt.Errorf("encode the baseline: %w", err)
		}
	}
	return append(buf.Bytes(), checksumLine(buf.Bytes())...), nil
}

// lines are all of the file but its checksum.
func (b *Baseline) lines() iter.Seq[line] {
	return func(yield func(line) bool) {
		more := yield(line{Header: &b.Header})
		for i := range b.Accepted {
			more = more && yield(line{Accepted: &b.Accepted[i]})
		}
		if b.Upgrade != nil {
			more = more && yield(line{Upgrade: b.Upgrade})
		}
		for _, scope := range slices.Sorted(maps.Keys(b.Scopes)) {
			more = more && yield(line{Scope: scope})
			for _, subject := range slices.Sorted(maps.Keys(b.Scopes[scope])) {
				more = more && yield(line{Entry: &entry{Scope: scope, Subject: subject, Value: b.Scopes[scope][subject]}})
			}
		}
	}
}

func checksumLine(data []byte) []byte {
	sum := sha256.Sum256(data)
	return []byte(`{"sha256":"` + hex.EncodeToString(sum[:]) + `"}` + "\n")
}

// Decode reads a baseline back. Its errors wrap ErrDamaged or ErrNewer.
func Decode(data []byte) (*Baseline, error) {
	body, err := verified(data)
	if err != nil {
		return nil, err
	}
	b := &Baseline{Scopes: map[string]Scope{}}
	for number, text := range bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		if err := b.decodeLine(text, number); err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
	}
	return b, nil
}

// verified returns what the last line's checksum covers.
func verified(data []byte) ([]byte, error) {
	trimmed, whole := bytes.CutSuffix(data, []byte("\n"))
	last := bytes.LastIndexByte(trimmed, '\n')
	if !whole || last < 0 {
		return nil, fmt.Errorf("%w: its last line is missing", ErrDamaged)
	}
	body, sum := data[:last+1], data[last+1:]
	if !bytes.Equal(sum, checksumLine(body)) {
		return nil, fmt.Errorf("%w: its checksum does not hold", ErrDamaged)
	}
	return body, nil
}

func (b *Baseline) decodeLine(text []byte, number int) error {
	if e, plain := plainEntry(text); plain && number > 0 {
		b.scope(e.Scope)[e.Subject] = e.Value
		return nil
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if (number == 0) != (l.Header != nil) {
		return fmt.Errorf("%w: the header is not the first line", ErrDamaged)
	}
	switch {
	case l.Header != nil:
		b.Header = *l.Header
		if l.Header.Format > Format {
			return fmt.Errorf("%w (format %d, this one reads up to %d)", ErrNewer, l.Header.Format, Format)
		}
	case l.Accepted != nil:
		b.Accepted = append(b.Accepted, *l.Accepted)
	case l.Upgrade != nil:
		b.Upgrade = l.Upgrade
	case l.Entry != nil:
		b.scope(l.Entry.Scope)[l.Entry.Subject] = l.Entry.Value
	case l.Scope != "":
		b.scope(l.Scope)
	}
	return nil
}

// plainEntry reads the line of an entry as Encode writes it where nothing has to be
// escaped, as in nearly all of them.
func plainEntry(text []byte) (e entry, plain bool) {
	if bytes.IndexByte(text, '\\') >= 0 || !utf8.Valid(text) {
		return entry{}, false
	}
	for _, field := range [...]struct {
		before string
		value  *string
	}{{`{"entry":{"scope":"`, &e.Scope}, {`","subject":"`, &e.Subject}, {`","value":"`, &e.Value}} {
		rest, found := bytes.CutPrefix(text, []byte(field.before))
		end := bytes.IndexByte(rest, '"')
		if !found || end < 0 {
			return entry{}, false
		}
		*field.value, text = string(rest[:end]), rest[end:]
	}
	return e, string(text) == `"}}`
}

func (b *Baseline) scope(name string) Scope {
	if b.Scopes[name] == nil {
		b.Scopes[name] = Scope{}
	}
	return b.Scopes[name]
}
