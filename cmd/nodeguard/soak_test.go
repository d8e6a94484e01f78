package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// A day with a drift every minute, compressed: nothing grows, whichever source tells
// and whoever is gone again before anybody looked.
func TestADayOfDriftLeaksNothing(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	a.wait(`"msg":"baseline recorded"`)
	cycle := func() {
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
		a.wait(`"msg":"raised"`, "ip_forward")
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
		a.wait(`"msg":"cleared"`, "ip_forward")
	}
	others := func() {
		hosttest.Run(t, "sh", "-c", `ip link add eth7 type dummy; ip link delete eth7
nft add table inet soak; nft delete table inet soak
mkdir /var/lib/kubelet/soak; mount -t tmpfs soak /var/lib/kubelet/soak; umount /var/lib/kubelet/soak; rmdir /var/lib/kubelet/soak
chmod 666 /var/lib/kubelet/config.yaml`)
		a.wait(`"msg":"raised"`, "/var/lib/kubelet/config.yaml")
		hosttest.Run(t, "chmod", "644", "/var/lib/kubelet/config.yaml")
		a.wait(`"msg":"cleared"`, "/var/lib/kubelet/config.yaml")
	}
	day := func(minutes int) {
		for minute := range minutes {
			cycle()
			if minute%20 == 0 {
				others()
			}
		}
	}
	day(100)
	before := resources(t)
	day(24*60 - 100)
	if after := resources(t); after.goroutines > before.goroutines+5 || after.descriptors > before.descriptors+5 || after.heap > before.heap+4<<20 || after.resident > before.resident+8<<20 {
		t.Errorf("%+v, then %+v", before, after)
	}
	if code := a.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// used is what this process has, in bytes where it is memory.
type used struct {
	goroutines, descriptors int
	heap, resident          uint64
}

func resources(t *testing.T) used {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return used{runtime.NumGoroutine(), len(fds), m.HeapAlloc, pages * uint64(os.Getpagesize())}
}
