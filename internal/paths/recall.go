package paths

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Seen is by which metadata a check knew the content of files, so far as it is recorded, so
// that the check after it has to read none of them. It says nothing of any other file.
type Seen struct {
	parts    map[string]seenPart // by the target's key
	verified bool                // contents were read in this run
}

type seenPart struct {
	led   string
	files []seenFile
}

type seenFile struct {
	subject string
	stamp   stamp
	value   uint64 // the sum of the value that was recorded then
}

// Seen returns what the check saw last, or recalls as long as it has not looked; nil
// for nothing.
func (c *Check) Seen() *Seen {
	last := c.last.Load()
	if last == nil {
		return c.recalled.Load()
	}
	s := &Seen{parts: make(map[string]seenPart, len(last.parts)), verified: !c.unread.Load()}
	for key, p := range last.parts {
		part := seenPart{led: p.led, files: make([]seenFile, 0, len(p.files))}
		for _, f := range p.files {
			if f.stamp != (stamp{}) && f.fact.Renewal == nil && !f.fact.Fresh {
				part.files = append(part.files, seenFile{f.subject, f.stamp, sumOf(f.fact.Value)})
			}
		}
		if len(part.files) > 0 {
			s.parts[key] = part
		}
	}
	return s
}

// Recall has the first look trust the metadata of what was seen before. If that was in
// another run, every content is read soon after all the same.
func (c *Check) Recall(s *Seen) *Check {
	c.recalled.Store(s)
	return c
}

// recall lets the look reuse what a check before this one saw of the files that are
// recorded as they were then.
func (l *look) recall(s *Seen) {
	for _, t := range l.targets {
		seen, known := s.parts[t.key()]
		if !known {
			continue
		}
		was := &part{led: seen.led, files: make([]file, 0, len(seen.files))}
		for _, f := range seen.files {
			if value, recorded := l.recorded[f.subject]; recorded && sumOf(value) == f.value {
				local := matchAny(t.rule.PerNode, relativeTo(t.subject, f.subject))
				was.files = append(was.files, file{f.subject, drift.Fact{Value: value, Local: local}, f.stamp})
			}
		}
		t.was = was
	}
}

func sumOf(value string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(value))
	return h.Sum64()
}

// verify has every content read, after a look that trusted what another run saw.
func (c *Check) verify(ctx context.Context, to drift.Sink) {
	select {
	case <-ctx.Done():
	case <-c.trusted:
		to.Hint(drift.Hint{Source: source, At: time.Now()})
	}
}

// keys are the targets', sorted.
func (s *Seen) keys() []string { return slices.Sorted(maps.Keys(s.parts)) }
