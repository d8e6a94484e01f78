package hosttest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// Usage is what the test's process holds.
type Usage struct{ goroutines, descriptors int }

// usagePatience is how long a goroutine that has said its last word may still be there.
const usagePatience = 10 * time.Second

// Use counts what is held now.
func Use(t *testing.T) Usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return Usage{runtime.NumGoroutine(), len(entries)}
}

// Exceeded waits for what is ending and tells whether more is held than before.
func (before Usage) Exceeded(t *testing.T) (now Usage, exceeded bool) {
	t.Helper()
	for end := time.Now().Add(usagePatience); runtime.NumGoroutine() > before.goroutines && time.Now().Before(end); {
		runtime.Gosched()
	}
	now = Use(t)
	return now, now.goroutines > before.goroutines || now.descriptors > before.descriptors
}
