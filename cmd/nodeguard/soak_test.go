package main

import (
	"os"
	"runtime"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// A day with a drift every minute, compressed: nothing grows.
func TestADayOfDriftLeaksNothing(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	a := startAgent(t)
	a.wait(`"msg":"baseline recorded"`)
	cycle := func() {
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
		a.wait(`"msg":"raised"`, "ip_forward")
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
		a.wait(`"msg":"cleared"`, "ip_forward")
	}
	for range 100 {
		cycle()
	}
	goroutines, descriptors, heap := resources(t)
	for range 24*60 - 100 {
		cycle()
	}
	goroutinesAfter, descriptorsAfter, heapAfter := resources(t)
	if goroutinesAfter > goroutines+5 || descriptorsAfter > descriptors+5 || heapAfter > heap+4<<20 {
		t.Errorf("goroutines %d, then %d; descriptors %d, then %d; heap %d KiB, then %d KiB",
			goroutines, goroutinesAfter, descriptors, descriptorsAfter, heap>>10, heapAfter>>10)
	}
	if code := a.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func resources(t *testing.T) (goroutines, descriptors int, heap uint64) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(fds), m.HeapAlloc
}
