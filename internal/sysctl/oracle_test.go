package sysctl

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// What the next boot sets is not ours to define: these tests let the real tools
// apply random configurations and compare.

func TestBootAsSystemdSysctlApplies(t *testing.T) {
	if hosttest.Alone(t) {
		needs(t, systemdTool, "systemd")
		compareWithTool(t, systemdTool)
	}
}

func TestBootAsProcpsApplies(t *testing.T) {
	if hosttest.Alone(t) {
		needs(t, "/usr/sbin/sysctl", "procps")
		hosttest.Mount(t, "/usr/lib/systemd", "-t", "tmpfs", "tmpfs")
		compareWithTool(t, "/usr/sbin/sysctl", "-q", "--system")
	}
}

func needs(t *testing.T, tool, pkg string) {
	t.Helper()
	if _, err := os.Stat(tool); err != nil {
		t.Fatalf("%s is not installed; make test installs it (%s)", tool, pkg)
	}
}

var oracleKeys = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/tcp_tw_reuse",
	"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/eth0/rp_filter", "net/ipv4/conf/eth1/rp_filter", "net/ipv4/conf/eth0.100/rp_filter",
}

func compareWithTool(t *testing.T, tool string, args ...string) {
	oracleHost(t)
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		files := writeConfiguration(t, r)
		reset(t)
		_ = exec.Command(tool, args...).Run() // it fails for keys that do not exist, and goes on
		b, failed := readBoot(root)
		if len(failed) > 0 {
			t.Fatalf("seed %d: %v", seed, failed)
		}
		for _, k := range oracleKeys {
			if k == "net/ipv4/conf/all/forwarding" {
				continue // an alias
			}
			if got, want := predicted(b, k), kernelValue(t, k); got != want {
				t.Fatalf("seed %d: %s: predicted %q, %s made it %q\n%s", seed, k, got, filepath.Base(tool), want, files)
			}
		}
	}
}

// oracleHost has interfaces, and directories of settings that nobody else sees.
func oracleHost(t *testing.T) {
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	hosttest.Run(t, "ip", "link", "add", "eth0.100", "type", "veth", "peer", "name", "other")
	for _, dir := range []string{"/etc/sysctl.d", "/run", "/usr/local/lib", "/usr/lib/sysctl.d"} {
		hosttest.Mount(t, dir, "-t", "tmpfs", "tmpfs")
	}
	conf := filepath.Join(t.TempDir(), "sysctl.conf")
	hosttest.Write(t, "/", conf, "")
	hosttest.Mount(t, "/etc/sysctl.conf", "--bind", conf)
}

func reset(t *testing.T) {
	for _, k := range oracleKeys {
		hosttest.Sysctl(t, k, initial(k))
	}
}

func initial(k string) string {
	if strings.HasSuffix(k, "forward") || strings.HasSuffix(k, "forwarding") {
		return "1"
	}
	return "0"
}

func kernelValue(t *testing.T, k string) string {
	data, err := os.ReadFile("/proc/sys/" + k)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func predicted(b boot, k string) string {
	keys := []string{k}
	if k == "net/ipv4/ip_forward" {
		keys = append(keys, "net/ipv4/conf/all/forwarding")
	}
	if s, ok := b.lookup(keys...); ok {
		return s.value
	}
	return initial(k)
}

// writeConfiguration writes random files and returns them for the reader of a failure.
func writeConfiguration(t *testing.T, r *rand.Rand) string {
	var shown strings.Builder
	for _, dir := range []string{"/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		old, _ := filepath.Glob(dir + "/*")
		for _, name := range old {
			_ = os.Remove(name)
		}
		for _, name := range []string{"10-a.conf", "50-b.conf", "99-c.conf", "ignored.txt"} {
			if r.IntN(3) == 0 {
				fmt.Fprint(&shown, writeFile(t, r, filepath.Join(dir, name)))
			}
		}
	}
	fmt.Fprint(&shown, writeFile(t, r, "/etc/sysctl.conf"))
	return shown.String()
}

func writeFile(t *testing.T, r *rand.Rand, name string) string {
	if r.IntN(8) == 0 && name != "/etc/sysctl.conf" {
		if err := os.Symlink("/dev/null", name); err != nil {
			t.Fatal(err)
		}
		return name + " -> /dev/null\n"
	}
	var text strings.Builder
	for range r.IntN(5) {
		text.WriteString(randomLine(r) + "\n")
	}
	if err := os.WriteFile(name, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return "-- " + name + " --\n" + text.String()
}

func randomLine(r *rand.Rand) string {
	pick := func(options ...string) string { return options[r.IntN(len(options))] }
	value := pick("0", "1")
	switch r.IntN(8) {
	case 0:
		return pick("# net.ipv4.ip_forward = 0", "; net.ipv4.ip_forward = 0", "", "   ", "not an assignment", "nonsense.key = 1")
	case 1:
		return pick("", "-", "  -") + pick("net.ipv4.ip_forward", "net/ipv4/ip_forward", "net.ipv4.conf.all.forwarding") + pick("=", " = ", "\t=\t") + value
	case 2:
		return pick("", "-") + pick("net.ipv4.tcp_tw_reuse", "net/ipv4/tcp_tw_reuse") + " = " + value
	case 3, 4:
		glob := pick("*", "eth*", "eth[01]", "?th0", "eth0*", "a*")
		return pick("", "-") + pick("net.ipv4.conf."+glob+".rp_filter", "net/ipv4/conf/"+glob+"/rp_filter") + " = " + value
	case 5:
		return "-" + pick("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter", "net/ipv4/conf/eth0.100/rp_filter")
	default:
		return pick("", "", "-") + pick("net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter", "net.ipv4.conf.eth1.rp_filter",
			"net.ipv4.conf.eth0/100.rp_filter", "net/ipv4/conf/eth0.100/rp_filter") + " = " + value
	}
}
