package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// mounters tells who mounts and unmounts what a look has seen before, which
// mountinfo does not.
type mounters struct {
	check *Check
	group *group
	table *mountTable
	pids  bool // those of events are the host's
}

func (c *Check) mountersSource() armed.Source {
	return armed.Source{
		Name: mountersSource,
		Arm:  c.armMounters,
		Without: func(err error) (drift.Mode, string) {
			c.armed.named.Store(false)
			return drift.Off, without(err, "this kernel does not tell who mounts (Linux 6.15 does)")
		},
	}
}

func (c *Check) armMounters() (armed.Stream, error) {
	namespace, err := c.root.OpenMountNamespace()
	if err != nil {
		return nil, err
	}
	defer func() { _ = namespace.Close() }()
	g, err := newGroup(unix.FAN_REPORT_MNT)
	if err != nil {
		return nil, err
	}
	err = g.mark(unix.FAN_MARK_MNTNS, unix.FAN_MNT_ATTACH|unix.FAN_MNT_DETACH, int(namespace.Fd()), "")
	var table *mountTable
	if err == nil {
		table, err = newMountTable(namespace)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch who mounts: %w", err), g.file.Close())
	}
	c.armed.named.Store(true)
	return &mounters{check: c, group: g, table: table, pids: c.root.OwnPIDs()}, nil
}

// Follow implements armed.Stream.
func (m *mounters) Follow(ctx context.Context, to drift.Sink) error {
	return m.group.read(ctx, func(events []event) error {
		for _, e := range events {
			if err := m.take(e, to); err != nil {
				return err
			}
		}
		return nil
	})
}

func (m *mounters) take(e event, to drift.Sink) error {
	if e.mask&unix.FAN_Q_OVERFLOW != 0 {
		to.Hint(drift.Hint{Source: mountersSource, Lost: true, At: time.Now()})
		return m.table.fill()
	}
	var err error
	before, known := m.table.at[e.mount]
	delete(m.table.at, e.mount)
	switch {
	case e.mask&unix.FAN_MNT_ATTACH == 0:
	case e.mask&unix.FAN_MNT_DETACH != 0: // moved, with all below it
		err = m.table.fill()
	default:
		err = m.table.add(e.mount)
	}
	now, there := m.table.at[e.mount]
	if known {
		m.tell(before, e.pid, to)
	}
	if there {
		m.tell(now, e.pid, to)
	}
	return err
}

// tell hints for what findings can be about. All that is mounted else is of no
// interest here: mountinfo has it looked at.
func (m *mounters) tell(where mounting, pid int, to drift.Sink) {
	if !m.pids {
		pid = 0
	}
	known := m.check.armed.subjects.Load()
	if known == nil {
		return
	}
	for _, subject := range known.about(where) {
		to.Hint(drift.Hint{Source: mountersSource, Subject: subject, PID: pid, At: time.Now()})
	}
}

// without is why fanotify does not serve; old is what a kernel lacks that does not
// know what is asked of it.
func without(err error, old string) string {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTTY) {
		return old
	}
	return reason(err)
}
