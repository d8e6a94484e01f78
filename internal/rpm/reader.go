package rpm

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
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

	errTooManyFiles = errors.New("the packages have too many files")
)

// Reader reads databases of a host, one child at a time. Its zero value is ready.
type Reader struct {
	mu   sync.Mutex
	hung *probe.Process // a child that did not end when it was killed
}

// Names are the installed packages by name.
func (r *Reader) Names(ctx context.Context, root *host.Root, database *os.File) (map[string]bool, error) {
	installed := map[string]bool{}
	err := r.ask(ctx, root, database, request{Want: names}, func(p Package) error {
		installed[p.Name] = true
		return errorIf(len(installed) > maxPackages, errTooMany)
	})
	if err != nil {
		return nil, err
	}
	return installed, nil
}

// Owners are the installed packages with files at or below the paths, and these files.
// It fails with ErrBeingWritten while the database changes.
func (r *Reader) Owners(ctx context.Context, root *host.Root, database string, below []string) (out []Package, err error) {
	files := 0
	err = steadily(root, database, func(f *os.File) error {
		return r.ask(ctx, root, f, request{Want: owners, Paths: below}, func(p Package) error {
			out, files = append(out, p), files+len(p.Files)
			return errors.Join(errorIf(len(out) > maxPackages, errTooMany), errorIf(files > maxFiles, errTooManyFiles))
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ask lets a child read and takes the packages that it tells.
func (r *Reader) ask(ctx context.Context, root *host.Root, database *os.File, what request, take func(Package) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hangs() {
		return errBusy
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	child, err := probe.Start(root, Packages, what, database)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, child.Kill)()
	defer r.end(child)
	err = collect(child.Next, take)
	if errors.Is(err, errEnded) && ctx.Err() != nil {
		err = errSlow
	}
	return err
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
func collect(next func(any) error, take func(Package) error) error {
	for {
		var a answer
		if next(&a) != nil {
			return errEnded
		}
		for _, p := range a.Packages {
			if err := take(p); err != nil {
				return err
			}
		}
		switch {
		case a.Error != "":
			return errors.New(drift.Printable(a.Error))
		case a.End:
			return nil
		}
	}
}
