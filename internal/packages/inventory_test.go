package packages

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

func sum(content string) string {
	s := md5.Sum([]byte(content))
	return hex.EncodeToString(s[:])
}

func inventory(t *testing.T, below ...string) (*Inventory, *host.Root, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "usr/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr/lib", filepath.Join(dir, "lib")); err != nil {
		t.Fatal(err)
	}
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return NewInventory(below), root, dir
}

func TestInventory(t *testing.T) {
	i, root, dir := inventory(t, "/usr/bin/kubelet", "/lib/systemd/system/kubelet.service.d", "/etc/containerd", "/opt/cni/bin")
	if seen, err := i.Look(t.Context(), root); err != nil || len(seen.Packages) > 0 {
		t.Errorf("a host without packages has %v, %v", seen, err)
	}
	write(t, dir, DpkgStatus, `Package: kubelet
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 1.30.1-1.1
Conffiles:
 /etc/containerd/config.toml `+sum("config")+`
 /etc/containerd/old.toml `+sum("old")+` obsolete
 /etc/containerd/new.toml newconffile
 /etc/default/kubelet `+sum("elsewhere")+`

Package: cni
Status: install ok unpacked
Architecture: all
Version: 1

Package: removed
Status: deinstall ok config-files
Version: 1
Conffiles:
 /etc/containerd/removed.toml `+sum("removed")+`

Package: other
Status: install ok installed
Version: 1
`)
	write(t, dir, dpkgInfo+"/kubelet:amd64.md5sums", sum("kubelet")+"  usr/bin/kubelet\n"+sum("unit")+"  lib/systemd/system/kubelet.service.d/10.conf\n"+sum("x")+"  usr/bin/kubelet2\n")
	write(t, dir, dpkgInfo+"/cni.md5sums", sum("bridge")+"  opt/cni/bin/bridge\r\nnonsense\n")
	write(t, dir, dpkgInfo+"/other.md5sums", sum("ls")+"  usr/bin/ls\n")
	seen, err := i.Look(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Package{
		"kubelet": {"1.30.1-1.1", []string{"/etc/containerd/config.toml", "/usr/bin/kubelet", "/usr/lib/systemd/system/kubelet.service.d/10.conf"}},
		"cni":     {"1", []string{"/opt/cni/bin/bridge"}},
	}
	if diff := cmp.Diff(want, seen.Packages); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]string{
		"/lib/systemd/system/kubelet.service.d/10.conf": "kubelet", "/usr/lib/systemd/system/kubelet.service.d/10.conf": "kubelet",
		"/usr/bin/kubelet2": "", "/etc/containerd/old.toml": "", "/etc/containerd/removed.toml": "",
	} {
		if f, _ := seen.Owner(path); f.Package != want {
			t.Errorf("%s is of %q", path, f.Package)
		}
	}
	if f, _ := seen.Owner("/etc/containerd/config.toml"); !f.Config {
		t.Error("a configuration file is none")
	}
}

func TestInventoryIsReadAnew(t *testing.T) {
	i, root, dir := inventory(t, "/usr/bin")
	for _, version := range []string{"1", "2.0"} {
		write(t, dir, dpkgInfo+"/kubelet.md5sums", sum(version)+"  usr/bin/kubelet\n")
		write(t, dir, DpkgStatus, "Package: kubelet\nStatus: install ok installed\nVersion: "+version+"\n")
		if seen, err := i.Look(t.Context(), root); err != nil || seen.Packages["kubelet"].Version != version {
			t.Errorf("%v, %v", seen.Packages, err)
		}
	}
}

func TestIntact(t *testing.T) {
	i, root, dir := inventory(t, "/usr/bin")
	file := File{Package: "kubelet", digest: sum("kubelet"), algorithm: dpkgDigest}
	intact := func() bool {
		t.Helper()
		ok, err := i.Intact(t.Context(), root, "/usr/bin/kubelet", file, "")
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if _, err := i.Intact(t.Context(), root, "/usr/bin/kubelet", file, ""); err == nil {
		t.Error("a file that is not there")
	}
	write(t, dir, "/usr/bin/kubelet", "kubelet")
	if !intact() {
		t.Error("it is not as the package has it")
	}
	write(t, dir, "/usr/bin/kubelet", "another")
	if intact() {
		t.Error("it is still as the package has it")
	}
	write(t, dir, "/usr/bin/kubelet", "kubelet")
	if ok, err := i.Intact(t.Context(), root, "/usr/bin/kubelet", file, "the digest of what was seen"); ok || err != nil {
		t.Errorf("another content was seen: %t, %v", ok, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := i.Intact(ended, root, "/usr/bin/kubelet", file, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("it goes on reading: %v", err)
	}
}

// What was read lately may change without a trace in the file's times.
func TestDigestsAreRememberedOfOldFilesOnly(t *testing.T) {
	i := NewInventory(nil)
	i.remember(content{entry: host.Entry{Inode: 1, Changed: time.Now()}}, digests{})
	i.remember(content{entry: host.Entry{Inode: 2, Changed: time.Now().Add(-time.Minute)}}, digests{})
	if len(i.sums) != 1 {
		t.Errorf("%v", i.sums)
	}
	for n := range uint64(3 * maxSumsKept) {
		i.remember(content{entry: host.Entry{Inode: n}}, digests{})
	}
	if len(i.sums) > maxSumsKept {
		t.Errorf("%d are kept", len(i.sums))
	}
}

func TestBusy(t *testing.T) {
	_, root, dir := inventory(t)
	if Busy(root) {
		t.Error("without dpkg")
	}
	write(t, dir, DpkgLock, "")
	if Busy(root) {
		t.Error("without a lock")
	}
	f, err := os.OpenFile(filepath.Join(dir, DpkgLock), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// A lock of this process would not be another's; one of the open file is.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	if !Busy(root) {
		t.Error("dpkg is at work")
	}
}
