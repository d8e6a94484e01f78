package watch_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// by runs a command in a directory and returns its process, which may have ended.
func by(t *testing.T, dir string, attributes *syscall.SysProcAttr, script string) (pid int) {
	t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir, cmd.SysProcAttr = dir, attributes
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return cmd.Process.Pid
}

func (s *sink) said(subject string, pid int) func() bool {
	return func() bool {
		return slices.ContainsFunc(s.hints, func(h drift.Hint) bool { return h.Subject == subject && h.PID == pid })
	}
}

func TestWhoDidIt(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"created", ": > etc/kubernetes/new", "/etc/kubernetes/new"},
		{"written", "echo b >> etc/kubernetes/x", "/etc/kubernetes/x"},
		{"mode", "exec chmod 600 etc/kubernetes/x", "/etc/kubernetes/x"},
		{"mode of a directory", "exec chmod 700 etc/kubernetes/pki", "/etc/kubernetes/pki"},
		{"mode of a directory that is not entered", "exec chmod 700 etc/kubernetes/tmp", "/etc/kubernetes/tmp"},
		{"mode of the root", "exec chmod 700 etc/kubernetes", "/etc/kubernetes"},
		{"times", "exec touch etc/kubernetes/x", "/etc/kubernetes/x"},
		{"renamed over", "exec mv outside etc/kubernetes/x", "/etc/kubernetes/x"},
		{"renamed away", "exec mv etc/kubernetes/x gone", "/etc/kubernetes/x"},
		{"deleted", "exec rm etc/kubernetes/x", "/etc/kubernetes/x"},
		{"hard link", "exec ln outside etc/kubernetes/new", "/etc/kubernetes/new"},
		{"symbolic link", "exec ln -s ../.. etc/kubernetes/new", "/etc/kubernetes/new"},
		{"directory with a file", "exec cp -r full etc/kubernetes/new", "/etc/kubernetes/new"},
		{"deeper", ": > etc/kubernetes/pki/deep/er/new", "/etc/kubernetes/pki/deep/er/new"},
		{"root moved", "exec mv etc/kubernetes gone", "/etc/kubernetes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"etc/kubernetes/x", "etc/kubernetes/tmp/x", "etc/kubernetes/pki/deep/er/x", "outside", "full/of/f"} {
				hosttest.Write(t, dir, name, "a")
			}
			s := whole("/etc/kubernetes")
			s.Trees[0].Enter = func(rel string) bool { return rel != "tmp" }
			to, _ := run(t, fanotify.open(t, dir), s)
			pid := by(t, dir, nil, c.script)
			to.until(t, fmt.Sprintf("hint for %s by %d", c.want, pid), to.said(c.want, pid))
		})
	}
	t.Run("in what has just been made", func(t *testing.T) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/x", "a")
		to, _ := run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
		pid := by(t, dir, nil, "exec mkdir etc/kubernetes/new")
		to.until(t, "hint of a directory", to.said("/etc/kubernetes/new", pid))
		pid = by(t, dir, nil, ": > etc/kubernetes/new/f")
		to.until(t, "hint of a file in it", to.said("/etc/kubernetes/new/f", pid))
	})
	t.Run("each one's own", func(t *testing.T) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/x", "a")
		to, release := runHeld(t, fanotify.open(t, dir), dir)
		first := by(t, dir, nil, "echo 1 >> etc/kubernetes/x; echo 1 > etc/kubernetes/y")
		second := by(t, dir, nil, "echo 2 >> etc/kubernetes/x")
		release()
		to.until(t, "last writer", to.said("/etc/kubernetes/x", second))
		to.until(t, "only writer", to.said("/etc/kubernetes/y", first))
	})
}

// A container has the directory at another place in a mount namespace of its own.
func TestWhoDidItInAContainer(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
	to, _ := run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
	pid := by(t, dir, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET},
		"mount --make-rprivate /; mount --bind etc/kubernetes /mnt; echo $$ > /mnt/pki/ca.crt")
	if inside, err := os.ReadFile(filepath.Join(dir, "etc/kubernetes/pki/ca.crt")); string(inside) != "1\n" {
		t.Errorf("the writer is %q in its own namespace: %v", inside, err)
	}
	to.until(t, "its writer", to.said("/etc/kubernetes/pki/ca.crt", pid))
}

// Without the host's pid namespace the writers have no number here.
func TestWriterOutOfSight(t *testing.T) {
	needRoot(t)
	const where = "NODEGUARD_TEST_DIR"
	if os.Getenv(where) == "" {
		t.Setenv(where, t.TempDir())
	}
	dir := os.Getenv(where)
	armed := filepath.Join(dir, "armed")
	if os.Getenv(inside) == "" {
		hosttest.Write(t, dir, "etc/kubernetes/x", "a")
		must(t, unix.Mkfifo(armed, 0o600))
		go func() {
			_, _ = os.ReadFile(armed) // until the watcher is
			_ = os.WriteFile(filepath.Join(dir, "etc/kubernetes/x"), []byte("b"), 0o600)
		}()
	}
	if !as(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}) {
		return
	}
	to, _ := run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
	must(t, os.WriteFile(armed, nil, 0))
	to.until(t, "hint", to.said("/etc/kubernetes/x", 0))
}

// user is nobody else's, so that its groups are its own.
const user = 64_123

func unprivileged(t *testing.T, capabilities ...uintptr) *syscall.SysProcAttr {
	t.Helper()
	if os.Getenv(inside) == "" {
		needRoot(t)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, AmbientCaps: capabilities}
}

func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		name string
		caps []uintptr
		mode string
	}{
		{"none", nil, "event inotify; no CAP_SYS_ADMIN: changes come without names"},
		{"CAP_DAC_READ_SEARCH", []uintptr{unix.CAP_DAC_READ_SEARCH}, "event inotify; no CAP_SYS_ADMIN: changes come without names"},
		{"CAP_SYS_ADMIN", []uintptr{unix.CAP_SYS_ADMIN}, "event inotify; no CAP_DAC_READ_SEARCH: changes come without names"},
		{"both", []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH}, "event fanotify"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !as(t, unprivileged(t, c.caps...)) {
				return
			}
			dir := t.TempDir()
			hosttest.Write(t, dir, "etc/kubernetes/x", "a")
			to, _ := run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
			names := "event"
			if _, why, short := strings.Cut(strings.TrimPrefix(c.mode, "event "), "; "); short {
				names = "off " + strings.TrimSuffix(why, ": changes come without names")
			}
			if !slices.Equal(to.modes, []string{c.mode}) || !slices.Equal(to.names, []string{names}) {
				t.Errorf("modes %q, names %q, want %q", to.modes, to.names, names)
			}
			probe(t, to, dir, "/etc/kubernetes/x")
		})
	}
}

// A store to a mapping is no write, but the file is closed at last.
func TestWriteThroughAMapping(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/x", "a")
	to, _ := run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
	f, err := os.OpenFile(filepath.Join(dir, "etc/kubernetes/x"), os.O_RDWR, 0)
	must(t, err)
	memory, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(t, err)
	memory[0] = 'b'
	must(t, unix.Munmap(memory), f.Close())
	to.until(t, "hint", to.said("/etc/kubernetes/x", os.Getpid()))
}

// groups takes all that the user may have.
func groups(t *testing.T) (release func()) {
	t.Helper()
	var held []int
	release = func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
		held = nil
	}
	t.Cleanup(release)
	for {
		fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) && len(held) > 0 {
			return release
		}
		must(t, err)
		held = append(held, fd)
	}
}

func TestNoGroupLeft(t *testing.T) {
	if !as(t, unprivileged(t, unix.CAP_SYS_ADMIN, unix.CAP_DAC_READ_SEARCH)) {
		return
	}
	most, err := os.ReadFile("/proc/sys/fs/fanotify/max_user_groups")
	must(t, err)
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/x", "a")
	release := groups(t)
	w := fanotify.open(t, dir)
	w.RetryAfter(20 * time.Millisecond)
	to, _ := run(t, w, whole("/etc/kubernetes"))
	want := "event inotify; no fanotify group left for this user (fs.fanotify.max_user_groups is " + strings.TrimSpace(string(most)) + "): too many open files: changes come without names"
	if !slices.Equal(to.modes, []string{want}) {
		t.Errorf("modes %q", to.modes)
	}
	probe(t, to, dir, "/etc/kubernetes/x")
	to.mu.Lock()
	from := len(to.hints)
	to.mu.Unlock()
	release()
	to.until(t, "recovery", func() bool { return to.modes[len(to.modes)-1] == fanotify.mode && len(to.hints) > from })
	probe(t, to, dir, "/etc/kubernetes/y")
	to.until(t, "its writer", to.said("/etc/kubernetes/y", os.Getpid()))
	if n := instances(t); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// overlayfs has identifiers that name a directory and open none (Linux 6.6).
func TestFileSystemWithoutHandles(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir, layers := t.TempDir(), t.TempDir()
	for _, name := range []string{"lower", "upper", "work"} {
		must(t, os.Mkdir(filepath.Join(layers, name), 0o755))
	}
	hosttest.Write(t, layers, "lower/pki/ca.crt", "a")
	hosttest.Write(t, dir, "etc/kubernetes/x", "a")
	over := filepath.Join(dir, "etc/kubernetes")
	hosttest.Mount(t, over, "-t", "overlay", "overlay", "-o", fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", layers))
	w := fanotify.open(t, dir)
	to, _ := run(t, w, whole("/etc/kubernetes"))
	if !slices.Equal(to.modes, []string{fanotify.mode}) {
		t.Skipf("before Linux 6.6 such directories are watched without names: %q", to.modes)
	}
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "b")
	to.until(t, "a file of the lower layer written", to.said("/etc/kubernetes/pki/ca.crt", os.Getpid()))
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.key", "b")
	to.until(t, "a file made", to.said("/etc/kubernetes/pki/ca.key", os.Getpid()))
	must(t, os.Mkdir(filepath.Join(over, "new"), 0o755))
	to.until(t, "a directory made", to.said("/etc/kubernetes/new", os.Getpid()))
	probe(t, to, dir, "/etc/kubernetes/new/x")
	must(t, os.Chmod(filepath.Join(over, "new"), 0o700))
	to.until(t, "the mode of a directory", func() bool {
		return slices.ContainsFunc(to.hints, func(h drift.Hint) bool { return h.Subject == "/etc/kubernetes/new" && h.PID == os.Getpid() })
	})
	if n := instances(t); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// No mark can be had any more, at some point.
func TestMarksRefused(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
	w := fanotify.open(t, dir)
	w.LimitFanotify(3, unix.ENOSPC)
	to, _ := run(t, w, whole("/etc/kubernetes"))
	want := "event fanotify; inotify where changes come without names: /etc/kubernetes/pki: no space left on device"
	if !slices.Equal(to.modes, []string{want}) {
		t.Errorf("modes %q", to.modes)
	}
	hosttest.Write(t, dir, "etc/kubernetes/x", "b")
	to.until(t, "hint of the writer", to.said("/etc/kubernetes/x", os.Getpid()))
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "b")
	to.until(t, "hint", to.said("/etc/kubernetes/pki/ca.crt", 0))
}

func TestNotUnderstood(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/x", "a")
	w := fanotify.open(t, dir)
	w.GarbleFanotify()
	to, _ := run(t, w, whole("/etc/kubernetes"))
	hosttest.Write(t, dir, "etc/kubernetes/x", "b")
	to.until(t, "word of the loss", func() bool { return slices.ContainsFunc(to.hints, func(h drift.Hint) bool { return h.Lost }) })
	if got := to.modes[len(to.modes)-1]; !strings.HasPrefix(got, "event inotify; fanotify says what is not understood") {
		t.Errorf("mode %q", got)
	}
	probe(t, to, dir, "/etc/kubernetes/x")
	if n := instances(t); n != 1 {
		t.Errorf("%d instances", n)
	}
}

// What is told of a directory alone is told for each place where it can be seen.
func TestModeThroughABindMount(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "srv/pki/x", "a")
	hosttest.Write(t, dir, "etc/kubernetes/x", "a")
	hosttest.Mount(t, filepath.Join(dir, "etc/kubernetes"), "--bind", filepath.Join(dir, "srv/pki"))
	s := whole("/srv", "/etc/kubernetes")
	s.Trees[0].Enter = func(rel string) bool { return rel == "" }
	to, _ := run(t, fanotify.open(t, dir), s)
	pid := by(t, dir, nil, "exec chmod 700 srv/pki")
	to.until(t, "hint below the directory", to.said("/srv/pki", pid))
	to.until(t, "hint at the mount", to.said("/etc/kubernetes", pid))
}

// A file handle is looked up on its own file system.
func TestModeOnAnotherFileSystem(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "etc/kubernetes"), 0o755))
	hosttest.Mount(t, filepath.Join(dir, "etc/kubernetes"), "-t", "tmpfs", "tmpfs")
	hosttest.Write(t, dir, "etc/kubernetes/tmp/x", "a")
	s := whole("/etc/kubernetes")
	s.Trees[0].Enter = func(rel string) bool { return rel == "" }
	to, _ := run(t, fanotify.open(t, dir), s)
	pid := by(t, dir, nil, "exec chmod 700 etc/kubernetes/tmp")
	to.until(t, "hint", to.said("/etc/kubernetes/tmp", pid))
}

func TestNeverAsksForPermission(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
	run(t, fanotify.open(t, dir), whole("/etc/kubernetes"))
	list := kernelList(t)
	group := regexp.MustCompile(`(?m)^fanotify flags:([0-9a-f]+)`).FindAllStringSubmatch(list, -1)
	masks := regexp.MustCompile(`(?m)^fanotify ino:.* mask:([0-9a-f]+)`).FindAllStringSubmatch(list, -1)
	if len(group) != 1 || len(masks) != 4 {
		t.Fatalf("%d groups, %d marks\n%s", len(group), len(masks), list)
	}
	if flags, err := strconv.ParseUint(group[0][1], 16, 64); err != nil || flags&(unix.FAN_CLASS_CONTENT|unix.FAN_CLASS_PRE_CONTENT) != 0 {
		t.Errorf("flags %#x: %v", flags, err)
	}
	for _, m := range masks {
		if mask, err := strconv.ParseUint(m[1], 16, 64); err != nil || mask&(unix.FAN_ALL_PERM_EVENTS|unix.FAN_OPEN_EXEC_PERM|unix.FAN_PRE_ACCESS) != 0 {
			t.Errorf("mask %#x: %v", mask, err)
		}
	}
}

// A storm is not read: all is looked at twice a second, and at its end.
func TestStormIsSatOut(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/x", "a")
		to, _ := run(t, k.open(t, dir), whole("/etc/kubernetes"))
		lost := func() (n int) {
			for _, h := range to.hints {
				if h.Lost {
					n++
				}
			}
			return n
		}
		start, stop, ended := time.Now(), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					name := filepath.Join(dir, "etc/kubernetes", fmt.Sprint(i))
					_, _ = os.WriteFile(name, []byte("x"), 0o600), os.Remove(name)
				}
			}
		}()
		to.until(t, "word of three losses", func() bool { return lost() >= 3 })
		took := time.Since(start)
		close(stop)
		<-ended
		if took < 3*500*time.Millisecond {
			t.Errorf("all was looked at three times within %s", took)
		}
		probe(t, to, dir, "/etc/kubernetes/x")
	})
}
