package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// gcPercent trades processor time, of which the agent needs next to none, for
	// memory, which every node has to set aside.
	gcPercent = 30
	// settledAfter is how long after a start or a rebuild their garbage is given back.
	settledAfter = 20 * time.Second
)

// lean lets the runtime keep little. What GOGC says goes first.
func lean(profiled bool) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if !profiled {
		runtime.MemProfileRate = 0
	}
}

// giveBack returns memory to the host that was needed for a while only.
func giveBack() { debug.FreeOSMemory() }
