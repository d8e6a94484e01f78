package watch_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// inside names the test that another process runs the rest of.
const inside = "NODEGUARD_TEST_AS"

// as runs the rest of the test in a process with these attributes. It returns false
// in the parent, which then has nothing left to do.
func as(t *testing.T, attributes *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	attributes.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = attributes
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "=== RUN   "+t.Name()) {
		t.Errorf("in another process: %v\n%s", err, out)
	}
	return false
}

// The test becomes root of a user namespace, whose limits are its own.
func TestLimits(t *testing.T) {
	if !as(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
	}) {
		return
	}
	for _, c := range []struct{ limit, low, high, want string }{
		{"max_inotify_watches", "2", "1000", "poll no inotify watch left for this user after 2 of our own (fs.inotify.max_user_watches is 2): no space left on device"},
		{"max_inotify_instances", "0", "100", "poll no inotify instance left for this user (fs.inotify.max_user_instances is 0): couldn't initialize inotify: too many open files"},
	} {
		t.Run(c.limit, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
			hosttest.Sysctl(t, "user/"+c.limit, c.low)
			w := fanotify.open(t, dir)
			w.RetryAfter(50 * time.Millisecond)
			to, _ := run(t, w, whole("/etc/kubernetes"))
			if !slices.Equal(to.modes, []string{c.want}) {
				t.Fatalf("modes %q", to.modes)
			}
			from := len(to.hints)
			hosttest.Sysctl(t, "user/"+c.limit, c.high)
			to.until(t, "recovery", func() bool {
				return to.modes[len(to.modes)-1] == "event inotify; no CAP_SYS_ADMIN: changes come without names" && len(to.hints) > from
			})
			if h := to.hints[len(to.hints)-1]; h.Subject != "" {
				t.Errorf("what happened meanwhile is unknown, but the hint is for %q", h.Subject)
			}
			probe(t, to, dir, "/etc/kubernetes/pki/ca.crt")
		})
	}
}

// The test becomes pid 1 of a host on a tmpfs and mounts over what is watched.
func TestMounts(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		if !hosttest.Alone(t) {
			return
		}
		hosttest.Mount(t, "/mnt", "-t", "tmpfs", "tmpfs")
		for _, dir := range []string{"/mnt/proc", "/mnt/tmp", "/mnt/data"} {
			must(t, os.Mkdir(dir, 0o755))
		}
		hosttest.Mount(t, "/mnt/proc", "-t", "proc", "proc")
		must(t, unix.Chroot("/mnt"), os.Chdir("/"))
		hosttest.Write(t, "/", "etc/kubernetes/pki/ca.crt", "a")
		hosttest.Write(t, "/", "data/ca.crt", "a")
		to, _ := run(t, k.open(t, "/"), whole("/etc/kubernetes"))
		for _, c := range []struct{ name, source, at, fstype, inside, hint string }{
			{"over the root", "tmpfs", "/etc/kubernetes", "tmpfs", "/etc/kubernetes/x", "/etc/kubernetes"},
			{"over an ancestor", "/data", "/etc", "", "", "/etc/kubernetes"},
			{"over a directory below", "tmpfs", "/etc/kubernetes/pki", "tmpfs", "", "/etc/kubernetes/pki"},
			{"over a file", "/data/ca.crt", "/etc/kubernetes/pki/ca.crt", "", "", "/etc/kubernetes/pki/ca.crt"},
		} {
			t.Run(c.name, func(t *testing.T) {
				flags := uintptr(0)
				if c.fstype == "" {
					flags = unix.MS_BIND
				}
				to.after(t, c.hint, func() { must(t, unix.Mount(c.source, c.at, c.fstype, flags, "")) })
				if c.inside != "" {
					probe(t, to, "/", c.inside)
				}
				// No watch keeps the file system busy.
				to.after(t, c.hint, func() { must(t, unix.Unmount(c.at, 0)) })
				probe(t, to, "/", "/etc/kubernetes/pki/ca.crt")
				probe(t, to, "/", "/etc/kubernetes/x")
			})
		}
		t.Run("another with the same numbers", func(t *testing.T) {
			to.after(t, "/etc/kubernetes", func() { must(t, unix.Mount("tmpfs", "/etc/kubernetes", "tmpfs", 0, "")) })
			probe(t, to, "/", "/etc/kubernetes/x")
			to.after(t, "/etc/kubernetes", func() {
				must(t, unix.Unmount("/etc/kubernetes", 0), unix.Mount("tmpfs", "/etc/kubernetes", "tmpfs", 0, ""))
			})
			probe(t, to, "/", "/etc/kubernetes/x")
			to.after(t, "/etc/kubernetes", func() { must(t, unix.Unmount("/etc/kubernetes", 0)) })
		})
		to, _ = run(t, k.open(t, "/"), whole("/etc/kubernetes"))
		must(t, unix.Mount("tmpfs", "/data", "tmpfs", 0, ""))
		probe(t, to, "/", "/etc/kubernetes/x")
		for _, h := range to.hints[1:] {
			if !strings.HasPrefix(h.Subject, "/etc/kubernetes/x") {
				t.Errorf("a mount elsewhere hints for %q", h.Subject)
			}
		}
	})
}
