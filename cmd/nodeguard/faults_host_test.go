package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/probe/probetest"
)

// Each watched directory is deleted and made anew with what was in it. What is missing is
// said, and so is that a protected path is another directory now; what changes in the
// new one is noticed as in the old one.
func TestWatchedDirectoriesDeletedAndRecreated(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownEtc(t)
	directories := []struct {
		name      string
		protected bool // by itself, not only for what is in it
	}{
		{"/var/lib/kubelet", true}, {"/etc/kubernetes", true}, {"/etc/kubeadm", true}, {"/var/lib/containerd", true},
		{"/etc/kubernetes/manifests", false}, {"/var/lib/kubelet/pki", false},
	}
	for _, d := range directories {
		hosttest.Write(t, "/", d.name+"/file.conf", "x\n")
	}
	a := startAgent(t, served...)
	a.wait(recorded)
	for _, d := range directories {
		kept := t.TempDir()
		hosttest.Run(t, "cp", "-a", d.name, kept)
		hosttest.Run(t, "rm", "-r", d.name)
		a.wait(`"msg":"raised"`, d.name)
		hosttest.Run(t, "cp", "-a", filepath.Join(kept, filepath.Base(d.name)), d.name)
		awaitReport(t, func(r drift.Report) bool { return shows(r, d.name+" (mount)") == d.protected && !missing(r) })
		if strings.HasPrefix(d.name, "/etc/") { // the content of the others is their owner's
			hosttest.Write(t, "/", d.name+"/new.conf", "x\n")
			awaitReport(t, func(r drift.Report) bool { return shows(r, d.name+"/new.conf") })
		}
	}
	a.stop()
	checkState(t)
}

// missing is a report of something that is gone.
func missing(r drift.Report) bool {
	return slices.ContainsFunc(r.Findings, func(f drift.FindingReport) bool {
		return f.Condition == "KubernetesPathDrift" && f.Observed == "absent"
	})
}

// quiet is a report with nothing about protected paths and components.
func quiet(r drift.Report) bool {
	for _, c := range r.Conditions {
		if (c.Type == "KubernetesPathDrift" || c.Type == "ComponentConfigDrift") && c.Status != drift.False {
			return false
		}
	}
	return true
}

// A file system that somebody made to hurt: the look comes to its end, in bounded time
// and memory, holds nothing up and says what it did not look at.
func TestHostileFileSystem(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownEtc(t)
	hosttest.Write(t, "/", "/etc/kubernetes/kubelet.conf", "x\n")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t, served...)
	a.wait(recorded)
	const evil = "/etc/kubernetes/evil"
	if err := os.Mkdir(evil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, at string)
	}{
		{"a sparse file of 1 TB", func(t *testing.T, at string) {
			hosttest.Write(t, "/", at, "")
			if err := os.Truncate(at, 1<<40); err != nil {
				t.Fatal(err)
			}
		}},
		{"a path 4,000 deep", deep},
		{"links in a circle", func(t *testing.T, at string) {
			link(t, at+".other", at)
			link(t, at, at+".other")
			link(t, at, at+".self/"+filepath.Base(at))
		}},
		{"a link to what never answers", func(t *testing.T, at string) { link(t, "/proc/kmsg", at) }},
		{"a FIFO", special(unix.S_IFIFO|0o600, 0)},
		{"a socket", special(unix.S_IFSOCK|0o600, 0)},
		{"a character device", special(unix.S_IFCHR|0o600, unix.Mkdev(5, 0))}, // the terminal
		{"a block device", special(unix.S_IFBLK|0o600, unix.Mkdev(7, 7))},
		{"an immutable file", immutable},
		{"a file that is executed", func(t *testing.T, at string) { hosttest.Run(t, "install", "/bin/true", at) }},
		{"100,000 files in one directory", func(t *testing.T, at string) { many(t, at, 100_000) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := filepath.Join(evil, "it")
			c.make(t, at)
			awaitReport(t, func(r drift.Report) bool { return shows(r, evil) })
			begin := time.Now()
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1") // nobody waits for the look at it
			a.wait(`"msg":"raised"`, "tcp_tw_reuse")
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
			a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
			t.Logf("raised and cleared in %v", time.Since(begin))
			hosttest.Run(t, "sh", "-c", "chattr -f -i "+evil+"/* || true; cd "+evil+" && rm -rf ./* ./.[!.]*")
			awaitReport(t, func(r drift.Report) bool { return !shows(r, evil+"/it") })
			if usage := peak(t); usage > 400<<20 { // the test and the race detector are in it
				t.Errorf("the process has grown to %d MiB", usage>>20)
			}
		})
	}
	a.stop()
}

func shows(r drift.Report, subject string) bool {
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Subject, subject) {
			return true
		}
	}
	for _, u := range r.Unknown {
		if strings.HasPrefix(u.Subject, subject) {
			return true
		}
	}
	return false
}

// special is neither file nor directory.
func special(mode uint32, device uint64) func(*testing.T, string) {
	return func(t *testing.T, at string) {
		if err := unix.Mknod(at, mode, int(device)); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}

// immutable needs a file system with that attribute, which tmpfs has.
func immutable(t *testing.T, at string) {
	hosttest.Write(t, "/", at, "x")
	hosttest.Run(t, "chattr", "+i", at)
}

// deep makes directories in directories, further down than a path can say.
func deep(t *testing.T, at string) {
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY, 0)
	for range 4000 {
		if err == nil {
			err = unix.Mkdirat(dir, "deep", 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
		var below int
		below, err = unix.Openat(dir, "deep", unix.O_PATH|unix.O_DIRECTORY, 0)
		_ = unix.Close(dir)
		dir = below
	}
	_ = unix.Close(dir)
}

func many(t *testing.T, at string, n int) {
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", at, i), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// peak is how much memory this process has had at most.
func peak(t *testing.T) int64 {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return r.Maxrss << 10
}

// A file system under the pods' volumes whose server never answers delays no other
// look, and is said.
func TestHungFUSEUnderPods(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	const volume = "/var/lib/kubelet/pods/11111111-2222-3333-4444-555555555555/volumes/kubernetes.io~csi/data/mount"
	if err := os.MkdirAll(volume, 0o755); err != nil {
		t.Fatal(err)
	}
	_, release := probetest.Silent(t, volume)
	a := startAgent(t, served...)
	a.wait(recorded)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	if _, r := checkReport(t); len(r.Findings) == 0 {
		t.Error("check finds nothing")
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
	a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
	if code := a.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	release()
	if _, err := os.Stat(host.StateDir); err != nil {
		t.Error(err)
	}
}
