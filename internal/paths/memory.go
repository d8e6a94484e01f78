package paths

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// tick is more than the granularity of a file's times. A file that was changed
// within it before a look can change again without another ctime.
const tick = 20 * time.Millisecond

// memory is what one look saw, target by target, and what came of it. It is never
// written to again.
type memory struct {
	parts map[string]*part
	out   drift.Observation

	installed packages.State
	busy      bool // the package manager was, and it mattered
}

// part is what a look saw of one target.
type part struct {
	led     string                // by which links; "" none: other links, nothing is known
	facts   map[string]drift.Fact // of all but files
	files   []file                // in the order of the walk
	gaps    []drift.Gap
	entries int

	read  []digested     // of this look, by the workers
	kept  int            // how many files are what the last look saw
	next  int            // the file of the last look that is expected next
	index map[string]int // where that expectation failed: all files of the last look
}

func newPart(was *part) *part {
	p := &part{facts: map[string]drift.Fact{}}
	if was != nil {
		p.files = make([]file, 0, len(was.files))
	}
	return p
}

// file is what a look saw of a file.
type file struct {
	subject string
	fact    drift.Fact
	stamp   stamp // as long as it holds, the fact does; zero: it may not
}

// digested is the fact of a file once it has been read.
type digested struct {
	position int
	fact     drift.Fact
}

// unchanged returns the fact of a file that still is what the last look saw.
func (p *part) unchanged(was *part, subject string, s stamp) (drift.Fact, bool) {
	if was == nil {
		return drift.Fact{}, false
	}
	if p.next >= len(was.files) || was.files[p.next].subject != subject {
		i, seen := p.find(was, subject)
		if !seen {
			return drift.Fact{}, false
		}
		p.next = i
	}
	f := was.files[p.next]
	p.next++
	if s == (stamp{}) || f.stamp != s {
		return drift.Fact{}, false
	}
	p.kept++
	return f.fact, true
}

// expected is the subject of the file that the last look saw next.
func (p *part) expected(was *part) string {
	if was == nil || p.next >= len(was.files) {
		return ""
	}
	return was.files[p.next].subject
}

// same tells whether the part is in nothing different from the last look's.
func (p *part) same(was *part) bool {
	return was != nil && p.entries == was.entries && p.kept == len(was.files) && len(p.files) == len(was.files) &&
		maps.Equal(p.facts, was.facts) && slices.Equal(p.gaps, was.gaps)
}

func (p *part) find(was *part, subject string) (int, bool) {
	if p.index == nil {
		p.index = make(map[string]int, len(was.files))
		for i, f := range was.files {
			p.index[f.subject] = i
		}
	}
	i, seen := p.index[subject]
	return i, seen
}

// finish puts in what the workers read. What has no fact vanished or is a gap. A
// part with nothing new in it is the one from before.
func (p *part) finish(was *part, recorded baseline.Scope) *part {
	if p.same(was) {
		return was
	}
	for _, d := range p.read {
		f := &p.files[d.position]
		f.fact = d.fact
		if value := recorded[f.subject]; value == f.fact.Value {
			f.fact.Value = value // once in memory
		}
	}
	p.files = slices.DeleteFunc(p.files, func(f file) bool { return f.fact.Value == "" })
	p.read, p.index = nil, nil
	return p
}

// stamp tells whether a file is what it was. Nobody can set ctime back, but a
// mount over the file brings another one's.
type stamp struct {
	device, inode, size uint64
	modified, changed   int64
	mounted             bool
}

// stamp is that of a file if another change would show in it, else zero.
func (l *look) stamp(e host.Entry) stamp {
	if !e.Changed.Before(l.start.Add(-tick)) {
		return stamp{}
	}
	return stamp{e.Device, e.Inode, e.Size, e.Modified.UnixNano(), e.Changed.UnixNano(), e.MountRoot}
}

// reuse takes over what the last look saw of a target that nothing was said of.
func (l *look) reuse(t *target) bool {
	if len(l.only) == 0 {
		return false
	}
	if t.was == nil || slices.ContainsFunc(l.only, func(subject string) bool { return concerns(subject, t) }) {
		return false
	}
	l.parts[t.key()] = t.was
	l.entries += t.was.entries
	return true
}

// everywhere tells whether a subject concerns no target, which can only mean that
// it concerns all of them.
func everywhere(only []string, targets []*target) bool {
	return slices.ContainsFunc(only, func(subject string) bool {
		return !slices.ContainsFunc(targets, func(t *target) bool { return concerns(subject, t) })
	})
}

// concerns tells whether a subject is the target, in it, or on the way to it.
func concerns(subject string, t *target) bool {
	subject = strings.TrimSuffix(subject, mountSuffix)
	return touches(subject, t.subject) || slices.ContainsFunc(t.also, func(s string) bool { return touches(subject, s) })
}

func touches(subject, top string) bool {
	return subject == top || strings.HasPrefix(subject, top+"/") || strings.HasPrefix(top, strings.TrimSuffix(subject, "/")+"/")
}
