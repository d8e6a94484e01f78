package journal

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
)

// pollEvery is how often a journal is looked at where the kernel tells nothing of it.
const pollEvery = time.Second

// Follow lets Next go on with what is still to come, and returns a channel that tells
// when to ask it again. It is to be called before the first Next.
func (r *Reader) Follow(ctx context.Context) (<-chan struct{}, error) {
	dir, err := r.dir.Open(".")
	if err != nil {
		return nil, fmt.Errorf("follow the journal: %w", err)
	}
	defer dir.Close()
	r.follow = true
	changes := make(chan struct{}, 1)
	kernel, err := watchDir(dir)
	if err != nil {
		go poll(ctx, changes)
		return changes, nil
	}
	go func() {
		defer kernel.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-kernel.Events:
			case _, open := <-kernel.Errors: // events were lost: that is one, too
				if !open {
					return
				}
			}
			tell(changes)
		}
	}()
	return changes, nil
}

func watchDir(dir *os.File) (*fsnotify.Watcher, error) {
	kernel, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := kernel.Add(fmt.Sprintf("/proc/self/fd/%d", dir.Fd())); err != nil {
		_ = kernel.Close()
		return nil, err
	}
	return kernel, nil
}

func poll(ctx context.Context, changes chan<- struct{}) {
	every := time.NewTicker(pollEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			tell(changes)
		}
	}
}

func tell(changes chan<- struct{}) {
	select {
	case changes <- struct{}{}:
	default:
	}
}
