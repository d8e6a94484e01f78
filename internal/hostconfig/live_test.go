package hostconfig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func TestClockOfThisKernel(t *testing.T) {
	if _, err := readClock(); err != nil {
		t.Fatal(err)
	}
}

func TestClockState(t *testing.T) {
	const long = time.Hour
	for _, c := range []struct {
		name   string
		now    kernelClock
		daemon string
		before clockMemory
		uptime time.Duration
		want   string
	}{
		{"kept", kernelClock{synced: true, offset: -499_999}, "", clockMemory{}, 0, synchronised},
		{"far off", kernelClock{synced: true, offset: -700_000}, "chronyd", clockMemory{}, long, "off by -700ms"},
		{"nobody keeps it", kernelClock{}, "", clockMemory{}, long, unsynchronised},
		{"just booted", kernelClock{}, "", clockMemory{}, time.Minute, ""},
		{"chronyd without rtcsync", kernelClock{}, "chronyd", clockMemory{unsynced: long}, long, ""},
		{"just stepped", kernelClock{}, "chronyd", clockMemory{synced: true, unsynced: time.Minute}, long, ""},
		{"stepped and not caught", kernelClock{}, "chronyd", clockMemory{synced: true, unsynced: settling}, long, "not synchronised, though chronyd runs"},
	} {
		if got := clockState(c.now, c.daemon, c.before, c.uptime); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestClockIsRemembered(t *testing.T) {
	m, now := newMemory(), time.Unix(1000, 0)
	got := []clockMemory{m.clockSeen(false, now), m.clockSeen(false, now.Add(time.Minute)), m.clockSeen(true, now.Add(2*time.Minute)), m.clockSeen(false, now.Add(3*time.Minute)), m.clockSeen(false, now.Add(5*time.Minute))}
	want := []clockMemory{{}, {false, time.Minute}, {true, 0}, {true, 0}, {true, 2 * time.Minute}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(clockMemory{})); diff != "" {
		t.Error(diff)
	}
}

// The kernel tells of swap and of the clock through descriptors that can be waited
// for; that they can be opened and left again is all that changes nothing.
func TestKernelEventsEnd(t *testing.T) {
	root := open(t, "/")
	before := hosttest.Use(t)
	for name, open := range map[string]func() (kernelEvents, error){
		"swaps": func() (kernelEvents, error) { return openSwaps(root) }, "clock": func() (kernelEvents, error) { return openClock(root) },
	} {
		events, err := open()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := events.serve(ctx, func() {}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now, more := before.Exceeded(t); more {
		t.Errorf("held %+v before, %+v after", before, now)
	}
}

func TestKernelEventsHappen(t *testing.T) {
	fd, err := unix.Eventfd(1, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	events := kernelEvents{file: os.NewFile(uintptr(fd), "event"), mask: unix.POLLIN, take: func(fd int) error {
		_, err := unix.Read(fd, make([]byte, 8))
		return err
	}}
	ctx, cancel := context.WithCancel(t.Context())
	happened := 0
	if err := events.serve(ctx, func() { happened++; cancel() }); err != nil || happened != 1 {
		t.Errorf("%d times, %v", happened, err)
	}
}

// Free space is that of the host's own mounts.
func TestSpaceOfARealMount(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "size=64m", "small")
	rule := Rule{Look: "space", In: []string{dir}, AtLeast: 128, Want: "at least 128 MiB"}
	want := []string{fmt.Sprintf("free space %s: 0.1 GiB, at least 128 MiB", dir)}
	if diff := cmp.Diff(want, seen(observe(t, "/", nil, rule))); diff != "" {
		t.Error(diff)
	}
	rule.AtLeast = 32
	if o := observe(t, "/", nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	if o := observe(t, tree(t, map[string]string{"tmp/.keep": ""}), nil, Rule{Look: "space", In: []string{"/tmp"}, AtLeast: 1 << 40}); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("the disk of another machine is judged: %+v", o)
	}
}

// A file that chattr locked, on whichever file system keeps such flags.
func TestLockedFile(t *testing.T) {
	rule := Rule{Look: "locks", In: []string{"/etc/sudoers", "/etc/sudoers.d/paas"}, Refused: []string{"immutable", "append-only"}, Want: "unlocked"}
	dir := tree(t, map[string]string{"etc/sudoers": "x", "etc/.keep": ""})
	if o := observe(t, dir, nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Fatalf("%+v", o)
	}
	f, err := os.Open(filepath.Join(dir, "etc/sudoers"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for flag, want := range map[int]string{immutable: "immutable", appendOnly: "append-only"} {
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flag); err != nil {
			t.Skipf("the file system of the temporary directory, or the user, cannot lock a file: %v", err)
		}
		got := seen(observe(t, dir, nil, rule))
		if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"/etc/sudoers: " + want + ", unlocked"}, got); diff != "" {
			t.Error(diff)
		}
	}
}

// A host of its own: a listener is found where it listens, and nothing is changed.
func TestOnALiveHost(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Run(t, "ip", "link", "set", "lo", "up")
	hosttest.Run(t, "ip", "address", "add", "198.51.99.7/32", "dev", "lo")
	listen(t, "0.0.0.0:2222")
	listen(t, "127.0.0.1:2223")
	refused := []string{"listens on all *", "listens on the public *"}
	got := seen(observe(t, "/", nil,
		Rule{Look: "listeners", In: []string{"2222", "2223", "2224"}, Refused: refused},
		Rule{Look: "routes", In: []string{"default"}, Supported: []string{present}},
		Rule{Look: "swap", Refused: []string{"nothing"}},
		Rule{Look: "modules", In: []string{"tree"}, Refused: []string{"nothing"}},
		Rule{Look: "kernel", Refused: []string{"nothing"}},
		Rule{Look: "sessions", Refused: []string{"nothing"}},
		Rule{Look: "pods", In: []string{"privileged"}, Refused: []string{"nothing"}},
		Rule{Look: "memory", AtMost: 1 << 40}))
	if diff := cmp.Diff([]string{"port 2222: listens on all addresses, 198.51.99.7 among them, private addresses only"}, got); diff != "" {
		t.Error(diff)
	}
}

// A disk that the kubelet calls full, as a share of it is, may have room for an upgrade.
func TestFullDiskWithEnoughSpace(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "size=64m", "small")
	hosttest.Write(t, dir, "images", strings.Repeat("x", 60<<20)) // nodefs.available is 6 %
	rule := Rule{Look: "space", In: []string{dir}, AtLeast: 2}
	if o := observe(t, "/", nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	rule.AtLeast = 8
	if o := observe(t, "/", nil, rule); len(o.Findings) != 1 {
		t.Errorf("%+v", o)
	}
}
