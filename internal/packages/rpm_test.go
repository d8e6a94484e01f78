package packages

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

func TestMain(m *testing.M) {
	if code, child := probe.Child(os.Args, probe.Tasks{rpm.Packages: rpm.Read}); child {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// rpmInventory is that of a host with the database that internal/rpm is tested with.
func rpmInventory(t *testing.T, database string, below ...string) (*Inventory, *host.Root, string) {
	t.Helper()
	data, err := os.ReadFile("../rpm/testdata/owners.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	i, root, dir := inventory(t, below...)
	write(t, dir, database, string(data))
	return i, root, filepath.Join(dir, database)
}

func TestInventoryOfRPM(t *testing.T) {
	for _, database := range rpm.Databases() {
		i, root, _ := rpmInventory(t, database, "/usr/bin/kubelet", "/etc/containerd", "/usr/lib/modules")
		seen, err := i.Look(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]Package{
			"kubelet": {"1:1.30.1-1.noarch", []string{"/etc/containerd/config.toml", "/usr/bin/kubelet"}},
			"kernel":  {"5.1-1.noarch, 5.2-1.noarch", []string{"/usr/lib/modules/5.1/modules.dep", "/usr/lib/modules/5.2/modules.dep"}},
		}
		if diff := cmp.Diff(want, seen.Packages); diff != "" {
			t.Errorf("%s: %s", database, diff)
		}
		for path, want := range map[string]File{
			"/usr/bin/kubelet":             {"kubelet", false, "1ca4bc7eb9b3d6f1e205da9cfab437c89d3760d0765a29a6bcbccf4ad51a2cb1", "SHA-256"},
			"/etc/containerd/config.toml":  {"kubelet", true, "345134db2e66d25f51e6c9a9e5183bdba347a06c8845529d8b7207a9b556a4c0", "SHA-256"},
			"/lib/modules/5.1/modules.dep": {"kernel", false, "77065cda8fe1551871ba934cfef4df0f9e8a5f7fb63909b25bf0ccebbe807e18", "SHA-256"},
			"/usr/bin/ls":                  {},
		} {
			if got, _ := seen.Owner(path); got != want {
				t.Errorf("%s: %s is %+v", database, path, got)
			}
		}
	}
}

// Of several packages with one file, the last one wrote it, in whatever order they are
// told; a package of another installation time only is the same.
func TestPackagesWithOneFile(t *testing.T) {
	a := rpm.Package{Name: "a", Version: "2", Installed: 20, Algorithm: "MD5", Files: []rpm.File{{Path: "/x", Digest: "AA"}}}
	older := rpm.Package{Name: "a", Version: "1", Installed: 30, Algorithm: "MD5", Files: []rpm.File{{Path: "/y", Digest: "cc"}}}
	b := rpm.Package{Name: "b", Version: "1", Installed: 10, Algorithm: "MD5", Files: []rpm.File{{Path: "/x", Digest: "bb"}}}
	for _, order := range [][]rpm.Package{{a, older, b}, {b, older, a}} {
		seen := Snapshot{Packages: map[string]Package{}, files: map[string]File{}}
		seen.addRPM(order)
		if f, _ := seen.Owner("/x"); f != (File{"a", false, "aa", "MD5"}) {
			t.Errorf("%+v", f)
		}
		if p := seen.Packages["a"]; p.Version != "1, 2" || !slices.Equal(p.Files, []string{"/x", "/y"}) {
			t.Errorf("%+v", p)
		}
	}
}

// The database is read again when it changed, and only then.
func TestInventoryOfRPMIsReadAnew(t *testing.T) {
	i, root, database := rpmInventory(t, rpm.Databases()[0], "/usr/bin/kubelet")
	if seen, err := i.Look(t.Context(), root); err != nil || len(seen.Packages) != 1 {
		t.Fatalf("%v, %v", seen.Packages, err)
	}
	t.Setenv("NODEGUARD_PROBE", "1") // a child starts no children
	if seen, err := i.Look(t.Context(), root); err != nil || len(seen.Packages) != 1 {
		t.Errorf("as it was: %v, %v", seen.Packages, err)
	}
	if err := os.WriteFile(database+"-wal", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Look(t.Context(), root); !errors.Is(err, rpm.ErrBeingWritten) {
		t.Errorf("while rpm writes: %v", err)
	}
}

// What cannot be read is told, in words that say where.
func TestInventoryOfAnotherRPM(t *testing.T) {
	for _, name := range rpm.Others() {
		i, root, dir := inventory(t, "/usr/bin")
		write(t, dir, name, "x")
		if _, err := i.Look(t.Context(), root); !errors.Is(err, ErrRPM) || err.Error() != name+": rpm's database is not read in this format" {
			t.Errorf("%s: %v", name, err)
		}
	}
	i, root, dir := inventory(t, "/usr/bin")
	write(t, dir, rpm.Databases()[0], strings.Repeat("no database ", 100))
	if _, err := i.Look(t.Context(), root); err == nil || errors.Is(err, ErrRPM) {
		t.Errorf("no database: %v", err)
	}
}

func TestDatabaseOf(t *testing.T) {
	_, root, dir := inventory(t)
	both := func(name string) []string { return []string{name, name + "-wal"} }
	for _, c := range []struct {
		comes string
		is    string
		files []string
	}{
		{"", DpkgStatus, []string{DpkgStatus}},
		{"/var/lib/rpm/Packages", "/var/lib/rpm/Packages", []string{DpkgStatus}},
		{"/usr/lib/sysimage/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", both("/usr/lib/sysimage/rpm/rpmdb.sqlite")},
		{"/var/lib/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", both("/var/lib/rpm/rpmdb.sqlite")},
		{DpkgStatus, DpkgStatus, []string{DpkgStatus}},
	} {
		before := StateOf(root)
		if c.comes != "" {
			if write(t, dir, c.comes, "x"); StateOf(root) == before {
				t.Errorf("%s came, and nobody saw it", c.comes)
			}
		}
		if is, files := DatabaseOf(root), Files(root); is != c.is || !slices.Equal(files, c.files) {
			t.Errorf("%s came: %s, %v", c.comes, is, files)
		}
		for _, name := range Files(root) {
			if !IsFile(name) {
				t.Errorf("%s is of no package manager", name)
			}
		}
	}
	if IsFile("/etc/passwd") {
		t.Error("any file is the package manager's")
	}
}

func TestBusyRPM(t *testing.T) {
	_, root, database := rpmInventory(t, rpm.Databases()[1])
	if Busy(root) {
		t.Error("without a lock")
	}
	f, err := os.OpenFile(rpm.Lock(database), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for kind, want := range map[int16]bool{unix.F_WRLCK: true, unix.F_RDLCK: false} {
		if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind}); err != nil {
			t.Fatal(err)
		}
		if got := Busy(root); got != want {
			t.Errorf("lock %d: %t", kind, got)
		}
	}
	if err := os.WriteFile(rpm.Log(database), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !Busy(root) {
		t.Error("rpm has not ended: what it wrote is not in the database yet")
	}
	state, err := rpm.StateOf(root, rpm.Databases()[1])
	if err != nil || closing(state, time.Now().Add(time.Hour)) {
		t.Errorf("what was left behind is waited for: %v", err)
	}
}

func sha512Of(content string) string {
	s := sha512.Sum512([]byte(content))
	return hex.EncodeToString(s[:])
}

// A digest is compared as what it is of.
func TestIntactByAlgorithm(t *testing.T) {
	i, root, dir := inventory(t, "/usr/bin")
	write(t, dir, "/usr/bin/kubelet", "kubelet")
	for algorithm, digest := range map[string]string{
		"MD5":     sum("kubelet"),
		"SHA-256": "1ca4bc7eb9b3d6f1e205da9cfab437c89d3760d0765a29a6bcbccf4ad51a2cb1",
		"SHA-512": sha512Of("kubelet"),
	} {
		for digest, want := range map[string]bool{digest: true, digest[1:] + "0": false, "": false} {
			ok, err := i.Intact(t.Context(), root, "/usr/bin/kubelet", File{"kubelet", false, digest, algorithm}, "")
			if ok != want || err != nil {
				t.Errorf("%s %s: %t, %v", algorithm, digest, ok, err)
			}
		}
	}
	if _, err := i.Intact(t.Context(), root, "/usr/bin/kubelet", File{"kubelet", false, "x", "algorithm 77"}, ""); err == nil {
		t.Error("a digest that nobody can compare is compared")
	}
}
