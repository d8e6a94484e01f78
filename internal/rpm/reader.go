package rpm

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
)

// patience is how long a child may take, and dies how long its end may, once killed.
const (
	patience = 20 * time.Second
	dies     = time.Second
)

// maxPackages bounds what is kept of a database, whatever it says.
const maxPackages = 100_000

var (
	errSlow    = errors.New("the child that reads the database does not answer")
	errBusy    = errors.New("the child that read the database before has not ended")
	errEnded   = errors.New("the child that reads the database ended")
	errTooMany = errors.New("the database has too many packages")
)

// Reader reads databases of a host, one child at a time. Its zero value is ready.
type Reader struct {
	mu   sync.Mutex
	hung *probe.Process // a child that did not end when it was killed
}

// Names are the installed packages by name.
func (r *Reader) Names(ctx context.Context, root *host.Root, database *os.File) (map[string]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hangs() {
		return nil, errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	child, err := probe.Start(root, Packages, request{Want: names}, database)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, child.Kill)()
	defer r.end(child)
	installed, err := collect(child.Next)
	if errors.Is(err, errEnded) && ctx.Err() != nil {
		err = errSlow
	}
	return installed, err
}

// hangs tells whether an earlier child is still there: it waits for the disk, where no
// signal reaches it, and another one would too.
func (r *Reader) hangs() bool {
	if r.hung == nil {
		return false
	}
	select {
	case <-r.hung.Exited():
		r.hung = nil
	default:
	}
	return r.hung != nil
}

func (r *Reader) end(child *probe.Process) {
	child.Kill()
	timer := time.NewTimer(dies)
	defer timer.Stop()
	select {
	case <-child.Exited():
	case <-timer.C:
		r.hung = child
	}
}

// collect takes the answers up to the last one.
func collect(next func(any) error) (map[string]bool, error) {
	installed := map[string]bool{}
	for {
		var a answer
		if next(&a) != nil {
			return nil, errEnded
		}
		for _, p := range a.Packages {
			installed[p.Name] = true
		}
		switch {
		case len(installed) > maxPackages:
			return nil, errTooMany
		case a.Error != "":
			return nil, errors.New(a.Error)
		case a.End:
			return installed, nil
		}
	}
}
