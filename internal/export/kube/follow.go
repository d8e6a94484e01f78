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

// settled is how long a watch has to live to count as one that works.
const settled = time.Second

// follow watches the Node until ctx ends. Each watch begins with the Node as it is,
// so nothing that happened in between is missed.
func (e *Exporter) follow(ctx context.Context) {
	var (
		wait    backoff
		failing bool
		told    *Node
	)
	for ctx.Err() == nil {
		began := time.Now()
		err := e.followOnce(ctx, &told)
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

func (e *Exporter) followOnce(ctx context.Context, told **Node) error {
	stream, err := e.api.watch(ctx, e.config.Node)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event, ok := <-stream.ResultChan():
			if !ok {
				return errWatchEnded
			}
			if event.Type == watch.Error {
				return apierrors.FromObject(event.Object)
			}
			if n, ok := event.Object.(*corev1.Node); ok {
				e.saw(n, event.Type == watch.Deleted, told)
			}
		}
	}
}

// saw hands the Node on: to the loops always, to the agent when it tells something new.
func (e *Exporter) saw(n *corev1.Node, deleted bool, told **Node) {
	now := state{version: n.ResourceVersion}
	if !deleted {
		now.Node = nodeOf(n)
	}
	if e.first.Load() == nil {
		before := slices.Clone(now.Conditions)
		e.first.Store(&before)
	}
	e.states.put(now)
	e.objects.put(now)
	if *told == nil || !reflect.DeepEqual(**told, now.Node) {
		*told = &now.Node
		if e.config.OnNode != nil {
			n := now.Node
			n.Conditions = slices.Clone(n.Conditions)
			e.config.OnNode(n)
		}
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
