package watch

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

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
	// Whole is for a check that looks at all of its area whatever happens there: no
	// subject, and told after those who are told one.
	Whole bool
	To    drift.Sink
}

// Delays between attempts to watch what could not be watched.
const (
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// Watcher is shared by all checks. It holds kernel resources only while somebody
// is subscribed.
type Watcher struct {
	root         *host.Root
	openFanotify opener

	mu          sync.Mutex
	subscribers map[*subscriber]bool
	fanotify    kernel        // nil: nameless says why
	inotify     kernel        // nil until a directory needs it, or broken says why
	nameless    error         // why changes come without who did them
	broken      error         // why there is no inotify
	over        chan struct{} // closed with the kernel's interfaces
	marks       marks
	pace        pace
	remote      func(path string) bool // while trees are being armed
	mounts      *mountWatch
	retry       *time.Timer
	delay, wait time.Duration // before the next retry; before the first one
	running     *sync.WaitGroup
}

// New returns a watcher of the host's files.
func New(root *host.Root) *Watcher {
	return &Watcher{root: root, openFanotify: openFanotify, subscribers: map[*subscriber]bool{}, pace: pace{most: large}, wait: firstRetry}
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
	sub.To.Hint(drift.Hint{Source: sub.Source, At: time.Now(), Armed: true})
	return sub
}

func (w *Watcher) leave(sub *subscriber) {
	w.mu.Lock()
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
	for _, t := range sub.trees {
		w.abandon(t)
	}
	w.mu.Unlock()
	if last {
		running.Wait()
	}
}

func (w *Watcher) listen(k kernel) {
	over := w.over
	w.running.Go(func() { w.serve(k, over) })
}

// serve passes on what k says. In a storm it sits out a while and has everything
// looked at instead.
func (w *Watcher) serve(k kernel, over <-chan struct{}) {
	for {
		changes, err := k.read()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		var storm bool
		w.handle(k, func() { storm = w.take(changes, err) })
		if !storm {
			continue
		}
		select {
		case <-time.After(stormPause):
			w.handle(k, w.startOver)
		case <-over:
		}
	}
}

// handle does something about what k said, unless k is no longer ours.
func (w *Watcher) handle(k kernel, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if k == w.fanotify || k == w.inotify {
		do()
	}
}

// take tells whether it is too much to go on reading.
func (w *Watcher) take(changes []change, err error) (storm bool) {
	for _, c := range changes {
		w.event(c)
	}
	if err != nil {
		w.failed(err)
	}
	return w.pace.storm(len(changes) + 1)
}

func (w *Watcher) failed(err error) {
	switch {
	case errors.Is(err, errMalformed):
		w.distrust(err)
		w.startOver()
	case errors.Is(err, errOverflow):
		w.startOver()
	default:
		for sub := range w.subscribers {
			sub.To.Failed(sub.Source, err)
		}
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

// settle says the mode where it changed and plans another attempt if it could be
// better.
func (w *Watcher) settle(sub *subscriber) {
	err := w.broken
	for _, t := range sub.trees {
		if err == nil {
			err = t.err
		}
	}
	sub.mode(err, w.how(sub))
	sub.names(w.nameless)
	if err != nil || w.lacking() {
		w.plan()
	}
}

func (w *Watcher) plan() {
	if w.retry == nil {
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
	w.broken = nil
	healthy, anew := true, w.regain()
	for sub := range w.subscribers {
		if !sub.degraded && !anew {
			continue
		}
		w.arm(sub)
		if healthy = healthy && !sub.degraded; !sub.degraded {
			sub.hint("", 0)
		}
	}
	switch {
	case w.lacking():
		w.plan()
	case healthy:
		w.delay = w.wait
	}
}
