package main

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// The program goes on with fewer of its own pages in memory.
func TestGiveBack(t *testing.T) {
	if os.Getenv("GIVE_BACK") == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestGiveBack$", "-test.v")
		cmd.Env = append(os.Environ(), "GIVE_BACK=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, args := range [][]string{{"operations", "--profile", "ack"}, {"check", "--root", t.TempDir()}, {"nodes", "--kubeconfig", "/none"}} {
		var out strings.Builder
		run(t.Context(), args, &out, &out)
	}
	before := programMemory(t)
	giveBack()
	if after := programMemory(t); after > before*3/4 {
		t.Errorf("%d kB of the program were in memory, and %d are", before, after)
	}
}

func programMemory(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kB, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return kB
		}
	}
	t.Fatal("no RssFile")
	return 0
}

func TestProgramPages(t *testing.T) {
	const self = "/usr/bin/nodeguard"
	for line, want := range map[string]uintptr{
		"00400000-00402000 r-xp 00000000 08:01 1 /usr/bin/nodeguard\n": 0x2000,
		"00402000-00403000 r--p 00002000 08:01 1 /usr/bin/nodeguard\n": 0x1000,
		"00403000-00404000 rw-p 00003000 08:01 1 /usr/bin/nodeguard\n": 0, // would be lost
		"00404000-00405000 r-xp 00000000 08:01 2 /usr/lib/libc.so\n":   0,
		"7ffd0000-7ffd2000 r-xp 00000000 00:00 0 [vdso]\n":             0,
		"00405000-00400000 r-xp 00000000 08:01 1 /usr/bin/nodeguard\n": 0,
		"junk": 0,
	} {
		if _, size, ok := programPages(line, self); size != want || ok != (want > 0) {
			t.Errorf("%q: %#x, %t", line, size, ok)
		}
	}
}
