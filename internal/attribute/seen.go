package attribute

import (
	"slices"
	"sync"
	"time"
)

const (
	maxSeen  = 256
	seenLife = 5 * time.Minute
)

// seen are the processes of the last events, for as long as they are asked for.
type seen struct {
	mu   sync.Mutex
	last []sighting // oldest first
}

type sighting struct {
	pid     int
	at      time.Time
	process process
}

func (s *seen) keep(pid int, at time.Time, p process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	if len(s.last) == maxSeen {
		s.last = slices.Delete(s.last, 0, 1)
	}
	s.last = append(s.last, sighting{pid, at, p})
}

// find is the process of that very event.
func (s *seen) find(pid int, at time.Time) (process, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	for _, known := range slices.Backward(s.last) {
		if known.pid == pid && known.at.Equal(at) {
			return known.process, true
		}
	}
	return process{}, false
}

func (s *seen) expire() {
	s.last = slices.DeleteFunc(s.last, func(known sighting) bool { return time.Since(known.at) > seenLife })
}
