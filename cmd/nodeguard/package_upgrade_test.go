package main

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/components"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/paths"
)

const (
	dropIn   = "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
	conffile = "/etc/containerd/config.toml"
)

// What a package's newer version brought is the upgrade, and one finding; what is not
// as the package brought it is tampering, in the same look.
func TestUpgradeByPackage(t *testing.T) {
	upgrade := func(folded string) []string {
		return []string{"ack.worker.self-upgrade-components installed package kubelet: 1.30.1 -> 1.30.2 +" + folded}
	}
	for _, c := range []struct {
		name  string
		after func(d debian, install func(version string, files map[string]string))
		want  []string
	}{
		{"the same version again", func(_ debian, install func(string, map[string]string)) { install("1.30.1", kubeletPackage("1.30.1")) }, []string{}},
		{"upgraded", func(_ debian, install func(string, map[string]string)) { install("1.30.2", kubeletPackage("1.30.2")) }, upgrade("3")},
		{"and tampered with", func(d debian, install func(string, map[string]string)) {
			install("1.30.2", kubeletPackage("1.30.2"))
			d.write(t, "/usr/bin/kubelet", "something else")
		}, append([]string{"upstream.path.binaries /usr/bin/kubelet"}, upgrade("2")...)},
		{"and opened to others", func(d debian, install func(string, map[string]string)) {
			install("1.30.2", kubeletPackage("1.30.2"))
			if err := os.Chmod(filepath.Join(d.root, "usr/bin/kubelet"), 0o666); err != nil {
				t.Fatal(err)
			}
		}, append([]string{"upstream.path.binaries /usr/bin/kubelet"}, upgrade("2")...)},
		{"and a file of nobody's beside", func(d debian, install func(string, map[string]string)) {
			install("1.30.2", kubeletPackage("1.30.2"))
			d.write(t, dropIn+".d.conf", "[Service]\nEnvironment=X=y\n")
		}, append(upgrade("3"), "upstream.path.units "+dropIn+".d.conf")},
		{"a configuration file edited before stays", func(d debian, install func(string, map[string]string)) {
			d.write(t, conffile, "version = 2\n# mine\n")
			install("1.30.2", kubeletPackage("1.30.2"))
		}, append(upgrade("3"), "upstream.path.etc-containerd "+conffile)}, // its .dpkg-dist is the package's
		{"a file that moved", func(_ debian, install func(string, map[string]string)) {
			files := kubeletPackage("1.30.2")
			files["/usr/lib/systemd/system/kubelet.service.d/20-more.conf"] = files[dropIn]
			delete(files, dropIn)
			install("1.30.2", files)
		}, upgrade("4")},
		{"without the database having changed", func(d debian, _ func(string, map[string]string)) {
			for file, content := range kubeletPackage("1.30.2") {
				d.write(t, file, content)
			}
		}, []string{"upstream.path.binaries /usr/bin/kubelet", "upstream.path.etc-containerd " + conffile, "upstream.path.units " + dropIn}},
		{"the same version with another content", func(_ debian, install func(string, map[string]string)) {
			files := kubeletPackage("1.30.1")
			files["/usr/bin/kubelet"] = "another build"
			install("1.30.1", files)
		}, []string{"upstream.path.binaries /usr/bin/kubelet"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, install := testDebian(t)
			kubelet := func(version string, files map[string]string) {
				t.Helper()
				install("kubelet", version, files)
			}
			kubelet("1.30.1", kubeletPackage("1.30.1"))
			d.checked(t, "--profile", "ack")
			c.after(d, kubelet)
			if diff := cmp.Diff(c.want, d.checked(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A package that nobody knew when the baseline was recorded explains nothing: whoever
// can install one could replace everything by it.
func TestForeignPackageExplainsNothing(t *testing.T) {
	d, install := testDebian(t)
	d.write(t, "/usr/bin/kubelet", "as the provider installed it")
	install("kubernetes-cni", "1.0", map[string]string{"/opt/cni/bin/bridge": "1.0"})
	d.checked(t, "--profile", "ack")
	install("evil", "1", map[string]string{"/usr/bin/kubelet": "1"})
	want := []string{"upstream.path.binaries /usr/bin/kubelet"}
	for range 2 { // nor does it once it has been seen
		if diff := cmp.Diff(want, d.checked(t)); diff != "" {
			t.Error(diff)
		}
		install("evil", "2", map[string]string{"/usr/bin/kubelet": "2"})
	}
}

// Two checks tell of an upgrade, and neither waits for the other: what the package
// brought is no drift because one of them has not looked yet, on the way back neither.
func TestChecksOutOfStep(t *testing.T) {
	d, install := testDebian(t)
	install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
	d.checked(t, "--profile", "ack")
	s, err := openHost(&options{root: d.root, stdout: io.Discard, stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer s.host.Close()
	looks := func() map[string]drift.Look {
		t.Helper()
		checks, err := s.checks()
		if err != nil {
			t.Fatal(err)
		}
		seen, err := s.look(t.Context(), checks)
		if err != nil {
			t.Fatal(err)
		}
		return seen
	}
	before := looks()
	install("kubelet", "1.30.2", kubeletPackage("1.30.2"))
	after := looks()
	unread := before[components.Name]
	unread.Gaps = []drift.Gap{{Operation: "ack.worker.self-upgrade-components", Subject: "installed package kubelet", Reason: "not read"}}
	raised := []string{"/usr/bin/kubelet", dropIn, conffile}
	for name, c := range map[string]struct {
		components, paths drift.Look
		want              []string
	}{
		"upgraded or put back, and one check has not looked yet": {before[components.Name], after[paths.Name], nil},
		"put back, and the versions are of before":               {after[components.Name], before[paths.Name], nil},
		"both at once":                 {after[components.Name], after[paths.Name], nil},
		"nobody can tell the versions": {unread, after[paths.Name], raised},
		"nobody looks for packages, so nobody will tell of theirs": {drift.Look{}, after[paths.Name], raised},
	} {
		t.Run(name, func(t *testing.T) {
			judged, _ := s.fold(drift.Report{}, map[string]drift.Look{components.Name: c.components, paths.Name: c.paths}, true, time.Now())
			var got []string
			for _, f := range judged[paths.Name].Findings {
				got = append(got, f.Subject)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Accepted, the upgrade is what is recorded, and the next one is told from there.
func TestAcceptedPackageUpgrade(t *testing.T) {
	d, install := testDebian(t)
	install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
	d.checked(t, "--profile", "ack")
	install("kubelet", "1.30.2", kubeletPackage("1.30.2"))
	if code := run(t.Context(), []string{"baseline", "accept", "--root", d.root, "--reason", "CHG-1"}, os.Stderr, os.Stderr); code != 0 {
		t.Fatalf("exit %d", code)
	}
	if got := d.checked(t); len(got) > 0 {
		t.Errorf("accepted, and %q", got)
	}
	install("kubelet", "1.30.3", kubeletPackage("1.30.3"))
	if diff := cmp.Diff([]string{"ack.worker.self-upgrade-components installed package kubelet: 1.30.2 -> 1.30.3 +3"}, d.checked(t)); diff != "" {
		t.Error(diff)
	}
}

// The operating system of another version and its packages are one upgrade.
func TestPackagesOfARelease(t *testing.T) {
	d, install := testDebian(t)
	d.write(t, "/etc/os-release", "PRETTY_NAME=\"Ubuntu 22.04\"\n")
	install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
	install("kubernetes-cni", "1.0", map[string]string{"/opt/cni/bin/bridge": "1.0"})
	d.checked(t, "--profile", "ack")
	d.write(t, "/etc/os-release", "PRETTY_NAME=\"Ubuntu 24.04\"\n")
	install("kubelet", "1.30.2", kubeletPackage("1.30.2"))
	install("kubernetes-cni", "1.1", map[string]string{"/opt/cni/bin/bridge": "1.1", "/opt/cni/bin/ptp": "1.1"})
	d.write(t, "/opt/cni/bin/ptp", "not the package's")
	want := []string{
		"upstream.path.binaries /opt/cni/bin/ptp",
		"ack.worker.self-upgrade-components operating system: Ubuntu 22.04 -> Ubuntu 24.04 +6",
	}
	if diff := cmp.Diff(want, d.checked(t)); diff != "" {
		t.Error(diff)
	}
}

// Every profile tells a package's upgrade as its own operation.
func TestEveryProfileHasTheUpgrade(t *testing.T) {
	d, install := testDebian(t)
	install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Names() {
		t.Run(name, func(t *testing.T) {
			if err := os.RemoveAll(filepath.Join(d.root, "var/lib/nodeguard")); err != nil {
				t.Fatal(err)
			}
			install("kubelet", "1.30.1", kubeletPackage("1.30.1"))
			before := found(d.checked(t, "--profile", name))
			install("kubelet", "1.30.2", kubeletPackage("1.30.2"))
			after := found(d.checked(t, "--profile", name))
			maps.DeleteFunc(after, func(line string, _ bool) bool { return before[line] })
			if len(after) != 1 {
				t.Errorf("%v", after)
			}
		})
	}
}

func found(lines []string) map[string]bool {
	out := map[string]bool{}
	for _, l := range lines {
		out[l] = true
	}
	return out
}
