package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What rpm's newer package brought is the upgrade, and one finding, as it is of dpkg's;
// what is not as the package brought it is tampering, in the same look.
func TestUpgradeByRPM(t *testing.T) {
	kubelet := func(version string) built {
		return built{name: "kubelet", version: version, files: kubeletPackage(version)}
	}
	upgrade := func(folded string) []string {
		return []string{"ack.worker.self-upgrade-components installed package kubelet: 1.30.1-1.noarch -> 1.30.2-1.noarch +" + folded}
	}
	binary, config := "upstream.path.binaries /usr/bin/kubelet", "upstream.path.etc-containerd "+conffile
	for _, c := range []struct {
		name  string
		after func(t *testing.T, h rpmHost)
		want  []string
	}{
		{"nothing", func(*testing.T, rpmHost) {}, []string{}},
		{"the same version again", func(t *testing.T, h rpmHost) { h.install(t, kubelet("1.30.1")) }, []string{}},
		{"tampered with, and installed again", func(t *testing.T, h rpmHost) {
			h.write(t, "/usr/bin/kubelet", "something else")
			h.install(t, kubelet("1.30.1"))
		}, []string{}},
		{"upgraded", func(t *testing.T, h rpmHost) { h.install(t, kubelet("1.30.2")) }, upgrade("3")},
		{"upgraded by a package with MD5", func(t *testing.T, h rpmHost) {
			b := kubelet("1.30.2")
			b.macros = []string{"_binary_filedigest_algorithm 1"}
			h.install(t, b)
		}, upgrade("3")},
		{"and tampered with", func(t *testing.T, h rpmHost) {
			h.install(t, kubelet("1.30.2"))
			h.write(t, "/usr/bin/kubelet", "something else")
		}, append([]string{binary}, upgrade("2")...)},
		{"and opened to others", func(t *testing.T, h rpmHost) {
			h.install(t, kubelet("1.30.2"))
			if err := os.Chmod(filepath.Join(h.root, "usr/bin/kubelet"), 0o666); err != nil {
				t.Fatal(err)
			}
		}, append([]string{binary}, upgrade("2")...)},
		{"and a file of nobody's beside", func(t *testing.T, h rpmHost) {
			h.install(t, kubelet("1.30.2"))
			h.write(t, dropIn+".d.conf", "[Service]\nEnvironment=X=y\n")
		}, append(upgrade("3"), "upstream.path.units "+dropIn+".d.conf")},
		{"a configuration file edited before stays", func(t *testing.T, h rpmHost) {
			h.write(t, conffile, "version = 2\n# mine\n")
			h.install(t, kubelet("1.30.2"))
		}, append(upgrade("3"), config)}, // its .rpmnew is the package's
		{"without the database having changed", func(t *testing.T, h rpmHost) {
			for file, content := range kubeletPackage("1.30.2") {
				h.write(t, file, content)
			}
		}, []string{binary, config, "upstream.path.units " + dropIn}},
		{"removed", func(t *testing.T, h rpmHost) {
			if err := h.rpm("--erase", "kubelet"); err != nil {
				t.Fatal(err)
			}
		}, []string{"ack.worker.core-params containerd config.toml", binary, config, "upstream.path.units " + dropIn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := testRPMHost(t)
			h.install(t, built{name: "other", version: "1", files: map[string]string{"/usr/bin/other": "1"}})
			h.install(t, kubelet("1.30.1"))
			h.checked(t, "--profile", "ack")
			c.after(t, h)
			if diff := cmp.Diff(c.want, h.checked(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Upgraded, a file that is tampered with afterwards is told beside the upgrade; installed
// again it is as the package has it, and rolled back all is as recorded.
func TestRPMStepByStep(t *testing.T) {
	h := testRPMHost(t)
	kubelet := func(version string) {
		t.Helper()
		h.install(t, built{name: "kubelet", version: version, files: kubeletPackage(version)})
	}
	kubelet("1.30.1")
	h.checked(t, "--profile", "ack")
	upgrade := "ack.worker.self-upgrade-components installed package kubelet: 1.30.1-1.noarch -> 1.30.2-1.noarch +"
	for _, step := range []struct {
		name string
		does func()
		want []string
	}{
		{"upgraded", func() { kubelet("1.30.2") }, []string{upgrade + "3"}},
		{"tampered with", func() { h.write(t, "/usr/bin/kubelet", "something else") }, []string{"upstream.path.binaries /usr/bin/kubelet", upgrade + "2"}},
		{"installed again", func() { kubelet("1.30.2") }, []string{upgrade + "3"}},
		{"rolled back", func() { kubelet("1.30.1") }, []string{}},
	} {
		step.does()
		if diff := cmp.Diff(step.want, h.checked(t)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}

// A database that is not read is told, unless nobody has one.
func TestRPMOfAnotherFormat(t *testing.T) {
	h := testRPMHost(t)
	h.write(t, "/var/lib/rpm/Packages", "x")
	want := "unknown ack.worker.self-upgrade-components installed packages /var/lib/rpm/Packages: rpm's database is not read in this format"
	if got := h.checked(t, "--profile", "ack"); !slices.Contains(got, want) {
		t.Errorf("%q", got)
	}
}

// What rpm wrote last may not be in the database yet: until it is nobody knows.
func TestRPMBeforeItsEnd(t *testing.T) {
	h := testRPMHost(t)
	h.install(t, built{name: "kubelet", version: "1.30.1", files: kubeletPackage("1.30.1")})
	h.checked(t, "--profile", "ack")
	h.write(t, "/usr/bin/kubelet", "kubelet 1.30.2")
	h.write(t, "/var/lib/rpm/rpmdb.sqlite-wal", "x")
	want := []string{
		"unknown upstream.path.binaries /usr/bin/kubelet the package manager is at work",
		"unknown ack.worker.self-upgrade-components installed package kubelet /var/lib/rpm/rpmdb.sqlite: the database is being written",
	}
	if diff := cmp.Diff(want, h.checked(t)); diff != "" {
		t.Error(diff)
	}
}

// While rpm is at work nobody knows what a changed file is, and says so.
func TestRPMAtWork(t *testing.T) {
	h := testRPMHost(t)
	h.install(t, built{name: "kubelet", version: "1.30.1", files: kubeletPackage("1.30.1")})
	h.checked(t, "--profile", "ack")
	h.write(t, "/usr/bin/kubelet", "kubelet 1.30.2")
	lock, err := os.OpenFile(filepath.Join(h.root, "var/lib/rpm/.rpm.lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	binary := "upstream.path.binaries /usr/bin/kubelet"
	for _, c := range []struct {
		lock int16
		want string
	}{
		{unix.F_WRLCK, "unknown " + binary + " the package manager is at work"},
		{unix.F_RDLCK, binary}, // anybody may
	} {
		if err := unix.FcntlFlock(lock.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: c.lock}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{c.want}, h.checked(t)); diff != "" {
			t.Error(diff)
		}
	}
}
