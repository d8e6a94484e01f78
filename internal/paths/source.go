package paths

import (
	"context"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/watch"
)

// Files is the shared file watcher, as far as this check needs it.
type Files interface {
	Watch(ctx context.Context, s watch.Subscription) error
}

const source = "inotify"

// How often all metadata is looked at: the net under the events, and what there is
// without them.
const (
	resyncEvery = 10 * time.Minute
	pollEvery   = time.Minute
)

// Watch implements drift.Watcher.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	to = modeSink{to, c}
	ctx, cancel := context.WithCancel(ctx)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	waiting.Go(func() { c.awaitPackages(ctx, to) })
	waiting.Go(func() { c.verify(ctx, to) })
	if c.files == nil {
		to.Mode(source, drift.Poll, "there is no file watcher")
		to.Hint(drift.Hint{Source: source, At: time.Now(), Armed: true})
		<-ctx.Done()
		return nil
	}
	return c.files.Watch(ctx, watch.Subscription{Source: source, Trees: c.trees(), Subject: c.subject, To: to})
}

// ResyncEvery implements drift.Resyncer.
func (c *Check) ResyncEvery() time.Duration {
	if c.poll.Load() {
		return pollEvery
	}
	return resyncEvery
}

// modeSink lets the check know how it notices.
type modeSink struct {
	drift.Sink
	check *Check
}

func (s modeSink) Mode(source string, m drift.Mode, why string) {
	s.check.poll.Store(m != drift.Event)
	s.Sink.Mode(source, m, why)
}

// trees are the directories that a look goes into, and no others.
func (c *Check) trees() []watch.Tree {
	var out []watch.Tree
	for _, r := range c.rules {
		if r.Rule.Mounts != nil || r.Rule.Must != nil && r.Rule.Must.Grant != "" {
			continue // of mounts nothing in a directory tells, and the root is not watched
		}
		for _, p := range r.Rule.Paths {
			out = append(out, watch.Tree{Path: p, Enter: r.Rule.enters})
		}
	}
	if c.inventory != nil {
		for _, name := range packages.Files(c.root) {
			out = append(out, watch.Tree{Path: name})
		}
	}
	return out
}

func (r Rule) enters(rel string) bool {
	if rel == "" {
		return len(r.Content) > 0
	}
	return r.below(rel)
}

// subject tells what a changed path is in terms of findings, and whether any rule
// counts it.
func (c *Check) subject(name string) (string, bool) {
	if packages.IsFile(name) {
		return name, true
	}
	for _, r := range c.rules {
		for _, p := range r.Rule.Paths {
			if rel, below := strings.CutPrefix(name, p+"/"); name == p || below && r.Rule.notices(rel) {
				return drift.Printable(name), true
			}
		}
	}
	return "", false
}

// notices tells whether a change of the entry rel can change a fact: those of a
// rotating link come from the certificate beside it.
func (r Rule) notices(rel string) bool {
	return r.static(rel) || r.below(rel) || matchAny(r.Rotating, rel) || r.besideRotating(rel)
}

func (r Rule) besideRotating(rel string) bool {
	for _, g := range r.Rotating {
		if match(path.Dir(g), path.Dir(rel)) {
			return true
		}
	}
	return false
}
