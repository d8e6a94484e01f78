package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// lookLive runs one check of this host and returns its report.
func lookLive(t *testing.T, profile, only string) []byte {
	t.Helper()
	config := filepath.Join(t.TempDir(), "only.yaml")
	var off []string
	for _, name := range checkNames() {
		if name != only {
			off = append(off, name+": {enabled: false}")
		}
	}
	if err := os.WriteFile(config, []byte("checks: {"+strings.Join(off, ", ")+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"check", "--profile", profile, "--config", config, "-o", "json"}, &out, &errs); code == exitTrouble {
		t.Fatalf("%s%s", &out, &errs)
	}
	return out.Bytes()
}

// A network interface of pods was taken away, while rules still send them there.
func TestLivePolicyRoutes(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/var/lib", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	ip := func(args string) {
		t.Helper()
		hosttest.Run(t, "ip", strings.Fields(args)...)
	}
	for _, args := range []string{
		"link set lo up", "link add eth0 type veth peer name peer0", "address add 198.51.100.2/24 dev eth0", "link set eth0 up", "link set peer0 up",
		"route add default via 198.51.100.1", "link add eth1 type veth peer name peer1", "link set eth1 up", "link set peer1 up",
		"address add 198.51.100.3/24 dev eth1", "route add default via 198.51.100.1 dev eth1 table 1003",
		"rule add from 198.51.100.77/32 lookup 1003", "rule add from 198.51.100.78/32 lookup 1003",
	} {
		ip(args)
	}
	before := lookLive(t, "ack", "identity")
	ip("link del eth1")
	showLive(t, "identity-policy-routes", before, lookLive(t, "ack", "identity"))
}

// There is room for an upgrade, and then there is not.
func TestLiveSpace(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/var/lib", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	if err := os.Mkdir("/var/lib/kubelet", 0o755); err != nil {
		t.Fatal(err)
	}
	before := lookLive(t, "cce", "hostconfig")
	hosttest.Mount(t, "/var/lib/kubelet", "-t", "tmpfs", "-o", "size=10m", "tmpfs")
	showLive(t, "hostconfig-space", before, lookLive(t, "cce", "hostconfig"))
}

// The binary of a component was replaced while it runs.
func TestLiveBinaryReplaced(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/var/lib", "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	hosttest.Run(t, "install", "-D", "/bin/sleep", "/var/lib/programs/kubelet")
	kubelet := exec.Command("/var/lib/programs/kubelet", "infinity")
	kubelet.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := kubelet.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = kubelet.Process.Kill(); _ = kubelet.Wait() }()
	before := lookLive(t, "upstream", "components")
	hosttest.Run(t, "install", "/bin/sleep", "/var/lib/programs/kubelet.new")
	hosttest.Run(t, "mv", "/var/lib/programs/kubelet.new", "/var/lib/programs/kubelet")
	showLive(t, "components-binary-replaced", before, lookLive(t, "upstream", "components"))
}
