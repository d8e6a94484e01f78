package watch

import (
	"errors"
	"math"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

// RetryAfter sets the first delay before another attempt.
func (w *Watcher) RetryAfter(d time.Duration) { w.wait = d }

// ReadStorms lets the watcher read on whatever comes.
func (w *Watcher) ReadStorms() { w.pace.most = math.Inf(1) }

// FailFanotify lets fanotify not be had.
func (w *Watcher) FailFanotify(err error) { w.distrust(err) }

// LimitFanotify lets it refuse further marks.
func (w *Watcher) LimitFanotify(marks int, err error) {
	w.openFanotify = func(root *host.Root, byName map[string]*mark) (kernel, error) {
		k, failed := openFanotify(root, byName)
		return &limited{kernel: k, left: marks, err: err}, failed
	}
}

// GarbleFanotify lets it say what nobody understands.
func (w *Watcher) GarbleFanotify() {
	w.openFanotify = func(root *host.Root, byName map[string]*mark) (kernel, error) {
		k, err := openFanotify(root, byName)
		return garbled{k}, err
	}
}

type limited struct {
	kernel
	left int
	err  error
}

func (k *limited) add(dir int) (string, error) {
	if k.left--; k.left < 0 {
		return "", k.err
	}
	return k.kernel.add(dir)
}

type garbled struct{ kernel }

func (k garbled) read() ([]change, error) {
	if _, err := k.kernel.read(); err != nil && !errors.Is(err, errOverflow) {
		return nil, err
	}
	return parseFanotify([]byte("nobody understands this, whoever says it"))
}
