package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// rpmHost is a host tree that rpm installs packages into.
type rpmHost struct{ debian }

// built is what makes a package.
type built struct {
	name, version string
	files         map[string]string // those below /etc are configuration files
	macros        []string
}

// build makes a package. It has more to tell of itself than one page of a database holds.
func (h rpmHost) build(b built) (string, error) {
	tree := filepath.Join(h.debs, b.name+"-"+b.version)
	spec := fmt.Sprintf("Name: %s\nVersion: %s\nRelease: 1\nSummary: a test\nLicense: none\nBuildArch: noarch\n%%description\n%s\n%%install\ncp -a %s/. %%{buildroot}\n%%files\n",
		b.name, b.version, strings.Repeat("A kubelet that is none.\n", 1000), tree)
	for _, file := range slices.Sorted(maps.Keys(b.files)) {
		at := filepath.Join(tree, file)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(at, []byte(b.files[file]), 0o755); err != nil {
			return "", err
		}
		if strings.HasPrefix(file, "/etc/") {
			file = "%config(noreplace) " + file
		}
		spec += file + "\n"
	}
	if err := os.WriteFile(tree+".spec", []byte(spec), 0o644); err != nil {
		return "", err
	}
	args := []string{"-bb", "--define=_topdir " + h.debs, "--define=_rpmdir " + h.debs, "--define=_rpmfilename " + filepath.Base(tree) + ".rpm"}
	for _, m := range b.macros {
		args = append(args, "--define="+m)
	}
	if out, err := exec.Command("rpmbuild", append(args, tree+".spec")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("rpmbuild: %w: %s", err, out)
	}
	return tree + ".rpm", nil
}

// rpm has rpm do something to the host.
func (h rpmHost) rpm(args ...string) error {
	args = append([]string{"--root=" + h.root, "--dbpath=" + filepath.Dir(h.database()), "--define=_db_backend sqlite"}, args...)
	if out, err := exec.Command("rpm", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("rpm: %w: %s", err, out)
	}
	return nil
}

func (rpmHost) database() string { return "/var/lib/rpm/rpmdb.sqlite" }

// install upgrades to the package, or installs it once more.
func (h rpmHost) install(t *testing.T, b built) {
	t.Helper()
	name, err := h.build(b)
	if err == nil {
		err = h.rpm("--upgrade", "--force", "--nodeps", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Stat(filepath.Join(h.root, h.database()+"-wal"))
	if err == nil && log.Size() > 0 {
		t.Fatal("rpm left its log")
	}
}

func testRPMHost(t *testing.T) rpmHost {
	t.Helper()
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("it takes rpm: ", err)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("rpm --root changes its root, which takes root")
	}
	h := rpmHost{debian{filepath.Join(t.TempDir(), "host"), t.TempDir()}}
	hosttest.Write(t, h.root, "/etc/os-release", "PRETTY_NAME=\"Alibaba Cloud Linux 3\"\n")
	return h
}
