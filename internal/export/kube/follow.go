package kube

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// settled is how long a watch has to live to count as one that works.
	settled = time.Second
	// appears is how long an open watch may be silent about a Node that is there: it
	// begins with the Node as it is.
	appears = 10 * time.Second
)

// following is the watch of the Node with what was told of it.
type following struct {
	*Exporter
	told   *Node // nil: nothing yet
	server server
}

// follow watches the Node until ctx ends. Each watch begins with the Node as it is,
// so nothing that happened in between is missed.
func (e *Exporter) follow(ctx context.Context) {
	var (
		wait    backoff
		failing bool
	)
	f := &following{Exporter: e}
	for ctx.Err() == nil {
		began := time.Now()
		err := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= settled {
			wait.reset() // servers end every watch after some time
			e.said("follow the Node", &failing, nil)
		} else {
			e.said("follow the Node", &failing, err)
		}
		pause(ctx, wait.after(err))
	}
}

var errWatchEnded = errors.New("the watch ended")

func (f *following) once(ctx context.Context) error {
	stream, err := f.api.watch(ctx, f.config.Node)
	if err != nil {
		return err
	}
	defer stream.Stop()
	silent := time.NewTimer(appears)
	defer silent.Stop()
	ask := time.NewTimer(f.askFirst(ctx))
	defer ask.Stop()
	defer f.heard.Store(false)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silent.C:
			f.heard.Store(true)
			f.missing()
		case <-ask.C:
			ask.Reset(f.ask(ctx))
			f.tellServer()
		case event, ok := <-stream.ResultChan():
			if !ok {
				return errWatchEnded
			}
			if event.Type == watch.Error {
				return apierrors.FromObject(event.Object)
			}
			if n, ok := event.Object.(*corev1.Node); ok {
				silent.Stop()
				f.heard.Store(true)
				if f.upgraded(n) { // as its control plane was, just before
					ask.Reset(f.ask(ctx))
				}
				f.saw(n, event.Type == watch.Deleted)
			}
		}
	}
}

// saw hands the Node on: to the loops always, to the agent when it tells something new.
func (f *following) saw(n *corev1.Node, deleted bool) {
	now := state{version: n.ResourceVersion}
	if !deleted {
		now.Node = nodeOf(n)
		now.APIServerVersion = f.server.version
	}
	if f.first.Load() == nil {
		before := slices.Clone(now.Conditions)
		f.first.Store(&before)
	}
	f.states.put(now)
	f.objects.put(now)
	f.tell(now.Node)
}

// missing hands on that there is no such Node: it was deleted before the watch began,
// or never registered.
func (f *following) missing() {
	f.states.put(state{})
	f.objects.put(state{})
	f.tell(Node{})
}

// tell gives the agent what it does not know yet.
func (f *following) tell(n Node) {
	if f.told != nil && reflect.DeepEqual(*f.told, n) {
		return
	}
	f.told = &n
	if f.config.OnNode != nil {
		n.Conditions = slices.Clone(n.Conditions)
		f.config.OnNode(n)
	}
}

// find returns the condition of a type.
func find(conditions []drift.Condition, condition string) (drift.Condition, bool) {
	i := slices.IndexFunc(conditions, func(c drift.Condition) bool { return c.Type == condition })
	if i < 0 {
		return drift.Condition{}, false
	}
	return conditions[i], true
}
