package node

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestSource(t *testing.T) {
	var s Source
	if n, ok := s.Get(); ok {
		t.Errorf("a source that nobody filled knows %+v", n)
	}
	s.Gone()
	if n, ok := s.Get(); ok {
		t.Errorf("a Node that nobody saw is gone: %+v", n)
	}
	if !s.Missing() {
		t.Error("a Node that is not there is not missing")
	}
	s.Set(Node{Name: "n1"})
	if n, ok := s.Get(); !ok || n.Name != "n1" || n.Deleted || s.Missing() {
		t.Errorf("Get() = %+v, %t", n, ok)
	}
	s.Gone()
	if n, ok := s.Get(); !ok || n.Name != "n1" || !n.Deleted || !s.Missing() {
		t.Errorf("a deleted Node is %+v, %t", n, ok)
	}
	var none *Source
	if _, ok := none.Get(); ok {
		t.Error("no source knows a Node")
	}
	if none.Missing() {
		t.Error("no source misses a Node")
	}
}

// Whoever watches is told of a Node that was there before, and of every one after.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Source
		s.Set(Node{Name: "n1"})
		var none *Source
		ctx, cancel := context.WithCancel(t.Context())
		var told []string
		done := make(chan struct{}, 2)
		go func() {
			s.Watch(ctx, func() { n, _ := s.Get(); told = append(told, n.Name) })
			done <- struct{}{}
		}()
		go func() {
			none.Watch(ctx, func() { t.Error("no source tells of a Node") })
			done <- struct{}{}
		}()
		for _, name := range []string{"n2", "n2", "n3"} { // the second n2 is no news
			synctest.Wait()
			s.Set(Node{Name: name})
		}
		synctest.Wait()
		cancel()
		<-done
		<-done
		if len(told) != 3 || told[0] != "n1" || told[1] != "n2" || told[2] != "n3" {
			t.Errorf("told of %v", told)
		}
	})
}

func TestWatchOfAMissingNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Source
		ctx, cancel := context.WithCancel(t.Context())
		told, done := 0, make(chan struct{})
		go func() {
			defer close(done)
			s.Watch(ctx, func() { told++ })
		}()
		synctest.Wait()
		s.Gone()
		synctest.Wait()
		cancel()
		<-done
		if told != 1 {
			t.Errorf("told %d times", told)
		}
	})
}
