package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	maxLine = 64 << 10
	// maxText bounds what is said at length in an entry that would be too long.
	maxText = 512
)

// sealed is a line as it stands in the file. A nodeguard that knew no chain reads
// entry and sum, and wrote nothing else.
type sealed struct {
	Entry  json.RawMessage `json:"entry"`
	Sum    string          `json:"sum"`              // of the entry
	N      uint64          `json:"n,omitempty"`      // counts the lines from 1
	Chain  string          `json:"chain,omitempty"`  // of the chain before, N and Sum
	Format int             `json:"format,omitempty"` // of a nodeguard to come, which others cannot read
}

// link is where a line leaves the chain.
type link struct {
	n     uint64
	chain string
}

// encoded is a line ready to be written.
type encoded struct {
	text []byte
	link link
}

func encode(e Entry, n uint64, after link) (encoded, error) {
	line, err := seal(e, n, after)
	if err == nil && len(line.text) > maxLine {
		line, err = seal(shortened(e), n, after)
	}
	if err == nil && len(line.text) > maxLine {
		err = fmt.Errorf("it has %d bytes", len(line.text))
	}
	if err != nil {
		return encoded{}, fmt.Errorf("encode a journal line: %w", err)
	}
	return line, nil
}

func seal(e Entry, n uint64, after link) (encoded, error) {
	entry, err := json.Marshal(e)
	if err != nil {
		return encoded{}, err
	}
	s := sealed{Entry: entry, Sum: sum(entry), N: n}
	s.Chain = chain(after.chain, n, s.Sum)
	text, err := json.Marshal(s)
	if err != nil {
		return encoded{}, err
	}
	return encoded{append(text, '\n'), link{n, s.Chain}}, nil
}

// shortened is the entry without what the catalogue says anyway, and with the rest cut.
func shortened(e Entry) Entry {
	e.Detail = cut(e.Detail)
	if e.Finding == nil {
		return e
	}
	f := *e.Finding
	f.Operation, f.Condition, f.Subject = cut(f.Operation), cut(f.Condition), cut(f.Subject)
	f.Observed, f.Supported, f.Title = cut(f.Observed), cut(f.Supported), cut(f.Title)
	f.Impact, f.Recovery, f.Source = "", drift.RecoveryReport{Class: f.Recovery.Class}, drift.Source{}
	if f.Waiver != nil {
		w := *f.Waiver
		w.Reason, w.Owner = cut(w.Reason), cut(w.Owner)
		f.Waiver = &w
	}
	if f.Actor != nil {
		a := *f.Actor
		a.Comm, a.Command, a.Exe, a.Pod, a.Container = cut(a.Comm), cut(a.Command), cut(a.Exe), cut(a.Pod), cut(a.Container)
		f.Actor = &a
	}
	e.Finding = &f
	return e
}

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + "…"
}

func sum(entry []byte) string { return digest(entry) }

func chain(before string, n uint64, sum string) string {
	return digest([]byte(before + " " + strconv.FormatUint(n, 10) + " " + sum))
}

func digest(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:8])
}

var (
	errDamaged = errors.New("the line is damaged")
	errNewer   = errors.New("the line is a later nodeguard's")
)

// decode reads a line, which is then what was written as far as it tells itself.
func decode(line []byte) (sealed, Entry, error) {
	var s sealed
	var e Entry
	line = bytes.TrimRight(line, "\n")
	if len(line) > maxLine || json.Unmarshal(line, &s) != nil {
		return s, e, errDamaged
	}
	if s.Format > 0 {
		return s, e, errNewer
	}
	if sum(s.Entry) != s.Sum || json.Unmarshal(s.Entry, &e) != nil {
		return s, e, errDamaged
	}
	return s, e, nil
}
