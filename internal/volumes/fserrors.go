package volumes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// diskErrors is told at once of errors that ext4 records. A mark is on a file
// system as long as that is mounted; each look marks what it finds.
type diskErrors struct {
	root  *host.Root
	group *group
}

func (c *Check) errorsSource() armed.Source {
	return armed.Source{
		Name: errorsSource,
		Arm:  c.armErrors,
		Without: func(err error) (drift.Mode, string) {
			c.armed.errors.Store(nil)
			return drift.Off, without(err, "this kernel does not tell of errors (Linux 5.16 does)")
		},
	}
}

func (c *Check) armErrors() (armed.Stream, error) {
	if !c.root.Live() {
		return nil, errNotLive
	}
	g, err := newGroup(unix.FAN_REPORT_FID)
	if err != nil {
		return nil, err
	}
	// What there is to mark is known after a look. A kernel that can do it minds
	// that this descriptor is none.
	if err := g.mark(unix.FAN_MARK_FILESYSTEM, unix.FAN_FS_ERROR, -1, ""); !errors.Is(err, unix.EBADF) {
		return nil, errors.Join(fmt.Errorf("watch for errors: %w", err), g.file.Close())
	}
	d := &diskErrors{c.root, g}
	c.armed.errors.Store(d)
	return d, nil
}

// errorPause is the least time between two hints. A disk that is gone makes errors
// as fast as it is written to, which the kernel joins meanwhile.
const errorPause = time.Second

// Follow implements armed.Stream. The kernel tells of an error before it counts it.
func (d *diskErrors) Follow(ctx context.Context, to drift.Sink) error {
	return d.group.read(ctx, func([]event) error {
		to.Hint(drift.Hint{Source: errorsSource, Subject: anyMount, At: time.Now(), Early: true})
		select {
		case <-ctx.Done():
		case <-time.After(errorPause):
		}
		return nil
	})
}

// mark asks for the errors of the file systems whose counters the rules are about.
func (d *diskErrors) mark(s *scene, rules []drift.Bound[Rule]) {
	for _, bound := range rules {
		if bound.Rule.Find != detached {
			continue
		}
		for _, v := range (&judge{scene: s, rule: bound.Rule}).lasting() {
			if m := v.top(); m != nil && disk(m) && counts(m) && s.visible(m) {
				d.markOne(m)
			}
		}
	}
}

// counts tells of ext4 and its ancestors, which have a counter.
func counts(m *mountinfo.Info) bool { return strings.HasPrefix(m.FSType, "ext") }

// markOne opens the mount point without asking the file system anything. One that
// is hidden here, or cannot be marked, has its errors found at the next look.
func (d *diskErrors) markOne(m *mountinfo.Info) {
	name, release, err := d.root.SocketPath(m.Mountpoint)
	if err != nil {
		return
	}
	defer func() { _ = release() }()
	var s unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, name, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &s) != nil || unix.Mkdev(s.Dev_major, s.Dev_minor) != device(m) {
		return
	}
	_ = d.group.mark(unix.FAN_MARK_FILESYSTEM, unix.FAN_FS_ERROR, unix.AT_FDCWD, name)
}
