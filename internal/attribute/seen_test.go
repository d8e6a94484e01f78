package attribute

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSightingsAreFewAndShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s seen
		start := time.Now()
		for pid := range maxSeen + 10 {
			s.keep(pid, start, process{pid: pid})
		}
		if _, found := s.find(9, start); found || len(s.last) != maxSeen {
			t.Errorf("%d are kept, the oldest too: %t", len(s.last), found)
		}
		if p, found := s.find(10, start); !found || p.pid != 10 {
			t.Errorf("find = %+v, %t", p, found)
		}
		if _, found := s.find(10, start.Add(1)); found {
			t.Error("another event has the same process")
		}
		time.Sleep(seenLife + 1)
		if _, found := s.find(10, start); found || len(s.last) != 0 {
			t.Errorf("%d are kept for ever", len(s.last))
		}
	})
}
