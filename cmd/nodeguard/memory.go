package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gcPercent saves memory, which every node has to set aside, at the price of processor
	// time, of which the agent needs little but in a storm.
	gcPercent = 80
	// startPercent is for the time until the first report, which people wait for.
	startPercent = 200
	// settledAfter is how long after a start or a rebuild their garbage is given back.
	settledAfter = 20 * time.Second
)

// quick lets the start be quick. What GOGC says goes first.
func quick(profiled bool) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(startPercent)
	}
	if !profiled {
		runtime.MemProfileRate = 0
	}
}

// lean lets the runtime keep little from then on.
func lean() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// giveBack returns memory to the host that was needed for a while only: garbage, and
// the pages of the program itself, most of which the start alone needs. What is needed
// again comes from the page cache.
func giveBack() {
	debug.FreeOSMemory()
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		if from, size, ok := programPages(line, self); ok {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, size, unix.MADV_DONTNEED)
		}
	}
}

// programPages are a line of /proc/PID/maps that maps the program, never to be written.
func programPages(line, self string) (from, size uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[5] != self || fields[1] != "r-xp" && fields[1] != "r--p" {
		return 0, 0, false
	}
	begin, end, _ := strings.Cut(fields[0], "-")
	first, err := strconv.ParseUint(begin, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	after, err := strconv.ParseUint(end, 16, 64)
	if err != nil || after <= first {
		return 0, 0, false
	}
	return uintptr(first), uintptr(after - first), true
}
