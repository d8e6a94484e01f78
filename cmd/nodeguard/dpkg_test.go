package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// debian is a host tree that dpkg installs packages into.
type debian struct{ root, debs string }

// newDebian is a tree with dpkg's empty database.
func newDebian(root, debs string) (debian, error) {
	for _, tool := range []string{"dpkg", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return debian{}, err
		}
	}
	for _, dir := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755); err != nil {
			return debian{}, err
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", name), nil, 0o644); err != nil {
			return debian{}, err
		}
	}
	return debian{root, debs}, os.MkdirAll(debs, 0o755)
}

// build makes a package of these files; those below /etc are configuration files.
func (d debian) build(name, version string, files map[string]string) (string, error) {
	tree := filepath.Join(d.debs, name+"-"+version)
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: a test\n", name, version)
	var conffiles strings.Builder
	for file := range files {
		if strings.HasPrefix(file, "/etc/") {
			fmt.Fprintln(&conffiles, file)
		}
	}
	all := map[string]string{"/DEBIAN/control": control, "/DEBIAN/conffiles": conffiles.String()}
	for file, content := range files {
		all[file] = content
	}
	for file, content := range all {
		at := filepath.Join(tree, file)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(at, []byte(content), 0o755); err != nil {
			return "", err
		}
	}
	deb := tree + ".deb"
	out, err := exec.Command("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dpkg-deb: %w: %s", err, out)
	}
	return deb, nil
}

// install has dpkg install the packages, with the environment's further options.
func (d debian) install(debs ...string) error {
	args := append([]string{"--root=" + d.root, "--force-confold", "--force-script-chrootless", "--install"}, debs...)
	if out, err := exec.Command("dpkg", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg: %w: %s", err, out)
	}
	return nil
}

// kubeletPackage is what a kubelet's package of that version brings.
func kubeletPackage(version string) map[string]string {
	return map[string]string{
		"/usr/bin/kubelet": "kubelet " + version,
		"/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": "[Service]\n# " + version + "\n",
		"/etc/containerd/config.toml":                               "version = 2\n# " + version + "\n",
	}
}

func testDebian(t *testing.T) (d debian, install func(name, version string, files map[string]string)) {
	t.Helper()
	d, err := newDebian(filepath.Join(t.TempDir(), "host"), filepath.Join(t.TempDir(), "debs"))
	if err != nil {
		t.Skip("it takes Debian's package manager: ", err)
	}
	return d, func(name, version string, files map[string]string) {
		t.Helper()
		deb, err := d.build(name, version, files)
		if err == nil {
			err = d.install(deb)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checked are the findings of a check, as OPERATION SUBJECT: SUPPORTED -> OBSERVED +FOLDED,
// and what it cannot tell.
func (d debian) checked(t *testing.T, args ...string) []string {
	t.Helper()
	report := d.report(t, args...)
	got := lines(report.Findings)
	for _, u := range report.Unknown {
		got = append(got, "unknown "+u.Operation+" "+u.Subject+" "+u.Reason)
	}
	return got
}

// weighing are those of the findings that count.
func (d debian) weighing(t *testing.T, args ...string) []string {
	t.Helper()
	return lines(slices.DeleteFunc(d.report(t, args...).Findings, func(f drift.FindingReport) bool { return !f.Counts() }))
}

func lines(findings []drift.FindingReport) []string {
	out := []string{}
	for _, f := range findings {
		line := f.Operation + " " + f.Subject
		if f.Folded > 0 {
			line += fmt.Sprintf(": %s -> %s +%d", f.Supported, f.Observed, f.Folded)
		}
		if !strings.HasSuffix(f.Operation, ".support-window") { // which a version leaves one day
			out = append(out, line)
		}
	}
	return out
}

func (d debian) report(t *testing.T, args ...string) (report drift.Report) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	run(t.Context(), append([]string{"check", "--root", d.root, "-o", "json"}, args...), &stdout, &stderr)
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return report
}

func (d debian) write(t *testing.T, name, content string) {
	t.Helper()
	hosttest.Write(t, d.root, name, content)
}
