package host_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func open(t *testing.T, dir string) *host.Root {
	t.Helper()
	r, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestLinksStayInsideTheRoot(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	hosttest.Write(t, outside, "secret", "outside")
	hosttest.Write(t, dir, "etc/real/file", "inside")
	link(t, "/etc/real", filepath.Join(dir, "etc/absolute"))
	link(t, "../../../../../../etc/real", filepath.Join(dir, "etc/upwards"))
	link(t, outside, filepath.Join(dir, "etc/out"))
	link(t, "/etc/loop", filepath.Join(dir, "etc/loop"))
	r := open(t, dir)

	for _, name := range []string{"/etc/absolute/file", "/etc/upwards/file", "../../etc/real/file"} {
		if data, err := r.ReadFile(name, 100); err != nil || string(data) != "inside" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
		if at, err := r.Resolve(name); err != nil || at != "/etc/real/file" {
			t.Errorf("%s resolves to %q, %v", name, at, err)
		}
	}
	if data, err := r.ReadFile("/etc/out/secret", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read %q outside of the root (%v)", data, err)
	}
	if _, err := r.ReadFile("/etc/loop", 100); !errors.Is(err, unix.ELOOP) {
		t.Errorf("loop: %v", err)
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := map[string]host.Type{"fifo": host.FIFO, "socket": host.Socket, "directory": host.Directory}
	if os.Geteuid() == 0 && unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) == nil {
		names["null"] = host.CharDevice
	}
	r := open(t, dir)
	d, err := r.OpenDir("/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, kind := range names {
		if _, err := r.ReadFile(name, 100); !errors.Is(err, host.ErrNotRegular) {
			t.Errorf("Root.ReadFile(%s): %v", name, err)
		}
		if _, err := d.ReadFile(name, 100); !errors.Is(err, host.ErrNotRegular) {
			t.Errorf("Dir.ReadFile(%s): %v", name, err)
		}
		if e, err := r.Lstat(name); err != nil || e.Type != kind {
			t.Errorf("Lstat(%s): %+v, %v", name, e, err)
		}
	}
}

func TestDirFollowsNoLinkAndReadsAreBounded(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/file", strings.Repeat("x", 101))
	link(t, "file", filepath.Join(dir, "etc/link"))
	link(t, ".", filepath.Join(dir, "etc/self"))
	r := open(t, dir)
	d, err := r.OpenDir("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.OpenFile("link"); err == nil {
		t.Error("a link was followed to a file")
	}
	if _, err := d.OpenDir("self"); err == nil {
		t.Error("a link was followed to a directory")
	}
	if _, err := d.OpenFile("../etc/file"); err == nil {
		t.Error("left the directory")
	}
	if _, err := r.ReadFile("/etc/file", 100); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("101 bytes with a limit of 100: %v", err)
	}
	if _, err := d.Names(2); !errors.Is(err, host.ErrTooLarge) {
		t.Errorf("three names with a limit of two: %v", err)
	}
}

func TestDirStopsAtMounts(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/sub/file", "below")
	hosttest.Write(t, dir, "etc/file", "below")
	hosttest.Write(t, dir, "other", "above")
	hosttest.Mount(t, dir+"/etc/sub", "-t", "tmpfs", "tmpfs")
	hosttest.Mount(t, dir+"/etc/file", "--bind", dir+"/other")
	d, err := open(t, dir).OpenDir("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.OpenDir("sub"); !errors.Is(err, unix.EXDEV) {
		t.Errorf("crossed a mount point: %v", err)
	}
	if _, err := d.ReadFile("file", 100); !errors.Is(err, unix.EXDEV) {
		t.Errorf("read a file that is mounted over: %v", err)
	}
	for _, name := range []string{"sub", "file"} {
		if e, err := d.Lstat(name); err != nil || !e.MountRoot {
			t.Errorf("%s does not look mounted over: %+v, %v", name, e, err)
		}
	}
}

func TestReadingLeavesThePageCacheAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 1)}, 0, unix.RWF_DONTCACHE); err != nil {
		t.Skipf("the kernel or the file system under %s cannot read past the page cache (Linux 6.14): %v", os.TempDir(), err)
	}
	evict(t, f)
	if _, err := io.Copy(io.Discard, host.Content(f)); err != nil {
		t.Fatal(err)
	}
	if cached := cachedPages(t, f); cached > 256 {
		t.Errorf("reading 1024 pages left %d of them in the cache", cached)
	}

	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	before := cachedPages(t, f)
	if _, err := io.Copy(io.Discard, host.Content(f)); err != nil {
		t.Fatal(err)
	}
	if after := cachedPages(t, f); after < before {
		t.Errorf("reading threw out what others had cached: %d pages, then %d", before, after)
	}
}

func evict(t *testing.T, f *os.File) {
	t.Helper()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
}

func cachedPages(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var stat unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); err != nil {
		t.Fatal(err)
	}
	return stat.Cache
}

func TestNetworkNamespace(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	r := open(t, "/")
	if err := r.CheckNetwork(); err != nil {
		t.Errorf("the namespace of pid 1 passes for a foreign one: %v", err)
	}
	left := make(chan error)
	go func() { left <- unshareAndCheck(r) }()
	if err := <-left; !errors.Is(err, host.ErrForeignNetwork) {
		t.Errorf("a foreign namespace passes for the host's: %v", err)
	}

	tree := t.TempDir()
	hosttest.Write(t, tree, "proc/sys/net/ipv4/ip_forward", "1\n")
	if r := open(t, tree); r.Live() || r.CheckNetwork() != nil {
		t.Error("a plain directory passes for a running host")
	}
}

func TestSysctlNames(t *testing.T) {
	for name, path := range map[string]string{
		"net.ipv4.ip_forward":                "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":                "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/100.rp_filter":   "net/ipv4/conf/eth0.100/rp_filter",
		"net/ipv4/conf/eth0.100/rp_filter":   "net/ipv4/conf/eth0.100/rp_filter",
		"vm":                                 "vm",
		"net.ipv4.conf.*.rp_filter":          "net/ipv4/conf/*/rp_filter",
		"net.ipv6.neigh.a/b/c.gc_stale_time": "net/ipv6/neigh/a.b.c/gc_stale_time",
	} {
		if got := host.SysctlPath(name); got != path {
			t.Errorf("SysctlPath(%q) = %q, want %q", name, got, path)
		}
		if back := host.SysctlPath(host.SysctlName(path)); back != path {
			t.Errorf("%q comes back as %q", path, back)
		}
	}
}

func TestStateDirectoryMustBePrivate(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir)
	if _, err := r.State("baseline", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a state directory that is not there: %v", err)
	}
	s, err := r.State("baseline", true)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if info, err := os.Stat(dir + host.StateDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(dir+host.StateDir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := r.State("baseline", true); err == nil {
		t.Error("a directory that all can write to is trusted")
	}
}

func TestMountOfTakesTheVisibleMount(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "proc/1/mountinfo", `22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 254:16 / /var/lib rw - xfs /dev/vdb rw
31 30 0:40 / /var/lib rw - tmpfs tmpfs rw
32 31 0:41 / /var/lib/kubelet/pods/x\040y rw - nfs4 server:/x rw
`)
	mounts, err := open(t, dir).Mounts()
	if err != nil {
		t.Fatal(err)
	}
	for name, fstype := range map[string]string{
		"/etc": "ext4", "/var/library": "ext4", "/var/lib": "tmpfs", "/var/lib/kubelet": "tmpfs", "/var/lib/kubelet/pods/x y/z": "nfs4",
	} {
		if got := host.MountOf(mounts, name).FSType; got != fstype {
			t.Errorf("%s lies on %s, want %s", name, got, fstype)
		}
	}
}

func TestProcessesAreTheHostsOwn(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Run(t, "cp", "/bin/sleep", dir+"/kubelet")
	stop := start(t, dir+"/kubelet", "1000")
	defer stop()
	// A container on this host: a pid namespace of its own below ours.
	stopContained := start(t, "unshare", "--pid", "--fork", "--kill-child", dir+"/kubelet", "2000")
	defer stopContained()
	r := open(t, "/")
	waitFor(t, func() bool { return count(t, "kubelet") == 2 })

	found, err := r.Processes("kubelet")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Args[1] != "1000" || found[0].Program() != "kubelet" || found[0].Replaced() {
		t.Fatalf("found %+v", found)
	}
	if age := time.Since(found[0].Started); age < 0 || age > time.Minute {
		t.Errorf("it was started %v ago", age)
	}
	hosttest.Run(t, "rm", dir+"/kubelet")
	if found, _ = r.Processes("kubelet"); len(found) != 1 || !found[0].Replaced() || found[0].Program() != "kubelet" {
		t.Errorf("after its binary is gone: %+v", found)
	}
	if found, err = open(t, t.TempDir()).Processes("kubelet"); err != nil || found != nil {
		t.Errorf("a tree has processes: %v, %v", found, err)
	}
}
