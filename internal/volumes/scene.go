package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

var errNotDirectory error = unix.ENOTDIR

// scene is what one look sees.
type scene struct {
	root     *host.Root
	running  []inPod
	mounts   []*mountinfo.Info
	byPoint  map[string][]*mountinfo.Info
	byDevice map[uint64][]*mountinfo.Info
	kubelets []string // the kubelet's directories
	seen     map[string]bool
	pods     map[string]*pod
	onSystem map[uint64]bool // devices by whether they lie on the system disk, as far as asked
	gaps     []drift.Gap
}

// look sees processes first, then mounts, then directories. Whoever runs before
// the mounts are read and after it needed them in between.
func look(root *host.Root) *scene {
	s := &scene{
		root: root, seen: map[string]bool{}, pods: map[string]*pod{}, onSystem: map[uint64]bool{},
		byPoint: map[string][]*mountinfo.Info{}, byDevice: map[uint64][]*mountinfo.Info{},
	}
	if err := s.lookAtProcesses(); err != nil {
		s.gap("", "the host's processes could not be listed: "+reason(err), "run as root in the host's pid namespace (hostPID: true in a pod)")
		return s
	}
	if err := s.lookAtMounts(); err != nil {
		s.gap("", reason(err), "run as root in the host's pid namespace (hostPID: true in a pod)")
		return s
	}
	s.lookAtPods()
	s.settle()
	for _, p := range s.pods {
		for _, v := range p.volumes {
			v.mounts = s.byPoint[v.target()]
		}
	}
	return s
}

func (s *scene) lookAtMounts() (err error) {
	if s.mounts, err = s.root.Mounts(); err != nil {
		return err
	}
	for _, m := range s.mounts {
		s.byPoint[m.Mountpoint] = append(s.byPoint[m.Mountpoint], m)
		s.byDevice[device(m)] = append(s.byDevice[device(m)], m)
	}
	return nil
}

// seesMounts tells whether there is anything to say of mounts: a plain tree may
// have none.
func (s *scene) seesMounts() bool { return len(s.mounts) > 0 }

func device(m *mountinfo.Info) uint64 { return unix.Mkdev(uint32(m.Major), uint32(m.Minor)) }

// disk tells whether a block device is under the file system; others have numbers
// of their own without one.
func disk(m *mountinfo.Info) bool { return m.Major != 0 }

// volumes are those of pods with a running container, in a stable order.
func (s *scene) volumes(of func(*volume) bool) []*volume {
	var out []*volume
	for _, p := range s.sortedPods() {
		if !p.runs() {
			continue
		}
		for _, v := range p.volumes {
			if of(v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// containerMounts reads the mounts as the container's processes see them. Those
// of a container that has ended are none.
func (s *scene) containerMounts(p *pod, c *container) ([]*mountinfo.Info, error) {
	if c.mounts != nil {
		return c.mounts, nil
	}
	data, err := s.readContainer(c)
	if err != nil || data == nil {
		return nil, err
	}
	c.mounts, err = mountinfo.GetMountsFromReader(bytes.NewReader(data), nil)
	if err != nil {
		return nil, fmt.Errorf("parse the mounts of %s: %w", p.title(), err)
	}
	return c.mounts, nil
}

// maxMounts is more than a container has.
const maxMounts = 8 << 20

func (s *scene) readContainer(c *container) ([]byte, error) {
	data, err := s.root.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", c.pid), maxMounts)
	if gone(err) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, nil
	}
	return data, err
}

// mountOf is the mount that a path, free of links, lies on; nil where none is known.
func (s *scene) mountOf(name string) *mountinfo.Info {
	for dir := name; ; dir = path.Dir(dir) {
		if of := s.byPoint[dir]; len(of) > 0 {
			return of[len(of)-1]
		}
		if dir == "/" || dir == "." {
			return nil
		}
	}
}

// place is where a path of the host lies in the file system that it is on.
func (s *scene) place(name string) (dev uint64, within string, ok bool) {
	m := s.mountOf(name)
	if m == nil {
		return 0, "", false
	}
	return device(m), path.Join(m.Root, strings.TrimPrefix(name, strings.TrimSuffix(m.Mountpoint, "/"))), true
}

func below(dir, name string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, dir+"/")
}

// ofKubelet tells whether the path lies in one of the kubelet's directories.
func (s *scene) ofKubelet(name string) bool {
	for _, root := range s.kubelets {
		if below(root, name) {
			return true
		}
	}
	return false
}

func (s *scene) gap(subject, reason, hint string) {
	s.gaps = append(s.gaps, drift.Gap{Subject: subject, Reason: reason, Hint: hint})
}

// failed notes a part of the kubelet's directory that could not be read.
func (s *scene) failed(name string, err error) {
	hint := ""
	if errors.Is(err, fs.ErrPermission) {
		hint = "run as root (CAP_DAC_READ_SEARCH)"
	}
	s.gap("", drift.Printable(name)+": "+reason(err), hint)
}

// reason is what failed, without the path before it.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return drift.Printable(err.Error())
}
