package journal

import "errors"

// Damage is what a journal lacks to be evidence.
type Damage struct {
	Lines int  // lines that are not what was written, or not all of it, or there twice
	Gaps  int  // places where lines were taken out, put in or moved
	Newer int  // lines that only a later nodeguard can read
	Torn  bool // the last line has no end: it is being written, or the power went
}

// Whole tells whether every line is there as it was written. One that is just being
// written is nobody's fault.
func (d Damage) Whole() bool { return d.Lines == 0 && d.Gaps == 0 && d.Newer == 0 }

// scan follows the chain through the lines of a journal.
type scan struct {
	end    link
	began  bool                // there was a line to follow
	unread uint64              // lines since that could not be read
	seen   map[uint64]struct{} // numbers of lines
	again  bool                // lines that were read come again, and are nothing new
	damage Damage
}

// read returns the entry of the next line, false where there is none in it.
func (s *scan) read(line []byte) (Entry, bool) {
	sealed, e, err := decode(line)
	if err != nil {
		if errors.Is(err, errNewer) {
			s.damage.Newer++
		} else {
			s.damage.Lines++
		}
		s.unread++
		return e, false
	}
	if s.again && sealed.N > 0 && sealed.N <= s.end.n {
		return e, false
	}
	if _, twice := s.seen[sealed.N]; twice {
		s.damage.Lines++
		return e, false
	}
	if s.began && !s.continues(sealed) {
		s.damage.Gaps++
	}
	s.follow(sealed)
	return e, true
}

// resume begins anew after lines that nobody kept for it.
func (s *scan) resume() { s.began, s.unread, s.seen = false, 0, nil }

func (s *scan) follow(l sealed) {
	s.began, s.unread = true, 0
	if l.N == 0 {
		s.end.chain = l.Sum
		return
	}
	s.end = link{l.N, l.Chain}
	if s.seen == nil {
		s.seen = map[uint64]struct{}{}
	}
	s.seen[l.N] = struct{}{}
}

// continues tells whether the line was written after the one before it, or after
// lines between them that could not be read.
func (s *scan) continues(l sealed) bool {
	expected := s.end.n + 1
	switch {
	case l.N == 0: // no chain in it: fine before there was one
		return s.end.n == 0
	case l.N == expected && l.Chain == chain(s.end.chain, l.N, l.Sum):
		return true
	case l.N == expected:
		return s.end.n == 0 && s.unread > 0
	default:
		return l.N > expected && l.N <= expected+s.unread
	}
}
