package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/probe/probetest"
)

// A mount of the host whose server never answers: the check says so and comes to an
// end, though nothing that touched the mount can.
func TestHungMountOfTheHost(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for _, dir := range []string{"/var/lib", "/mnt"} {
		hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	}
	config := filepath.Join(t.TempDir(), "only.yaml")
	var off []string
	for _, name := range checkNames() {
		if name != "volumes" {
			off = append(off, name+": {enabled: false}")
		}
	}
	if err := os.WriteFile(config, []byte("checks: {"+strings.Join(off, ", ")+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(want int, args ...string) string {
		var out, errors bytes.Buffer
		if code := run(t.Context(), append([]string{"check", "--profile", "cce", "--config", config}, args...), &out, &errors); code != want {
			t.Fatalf("exits %d, want %d\n%s%s", code, want, out.String(), errors.String())
		}
		return out.String()
	}
	check(0)
	_, release := probetest.Silent(t, "/mnt/silent server")
	out := check(1)
	for _, want := range []string{"cce.precheck.hung-mounts", "/mnt/silent server", "does not answer", "$ umount -l -f '/mnt/silent server'"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	raised := check(1, "-o", "json")
	release()
	showLive(t, "volumes-hung-mount", []byte(raised), []byte(check(0, "-o", "json")))
}
