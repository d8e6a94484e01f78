package hostconfig

import (
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// memory is what earlier looks saw: of files that are long to read, and how the
// clock was kept.
type memory struct {
	mu       sync.Mutex
	parsed   map[string]parsed
	rpm      rpm.Reader
	synced   bool
	unsynced time.Time
}

type parsed struct {
	stamp stamp
	value any
}

// stamp tells whether a file is what it was.
type stamp struct {
	device, inode, size uint64
	modified, changed   int64
}

func newMemory() *memory { return &memory{parsed: map[string]parsed{}} }

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.parsed)
}

// maxRemembered bounds what is kept of files that come and go.
const maxRemembered = 4096

// remembered returns what parse made of a file, of an earlier look where the file
// is what it was then.
func remembered[T any](l *look, name string, limit int64, parse func([]byte) (T, error)) (T, error) {
	var none T
	e, err := l.root.Stat(name)
	if err != nil {
		return none, err
	}
	now := stampOf(e)
	if value, ok := l.memory.recall(name, now).(T); ok {
		return value, nil
	}
	data, err := l.root.ReadFile(name, limit)
	if err != nil {
		return none, err
	}
	value, err := parse(data)
	if err != nil {
		return none, err
	}
	l.memory.keep(name, parsed{now, value})
	return value, nil
}

// recall returns what was made of a file that still is what it was, else nil.
func (m *memory) recall(name string, now stamp) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, known := m.parsed[name]; known && was.stamp == now {
		return was.value
	}
	return nil
}

func (m *memory) keep(name string, p parsed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.parsed) >= maxRemembered {
		clear(m.parsed)
	}
	m.parsed[name] = p
}

func stampOf(e host.Entry) stamp {
	return stamp{e.Device, e.Inode, e.Size, e.Modified.UnixNano(), e.Changed.UnixNano()}
}

// clockMemory is what looks have seen of the clock.
type clockMemory struct {
	synced   bool          // once
	unsynced time.Duration // for how long it has not been
}

// clockSeen notes the clock as it is now.
func (m *memory) clockSeen(synced bool, now time.Time) clockMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case synced:
		m.synced, m.unsynced = true, time.Time{}
		return clockMemory{synced: true}
	case m.unsynced.IsZero():
		m.unsynced = now
	}
	return clockMemory{m.synced, now.Sub(m.unsynced)}
}
