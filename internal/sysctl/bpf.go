package sysctl

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/bpf"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	ringSize = 64 << 10
	// ringBreath is how long the ring is left alone where more than ringMost writes came
	// within it: until it is read, nobody who writes wakes its reader.
	ringBreath = 4 * time.Millisecond
	ringMost   = 8
)

// bpfWrites is told by a BPF program of each write to a parameter, before it
// happens, with the writer: through any mount of procfs and in any namespace.
type bpfWrites struct {
	check   *Check
	network uint32 // inode of the host's network namespace

	ring, lost *ebpf.Map
	program    *ebpf.Program
	attached   link.Link
	reader     *ringbuf.Reader
	lostSoFar  uint64
	last       struct { // that was written to
		path, subject string
		named         bool
	}
}

func (c *Check) armBPF(drift.Sink) (stream, error) {
	if err := c.reachable(); err != nil {
		return nil, err
	}
	network, err := ownNetwork()
	if err != nil {
		return nil, err
	}
	// Kernels before 5.11 count BPF memory as locked memory.
	_ = rlimit.RemoveMemlock()
	b := &bpfWrites{check: c, network: network}
	if err := b.load(c.root); err != nil {
		_ = b.Close()
		b.release()
		return nil, bpf.Reason(err, "PERFMON and NET_ADMIN", "BPF ring buffers, cgroup/sysctl programs or BTF")
	}
	return b, nil
}

func (b *bpfWrites) load(root *host.Root) error {
	if err := b.makeMaps(); err != nil {
		return err
	}
	at, err := findOffsets(root)
	if err != nil {
		return err
	}
	return b.loadProgram(root, at)
}

func (b *bpfWrites) makeMaps() (err error) {
	if b.ring, err = ebpf.NewMap(&ebpf.MapSpec{Name: "nodeguard_ring", Type: ebpf.RingBuf, MaxEntries: ringSize}); err != nil {
		return err
	}
	b.lost, err = ebpf.NewMap(&ebpf.MapSpec{Name: "nodeguard_lost", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	return err
}

func (b *bpfWrites) loadProgram(root *host.Root, at offsets) (err error) {
	if b.program, err = ebpf.NewProgram(program(b.ring, b.lost, b.network, at)); err != nil {
		return err
	}
	if b.reader, err = ringbuf.NewReader(b.ring); err != nil {
		return err
	}
	return b.attach(root)
}

func (b *bpfWrites) attach(root *host.Root) error {
	dir, release, err := cgroupRoot(root)
	if err != nil {
		return err
	}
	b.attached, err = link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupSysctl, Program: b.program})
	return errors.Join(err, release())
}

// Close detaches first, so that nobody writes to a ring that nobody reads. What
// the reading needs is given back when that has ended.
func (b *bpfWrites) Close() error {
	var failed []error
	if b.attached != nil {
		failed = append(failed, b.attached.Close())
	}
	if b.reader != nil {
		failed = append(failed, b.reader.Close())
	}
	return errors.Join(failed...)
}

func (b *bpfWrites) release() {
	_ = b.program.Close()
	_ = b.ring.Close()
	_ = b.lost.Close()
}

func (b *bpfWrites) run(to drift.Sink) error {
	defer b.release()
	var r ringbuf.Record
	var began time.Time
	read := 0
	for {
		if err := b.reader.ReadInto(&r); err != nil {
			return fmt.Errorf("read the BPF ring: %w", err)
		}
		b.take(r.RawSample, to)
		if r.Remaining == 0 {
			b.tellLost(to)
		}
		if read++; time.Since(began) > ringBreath {
			began, read = time.Now(), 0
		} else if read > ringMost {
			time.Sleep(ringBreath)
		}
	}
}

func (b *bpfWrites) take(sample []byte, to drift.Sink) {
	w, err := parseWrite(sample)
	if err != nil {
		to.Failed(bpfSource, err)
		return
	}
	if l := &b.last; l.path != w.path {
		l.path = w.path
		l.subject, l.named = subjectOf(b.check.rules, w.path)
	}
	if b.last.named {
		to.Hint(drift.Hint{Source: bpfSource, Subject: b.last.subject, PID: w.pid, At: time.Now(), Early: true})
	}
}

// tellLost hints when the ring was full: there was something in it then, so that
// this is asked after it was read.
func (b *bpfWrites) tellLost(to drift.Sink) {
	var lost uint64
	if err := b.lost.Lookup(uint32(0), &lost); err != nil || lost == b.lostSoFar {
		return
	}
	b.lostSoFar = lost
	to.Hint(drift.Hint{Source: bpfSource, Lost: true, At: time.Now()})
}

// ownNetwork is the inode of this process's network namespace, which is the
// host's where CheckNetwork says so.
func ownNetwork() (uint32, error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &s); err != nil {
		return 0, fmt.Errorf("look at the network namespace: %w", err)
	}
	return uint32(s.Ino), nil
}

var errNoCgroup2 = errors.New("no cgroup2 hierarchy is mounted")

// cgroupRoot finds the host's cgroup2 hierarchy: all of /sys/fs/cgroup, or beside
// version 1 in a directory of it.
func cgroupRoot(root *host.Root) (dir string, release func() error, err error) {
	candidates := []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
	mounts, _ := root.Mounts()
	for _, m := range mounts {
		if m.FSType == "cgroup2" {
			candidates = append(candidates, path.Clean(m.Mountpoint))
		}
	}
	for _, c := range candidates {
		dir, release, err := root.SocketPath(c)
		if err != nil {
			continue
		}
		var s unix.Statfs_t
		if unix.Statfs(dir, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir, release, nil
		}
		_ = release()
	}
	return "", nil, errNoCgroup2
}
