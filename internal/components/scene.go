package components

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// scene is what one look sees of the components and their configuration.
type scene struct {
	root      *host.Root
	recorded  baseline.Scope
	processes map[Component]*host.Process
	unlisted  *fault // why processes could not be found
	areas     []*area
	kubelet   kubeletSeen
	runtimes  map[Component]runtimeSeen
	releases  []release
	owned     owned
	own       node.Node // as far as it is known
	packages  *packages.Database
	matters   map[string][]*area // beside the parameters, by name
	now       time.Time
	dirs      map[string]bool // where was looked
}

func look(root *host.Root, recorded baseline.Scope) *scene {
	s := &scene{root: root, recorded: recorded, runtimes: map[Component]runtimeSeen{}, dirs: map[string]bool{}}
	s.matters, s.packages, s.now = map[string][]*area{}, &packages.Database{}, time.Now()
	s.processes, s.unlisted = findProcesses(root)
	s.lookAtKubelet()
	s.lookAtContainerd()
	s.lookAtDocker()
	return s
}

// add keeps an area; without processes nobody knows which files are the ones.
func (s *scene) add(a *area) *area {
	if s.unlisted != nil {
		a.fault = s.unlisted
	}
	if p := s.processes[a.component]; p != nil {
		a.started = p.Started
	}
	s.areas = append(s.areas, a)
	return a
}

// addCommand adds the area of a component's running command line.
func (s *scene) addCommand(c Component) flags {
	a := s.add(&area{component: c, name: string(c), prefix: string(c), owns: isFlag})
	p := s.processes[c]
	switch {
	case p != nil:
		a.state = running
	case s.root.Live():
		a.state = absent
	}
	if p == nil {
		return nil
	}
	f := dialectOf(c).parse(p.Args[1:])
	a.values = map[string]value{}
	for key, text := range f.texts() {
		a.values[key] = value{text: text}
	}
	return f
}

// file is one configuration file as it was read.
type file struct {
	path    string
	data    []byte
	changed time.Time
}

// read returns a file and when it, or a link to it, last changed: the inode's
// change time moves with every change of the content too, and cannot be set.
func (s *scene) read(name string, limit int64) (file, error) {
	s.noteFile(name)
	changed, err := s.changed(name)
	if err != nil {
		return file{path: name}, err
	}
	data, err := s.root.ReadFile(name, limit)
	return file{path: name, data: data, changed: changed}, err
}

func (s *scene) changed(name string) (time.Time, error) {
	target, err := s.root.Stat(name)
	if err != nil {
		return time.Time{}, err
	}
	link, err := s.root.Lstat(name)
	if err != nil {
		return time.Time{}, err
	}
	return latest(target.Changed, link.Changed), nil
}

// changedAround is when something last appeared in, or went from, the directory of
// name, or the nearest one above it that is there.
func (s *scene) changedAround(name string) time.Time {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		s.noteDir(dir)
		e, err := s.root.Stat(dir)
		switch {
		case err == nil:
			return e.Changed
		case dir == "/":
			return time.Time{}
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// absolute is where a component finds a path: systemd starts it in /.
func absolute(name string) string { return path.Clean("/" + name) }

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// faultOf says why a file could not be looked at.
func faultOf(name string, err error) *fault {
	var path *os.PathError
	name = drift.Printable(name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &fault{name + ": permission denied", "run as root, or with CAP_DAC_READ_SEARCH"}
	case errors.Is(err, host.ErrNotRegular):
		return &fault{name + ": not a regular file", "put the file back"}
	case errors.Is(err, host.ErrTooLarge):
		return &fault{name + ": too large", "a configuration of this size is not one"}
	case errors.As(err, &path):
		return &fault{name + ": " + path.Err.Error(), ""}
	default:
		return &fault{fmt.Sprintf("%s: %v", name, err), ""}
	}
}

// fileFault is the error of one file among several.
type fileFault struct {
	name string
	err  error
}

func (e *fileFault) Error() string { return e.name + ": " + e.err.Error() }
func (e *fileFault) Unwrap() error { return e.err }

// failed notes why an area could not be looked at, with the file at fault.
func (a *area) failed(err error) {
	if a.fault != nil {
		return
	}
	if at, ok := errors.AsType[*fileFault](err); ok {
		a.fault = faultOf(at.name, at.err)
		return
	}
	a.fault = faultOf(a.place, err)
}

// settle closes the look at an area that is read from files.
func (a *area) settle(found bool, err error) {
	switch {
	case a.fault != nil:
	case err != nil:
		a.failed(err)
	case found:
		a.state = present
	default:
		a.state = absent
	}
}
