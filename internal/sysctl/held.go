package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// maxHeld is as much of a value as is compared.
const maxHeld = 4096

// held are open descriptors of all parameters that the rules read, and of those that
// are written to change them. A descriptor stays with the network namespace that it
// was opened in, and keeps the kernel from dropping the inode that a watch or a mark
// is on.
type held struct {
	mu         sync.Mutex
	parameters map[string]*parameter // by path below /proc/sys
	followers  []follower
	suspect    bool // some parameters may be gone
	buf        [maxHeld]byte
}

// follower is told what is held, now and whenever that changes.
type follower interface {
	watch(parameters map[string]*parameter)
}

type parameter struct {
	wanted
	fd   int
	last string
	gone bool // from the kernel: its interface is
}

// arm lets hold hold.
func (h *held) arm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parameters = map[string]*parameter{}
}

// hold opens what is wanted and not yet open, and closes what is gone. The
// subjects are those of want; a parameter that the kernel does not have is left
// out. Where nothing is armed, nothing is opened.
func (h *held) hold(root *host.Root, want map[string]wanted) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parameters == nil {
		return nil
	}
	h.dropGone(want)
	var failed error
	for path, w := range want {
		if h.parameters[path] != nil {
			continue
		}
		p, err := h.open(root, path, w)
		switch {
		case err == nil:
			h.parameters[path] = p
		case !errors.Is(err, fs.ErrNotExist):
			failed = fmt.Errorf("hold %s: %w", path, err)
		}
	}
	for _, f := range h.followers {
		f.watch(h.parameters)
	}
	return failed
}

func (h *held) open(root *host.Root, path string, w wanted) (*parameter, error) {
	fd, err := root.OpenSysctl(path)
	if err != nil {
		return nil, err
	}
	p := &parameter{wanted: w, fd: fd}
	value, err := p.read(h.buf[:])
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	p.last = string(value)
	return p, nil
}

// dropGone closes what is no longer wanted or no longer the kernel's: an interface
// that comes back under its name has new parameters.
func (h *held) dropGone(want map[string]wanted) {
	for path, p := range h.parameters {
		if h.suspect {
			_, err := p.read(h.buf[:])
			p.gone = err != nil
		}
		if _, wanted := want[path]; !wanted || p.gone {
			h.drop(path)
		}
	}
	h.suspect = false
}

// interfaceGone has the next hold find out what went with an interface.
func (h *held) interfaceGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.suspect = true
}

func (h *held) drop(path string) {
	_ = unix.Close(h.parameters[path].fd)
	delete(h.parameters, path)
}

// release closes all and disarms.
func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path := range h.parameters {
		h.drop(path)
	}
	h.parameters = nil
}

// holds tells whether anything is armed.
func (h *held) holds() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.parameters != nil
}

// follow begins to tell. A source that takes over begins before the other one ends.
func (h *held) follow(f follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers = append(h.followers, f)
	f.watch(h.parameters)
}

func (h *held) unfollow(f follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers = slices.DeleteFunc(h.followers, func(other follower) bool { return other == f })
}

// value is what a parameter says now, which is held from then on; not ok where nothing is
// armed, or the parameter has to be looked for.
func (h *held) value(root *host.Root, path string, w wanted) (value string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.parameters == nil {
		return "", false
	}
	p := h.parameters[path]
	if p == nil {
		var err error
		if p, err = h.open(root, path, w); err != nil {
			return "", false
		}
		h.parameters[path] = p
		return p.last, len(p.last) < maxHeld
	}
	data, err := p.read(h.buf[:])
	p.gone = err != nil
	if value = p.last; string(data) != value {
		value = string(data)
	}
	return value, err == nil && len(data) < maxHeld
}

// poll hints for the parameters that changed and tells whether some are gone.
func (h *held) poll(to drift.Sink) (gone bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, p := range h.parameters {
		if p.unread {
			continue
		}
		value, err := p.read(h.buf[:])
		if err != nil {
			h.drop(path)
			gone = true
			continue
		}
		if string(value) != p.last {
			p.last = string(value)
			to.Hint(drift.Hint{Source: heldSource, Subject: p.subject, At: time.Now()})
		}
	}
	return gone
}

// read reads past the runtime's poller: sysctl files have a readiness of their own
// that nobody waits for here.
func (p *parameter) read(buf []byte) ([]byte, error) {
	for {
		n, err := unix.Pread(p.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return buf[:max(n, 0)], err
	}
}
