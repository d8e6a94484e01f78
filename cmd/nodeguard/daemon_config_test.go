package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestConfigFileChanges(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	point := func(target string) {
		t.Helper()
		tmp := filepath.Join(dir, "..tmp")
		if err := os.Symlink(target, tmp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(tmp, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	write("..1/nodeguard.yaml", "a")
	point("..1")
	if err := os.Symlink("..data/nodeguard.yaml", filepath.Join(dir, "nodeguard.yaml")); err != nil {
		t.Fatal(err)
	}
	c := configFile{name: filepath.Join(dir, "nodeguard.yaml")}
	now := time.Now()
	look := func() bool {
		now = now.Add(configLooks)
		return c.changed(now)
	}
	for range 2 {
		if look() {
			t.Error("it changed before it did")
		}
	}
	write("..2/nodeguard.yaml", "a") // as the kubelet swaps a ConfigMap
	point("..2")
	if c.changed(now.Add(time.Second)) {
		t.Error("it is looked at too often")
	}
	if !look() || look() {
		t.Error("the swap was not noticed, or twice")
	}
	write("..2/nodeguard.yaml", "longer")
	if !look() {
		t.Error("the write was not noticed")
	}
	if err := os.Remove(filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if look() {
		t.Error("a moment without the file is a change")
	}
	point("..1")
	if !look() {
		t.Error("its return was not noticed")
	}
}
