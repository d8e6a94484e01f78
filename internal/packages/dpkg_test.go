package packages

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
)

const status = `Package: kubelet
Status: hold ok installed
Version: 1:1.30.1-1.1
Description: a kubelet
 Package: not-this

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: unknown ok not-installed

Package: half
Version: 2
Status: install reinstreq half-installed
`

func TestParseDpkg(t *testing.T) {
	want := map[string]string{"kubelet": "1:1.30.1-1.1", "half": "2"}
	if diff := cmp.Diff(want, ParseDpkg([]byte(status))); diff != "" {
		t.Error(diff)
	}
}

func TestInstalled(t *testing.T) {
	dir := t.TempDir()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var d Database
	if got, err := d.Installed(root); err != nil || got != nil {
		t.Errorf("a host without packages has %v, %v", got, err)
	}
	write(t, dir, DpkgStatus, status)
	first, err := d.Installed(root)
	if err != nil || first["kubelet"] == "" {
		t.Fatalf("%v, %v", first, err)
	}
	write(t, dir, DpkgStatus, "Package: kubelet\nStatus: install ok installed\nVersion: 2\n")
	if got, err := d.Installed(root); err != nil || got["kubelet"] != "2" {
		t.Errorf("changed, but %v, %v", got, err)
	}
}

func TestInstalledOfRPM(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "/var/lib/rpm/Packages", "x")
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var d Database
	if _, err := d.Installed(root); !errors.Is(err, ErrRPM) {
		t.Errorf("got %v", err)
	}
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
