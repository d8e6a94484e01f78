package watch

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Tree is a part of the host that a check wants to hear of.
type Tree struct {
	// Path is absolute. Links on the way are followed inside the host root, and
	// watched themselves; what is missing is waited for.
	Path string
	// Enter tells whether the entries of the directory rel below Path are watched,
	// too; "" is Path itself. nil: only what Path itself is and leads to. Links and
	// mount points below Path are not entered.
	Enter func(rel string) bool
}

// Subscription is what one check asks for.
type Subscription struct {
	Source string // its name in hints and modes
	Trees  []Tree
	// Subject translates the path that changed, in terms of Tree.Path, and tells
	// whether it counts. It has to be quick. nil: all count, as printable paths.
	Subject func(path string) (subject string, counts bool)
	To      drift.Sink
}

// Delays between attempts to watch what could not be watched.
const (
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// eventBuffer is how far the reader may be ahead of the bookkeeping; behind it
// lies the kernel's own queue.
const eventBuffer = 4096

// Watcher is shared by all checks. It holds kernel resources only while somebody
// is subscribed.
type Watcher struct {
	root *host.Root

	mu          sync.Mutex
	subscribers map[*subscriber]bool
	kernel      *fsnotify.Watcher // nil: none could be had
	broken      error             // why kernel is nil
	marks       marks
	remote      func(path string) bool // while trees are being armed
	mounts      *mountWatch
	retry       *time.Timer
	delay, wait time.Duration // before the next retry; before the first one
	running     *sync.WaitGroup
}

// New returns a watcher of the host's files.
func New(root *host.Root) *Watcher {
	return &Watcher{root: root, subscribers: map[*subscriber]bool{}, wait: firstRetry}
}

// Watch arms the trees, says the mode, hints once for all, and goes on until ctx
// ends, which is no error.
func (w *Watcher) Watch(ctx context.Context, s Subscription) error {
	sub := w.join(s)
	<-ctx.Done()
	w.leave(sub)
	return nil
}

// Watches is how many directories the kernel watches for us.
func (w *Watcher) Watches() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.marks.count()
}

func (w *Watcher) join(s Subscription) *subscriber {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.subscribers) == 0 {
		w.delay, w.running = w.wait, &sync.WaitGroup{}
		w.open()
		if err := w.watchMounts(); err != nil {
			s.To.Failed(s.Source, err)
		}
	}
	sub := newSubscriber(s, &w.mu)
	w.subscribers[sub] = true
	w.arm(sub)
	sub.hint("")
	return sub
}

func (w *Watcher) leave(sub *subscriber) {
	w.mu.Lock()
	for _, t := range sub.trees {
		w.abandon(t)
	}
	sub.close()
	delete(w.subscribers, sub)
	last, running := len(w.subscribers) == 0, w.running
	if last {
		w.close()
		w.mounts.close()
		w.mounts = nil
		if w.retry != nil {
			w.retry.Stop()
			w.retry = nil
		}
	}
	w.mu.Unlock()
	if last {
		running.Wait()
	}
}

// open asks the kernel for the one inotify instance.
func (w *Watcher) open() {
	w.marks = newMarks()
	k, err := fsnotify.NewBufferedWatcher(eventBuffer)
	if w.kernel, w.broken = k, explainInstance(err); err != nil {
		w.kernel = nil
		return
	}
	failures := make(chan error, 16)
	w.running.Go(func() { drain(k.Errors, failures) })
	w.running.Go(func() { w.serve(k, failures) })
}

func (w *Watcher) close() {
	if w.kernel != nil {
		_ = w.kernel.Close()
		w.kernel = nil
	}
}

// drain takes errors at once: fsnotify may hold its lock until one is taken.
func drain(from <-chan error, to chan<- error) {
	for err := range from {
		select {
		case to <- err:
		default:
		}
	}
}

func (w *Watcher) serve(k *fsnotify.Watcher, failures <-chan error) {
	for {
		select {
		case ev, open := <-k.Events:
			if !open {
				return
			}
			w.handle(k, func() { w.event(ev) })
		case err := <-failures:
			w.handle(k, func() { w.failed(err) })
		}
	}
}

// handle does something about what k said, unless k is no longer ours.
func (w *Watcher) handle(k *fsnotify.Watcher, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kernel == k {
		do()
	}
}

func (w *Watcher) failed(err error) {
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		w.startOver()
		return
	}
	for sub := range w.subscribers {
		sub.To.Failed(sub.Source, err)
	}
}

// startOver drops all watches and arms everything anew: after an overflow none of
// them can be relied on, since what became of its directory may be among the lost.
func (w *Watcher) startOver() {
	w.close()
	w.open()
	for sub := range w.subscribers {
		w.arm(sub)
		sub.lost()
	}
}

// arm arms all trees of a subscriber and tells how it notices from now on.
func (w *Watcher) arm(sub *subscriber) {
	w.withMounts(func() {
		for _, t := range sub.trees {
			w.armTree(t)
		}
	})
	w.settle(sub)
}

// settle says the mode where it changed and plans another attempt if it is poll.
func (w *Watcher) settle(sub *subscriber) {
	err := w.broken
	for _, t := range sub.trees {
		if err == nil {
			err = t.err
		}
	}
	sub.mode(err)
	if err != nil && w.retry == nil {
		w.retry = time.AfterFunc(w.delay, w.tryAgain)
		w.delay = min(2*w.delay, lastRetry)
	}
}

// tryAgain arms what could not be armed. What happened there meanwhile is unknown,
// so a success hints for all.
func (w *Watcher) tryAgain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.retry = nil; len(w.subscribers) == 0 {
		return
	}
	if w.kernel == nil {
		w.open()
	}
	healthy := w.broken == nil
	for sub := range w.subscribers {
		if !sub.degraded {
			continue
		}
		w.arm(sub)
		if healthy = healthy && !sub.degraded; !sub.degraded {
			sub.hint("")
		}
	}
	if healthy {
		w.delay = w.wait
	}
}
