package volumes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/probe"
)

// watched starts the check's sources and lets it look once, as the agent does.
func watched(t *testing.T, check *Check) heard {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	to, ended := newHeard(), make(chan error)
	go func() { ended <- check.Watch(ctx, to) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	to.all(4)
	check.Observe(t.Context(), []string{})
	return to
}

// mountersMode is how this kernel tells who mounts.
func mountersMode(t *testing.T) string {
	t.Helper()
	g, err := newGroup(unix.FAN_REPORT_MNT)
	switch {
	case errors.Is(err, unix.EINVAL):
		return string(drift.Off)
	case err != nil:
		t.Fatal(err)
	}
	_ = g.file.Close()
	return string(drift.Event)
}

func needsMounters(t *testing.T) {
	t.Helper()
	if mountersMode(t) == string(drift.Off) {
		t.Skip("this kernel does not tell who mounts; Linux 6.15 does")
	}
}

// by runs a command and returns the pid that it had.
func by(t *testing.T, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return cmd.Process.Pid
}

// tells waits for hints of who mounts, which must be these.
func (h heard) tells(t *testing.T, pid int, want ...string) {
	t.Helper()
	var got []string
	h.until(t, func(hint drift.Hint) bool {
		if hint.Source == mountersSource && hint.Subject != "" {
			got = append(got, hint.Subject)
			if hint.PID != pid {
				t.Errorf("%s was pid %d, not %d", hint.Subject, pid, hint.PID)
			}
		}
		return len(got) == len(want)
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Who unmounts a volume, mounts over it, or mounts its disk somewhere else is
// named, and nobody else is.
func TestWhoMounts(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	needsMounters(t)
	n := newNode(t)
	device := n.disk("ext4")
	at, secret := n.volume(podA, "a b\nc"), filepath.Join(n.dir, "pods", podA, "volumes/kubernetes.io~secret/token")
	for _, dir := range []string{"/mnt/by hand", "/mnt/unknown", "/mnt/moved", secret} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, device, at, "ext4", 0, "")
	mount(t, "tmpfs", secret, "tmpfs", 0, "")
	to := watched(t, n.check(Rule{Find: unmounted}))
	subject := "pod " + podA + ` a b\x0ac`
	ofVolume := []string{subject, allMounts, `a b\x0ac`}

	by(t, "mount", "-t", "tmpfs", "tmpfs", "/mnt/unknown")
	to.tells(t, by(t, "mount", device, "/mnt/by hand"), subject+" at /mnt/by hand")
	to.tells(t, by(t, "umount", "/mnt/by hand"), subject+" at /mnt/by hand")
	to.tells(t, by(t, "umount", at), ofVolume...)
	to.tells(t, by(t, "mount", device, at), ofVolume...)
	to.tells(t, by(t, "umount", "--lazy", secret), "pod "+podA+" token", allMounts)
	to.tells(t, by(t, "mount", "--move", at, "/mnt/moved"), append(ofVolume, subject+" at /mnt/moved")...)
	to.tells(t, by(t, "mount", "--move", "/mnt/moved", at), append([]string{subject + " at /mnt/moved"}, ofVolume...)...)
	to.tells(t, by(t, "umount", at), ofVolume...)
}

const inAPod = "NODEGUARD_TEST_VOLUME"

// What happens in the host's mount namespace is told in that of a pod, too.
func TestWhoMountsFromAPod(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	needsMounters(t)
	n := newNode(t)
	at := n.volume(podA, "pv1")
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", self, "-test.run=^TestInAPod$", "-test.v")
	cmd.Env = append(os.Environ(), inAPod+"="+at)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInAPod is the half of TestWhoMountsFromAPod with a mount namespace of its own.
func TestInAPod(t *testing.T) {
	at := os.Getenv(inAPod)
	if at == "" {
		return
	}
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	hosttest.Mount(t, "/srv", "-t", "tmpfs", "tmpfs") // of nobody's interest
	to := watched(t, New(root, nil, probe.NewMounts(root), nil))
	by(t, "umount", at) // the pod's own
	of := []string{"pod " + podA + " pv1", allMounts, "pv1"}
	to.tells(t, by(t, "nsenter", "--target", "1", "--mount", "umount", at), of...)
	to.tells(t, by(t, "nsenter", "--target", "1", "--mount", "mount", "-t", "tmpfs", "tmpfs", at), of...)
}

// After an overflow all is looked at, and mounts that nobody was told of are known.
func TestMountersOverflow(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	needsMounters(t)
	n := newNode(t)
	at := n.volume(podA, "pv1")
	check := n.check(Rule{Find: unmounted})
	stream, err := check.armMounters()
	if err != nil {
		t.Fatal(err)
	}
	m := stream.(*mounters)
	defer m.group.file.Close()
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	check.Observe(t.Context(), nil)
	to := newHeard()
	if err := m.take(event{mask: unix.FAN_Q_OVERFLOW}, to); err != nil {
		t.Fatal(err)
	}
	if h := <-to.hints; !h.Lost || h.Subject != "" {
		t.Errorf("%+v", h)
	}
	for id, where := range m.table.at {
		if where.point == at {
			m.pids = false
			if err := m.take(event{mask: unix.FAN_MNT_DETACH, mount: id, pid: 7}, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	to.tells(t, 0, "pod "+podA+" pv1", allMounts, "pv1") // a pid of elsewhere is none
}

// More mounts than one call lists, below one with a long name, are all known.
func TestMountTable(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	needsMounters(t)
	hosttest.Mount(t, "/mnt", "-t", "tmpfs", "tmpfs")
	namespace, err := os.Open("/proc/1/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	defer namespace.Close()
	want := map[string]bool{}
	for i := range listed + 10 {
		at := fmt.Sprintf("/mnt/%0250d", i)
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", at, "tmpfs", 0, "size=4k"); err != nil {
			t.Fatal(err)
		}
		want[at] = true
	}
	table, err := newMountTable(namespace)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range table.at {
		delete(want, where.point)
	}
	if len(want) > 0 {
		t.Errorf("%d mounts of %d are not known", len(want), len(table.at))
	}
	var s unix.Stat_t
	if err := unix.Stat("/mnt", &s); err != nil {
		t.Fatal(err)
	}
	for _, where := range table.at {
		if where.point == "/mnt" && where.device != s.Dev {
			t.Errorf("device %d, want %d", where.device, s.Dev)
		}
	}
}

// An error of a volume's disk is told at once, also after it was mounted anew, and
// many of them not each.
func TestDiskErrorHints(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	device := n.disk("ext4")
	at := n.volume(podA, "pv1")
	mount(t, device, at, "ext4", 0, "errors=continue")
	n.container(podA, "c1", "/mnt")
	check := n.check(Rule{Find: detached})
	to := watched(t, check)
	told := func(h drift.Hint) bool {
		return h.Source == errorsSource && h.Subject == anyMount && h.Early && h.PID == 0
	}
	n.fail(device)
	to.until(t, told)
	umount(t, at)
	mount(t, device, at, "ext4", 0, "errors=continue")
	check.Observe(t.Context(), []string{anyMount})
	for range 100 {
		n.fail(device)
	}
	to.until(t, told)
	begun, more := time.Now(), 0
	to.during(errorPause+errorPause/2, func(h drift.Hint) {
		if told(h) {
			more++
		}
	})
	if took := time.Since(begun); more > int(took/errorPause)+1 {
		t.Errorf("%d hints in %v of a hundred errors", more, took)
	}
}

// during takes hints for some time.
func (h heard) during(d time.Duration, take func(drift.Hint)) {
	for end := time.After(d); ; {
		select {
		case hint := <-h.hints:
			take(hint)
		case <-end:
			return
		}
	}
}

// fail lets ext4 find an error.
func (n *node) fail(device string) {
	n.t.Helper()
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(device), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("on purpose"), 0); errors.Is(err, fs.ErrNotExist) {
		n.t.Skipf("this kernel's ext4 cannot be made to fail: %v", err)
	} else if err != nil {
		n.t.Fatal(err)
	}
}

const expectedModes = "NODEGUARD_TEST_VOLUMES"

// Without the right to, mountinfo goes on alone.
func TestWithoutFanotify(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--bounding-set=-sys_admin", "--", self, "-test.run=^TestModesHere$", "-test.v")
	cmd.Env = append(os.Environ(), expectedModes+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestModesHere is the half of TestWithoutFanotify that has no right to.
func TestModesHere(t *testing.T) {
	if os.Getenv(expectedModes) == "" {
		return
	}
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	check := New(root, nil, probe.NewMounts(root), nil)
	ctx, cancel := context.WithCancel(t.Context())
	to, ended := newHeard(), make(chan error)
	go func() { ended <- check.Watch(ctx, to) }()
	want := []string{"fanotify-errors off", "fanotify-mounts off", "mount-probes poll", "mountinfo event"}
	if diff := cmp.Diff(want, to.all(4)); diff != "" {
		t.Error(diff)
	}
	cancel()
	<-ended
}

func TestWithout(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("start fanotify: %w", unix.EINVAL), "old"},
		{fmt.Errorf("list the mounts: %w", unix.ENOSYS), "old"},
		{fmt.Errorf("mark: %w", unix.EPERM), "operation not permitted"},
		{errNotLive, "this is no running host"},
	} {
		if got := without(c.err, "old"); got != c.want {
			t.Errorf("%v: %q", c.err, got)
		}
	}
}

// A shut-down XFS says so only to who asks it.
func TestShutDownXFS(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	device := n.disk("xfs")
	at := n.volume(podA, "pv1")
	if err := unix.Mount(device, at, "xfs", 0, ""); errors.Is(err, unix.ENODEV) {
		t.Skip("this kernel has no XFS")
	} else if err != nil {
		t.Fatal(err)
	}
	defer umount(t, at)
	n.container(podA, "c1", "/mnt")
	rules := []Rule{{Find: detached}}
	n.wants(rules)
	shutDown(t, at)
	n.wants(rules, "detached||pod "+podA+" pv1|the file system answers with I/O errors")
}

// shutDown lets an XFS fail as it does when its log cannot be written.
func shutDown(t *testing.T, at string) {
	t.Helper()
	dir, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	const goingDown, withoutLog = 0x8004587d, 2 // XFS_IOC_GOINGDOWN, XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), goingDown, withoutLog); err != nil {
		t.Fatal(err)
	}
}

// message is an event as the kernel writes it, with these records.
func message(mask uint64, pid int32, records ...[]byte) []byte {
	out := make([]byte, unix.FAN_EVENT_METADATA_LEN)
	out[4] = unix.FANOTIFY_METADATA_VERSION
	binary.NativeEndian.PutUint16(out[6:], unix.FAN_EVENT_METADATA_LEN)
	binary.NativeEndian.PutUint64(out[8:], mask)
	binary.NativeEndian.PutUint32(out[16:], ^uint32(0))
	binary.NativeEndian.PutUint32(out[20:], uint32(pid))
	for _, r := range records {
		out = append(out, r...)
	}
	binary.NativeEndian.PutUint32(out, uint32(len(out)))
	return out
}

func record(kind byte, body []byte) []byte {
	out := binary.NativeEndian.AppendUint16([]byte{kind, 0}, uint16(recordHeader+len(body)))
	return append(out, body...)
}

func ofMount(id uint64) []byte {
	return record(unix.FAN_EVENT_INFO_TYPE_MNT, binary.NativeEndian.AppendUint64(make([]byte, mountID-recordHeader), id))
}

func TestParseEvents(t *testing.T) {
	broken := message(unix.FAN_FS_ERROR, 0, record(unix.FAN_EVENT_INFO_TYPE_ERROR, make([]byte, 8)), record(unix.FAN_EVENT_INFO_TYPE_FID, make([]byte, 16)))
	mounts := message(unix.FAN_MNT_ATTACH, 42, ofMount(1<<33))
	got, err := parseEvents(append(append([]byte{}, broken...), mounts...))
	if err != nil {
		t.Fatal(err)
	}
	want := []event{{mask: unix.FAN_FS_ERROR}, {mask: unix.FAN_MNT_ATTACH, pid: 42, mount: 1 << 33}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
		t.Error(diff)
	}
	for i := 1; i < len(mounts); i++ {
		if got, err := parseEvents(mounts[:i]); err == nil {
			t.Errorf("%d bytes are %+v", i, got)
		}
	}
	for _, size := range []byte{0, recordHeader - 1, mountRecord + 1} {
		r := ofMount(1)
		r[2] = size
		if got, err := parseEvents(message(unix.FAN_MNT_ATTACH, 42, r)); err == nil {
			t.Errorf("a record of %d bytes is %+v", size, got)
		}
	}
}

// Whatever a kernel sends, reading it ends, and what it says of a mount is from it.
func FuzzParseEvents(f *testing.F) {
	f.Add(message(unix.FAN_MNT_DETACH, 42, ofMount(1<<33)))
	f.Add(message(unix.FAN_MNT_ATTACH|unix.FAN_MNT_DETACH, -1, record(9, nil), ofMount(1)))
	f.Add(message(unix.FAN_FS_ERROR, 7, record(unix.FAN_EVENT_INFO_TYPE_ERROR, make([]byte, 8)), record(unix.FAN_EVENT_INFO_TYPE_FID, make([]byte, 16))))
	f.Add(append(message(unix.FAN_Q_OVERFLOW, 0), message(unix.FAN_MNT_ATTACH, 1, []byte{7, 0, 3, 0})...))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := parseEvents(data)
		if len(events)*unix.FAN_EVENT_METADATA_LEN > len(data) {
			t.Errorf("%d events of %d bytes", len(events), len(data))
		}
		whole := 0
		for _, e := range events {
			if e.mount != 0 {
				whole += mountRecord
			}
			whole += unix.FAN_EVENT_METADATA_LEN
		}
		if whole > len(data) || err == nil && len(data) > 0 && len(events) == 0 {
			t.Errorf("%+v, %v of %q", events, err, data)
		}
	})
}
