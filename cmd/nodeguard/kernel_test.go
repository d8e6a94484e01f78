package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// checkReport runs `nodeguard check --profile ack -o json` and returns exit code and report.
func checkReport(t *testing.T, args ...string) (int, drift.Report) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"check", "--profile", "ack", "--config", clockless(t), "-o", "json"}, args...), &out, &errs)
	var r drift.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("exit %d, %v: %s%s", code, err, &out, &errs)
	}
	return code, r
}

// clockless is a configuration that does not judge the clock, which nobody may keep
// where the tests run.
func clockless(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "nodeguard.yaml")
	if err := os.WriteFile(name, []byte("disabled: [ack.new.node-time]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// ownHost gives the test a host whose state and settings are its own, in support.
func ownHost(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"/var/lib", "/etc/sysctl.d", "/run", "/usr/lib/sysctl.d"} {
		hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	}
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
	if code, r := checkReport(t); code != 0 {
		t.Fatalf("before anything is changed: exit %d, %+v %+v", code, r.Findings, r.Unknown)
	}
}

// The first promise: a documented parameter is set, the report names operation,
// value, supported value and command, and the command repairs it.
func TestEveryDocumentedParameter(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownHost(t)
	for _, c := range []struct{ parameter, value, operation, observed, supported, command string }{
		{"net.ipv4.ip_forward", "0", "ack.net.ip-forward", "0", "1", "sysctl -w net.ipv4.ip_forward=1"},
		{"net.ipv4.conf.all.rp_filter", "1", "ack.net.rp-filter", "1", "0", "sysctl -w net.ipv4.conf.all.rp_filter=0"},
		{"net.ipv4.conf.all.rp_filter", "2", "ack.net.rp-filter", "2", "0", "sysctl -w net.ipv4.conf.all.rp_filter=0"},
		{"net.ipv4.tcp_tw_reuse", "1", "ack.net.tcp-tw-reuse", "1", "0 or 2", "sysctl -w net.ipv4.tcp_tw_reuse=0"},
		{"net.ipv4.ip_local_port_range", "40000 50000", "ack.net.ip-local-port-range", "40000 50000", "32768 60999 or 32768 61000", "sysctl -w net.ipv4.ip_local_port_range='32768 60999'"},
	} {
		hosttest.Run(t, "sysctl", "-qw", c.parameter+"="+c.value)
		code, r := checkReport(t)
		f := drift.FindingReport{}
		for _, found := range r.Findings {
			if found.Counts() {
				f = found
			}
		}
		if code != 1 || f.Operation != c.operation || f.Subject != c.parameter || f.Observed != c.observed || f.Supported != c.supported ||
			len(f.Recovery.Commands) != 1 || f.Recovery.Commands[0] != c.command {
			t.Fatalf("%s=%s: exit %d, %+v", c.parameter, c.value, code, f)
		}
		hosttest.Run(t, "sh", "-euc", f.Recovery.Commands[0])
		if code, r := checkReport(t); code != 0 {
			t.Errorf("after %s: exit %d, %+v", f.Recovery.Commands[0], code, r.Findings)
		}
	}
}

// What a settings file will do at the next boot is repaired by its own command, too.
func TestPendingIsRepairedByItsCommand(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for name, files := range map[string][2]string{
		"a line of the administrator's": {"/etc/sysctl.d/99-x.conf", "# mine\nnet.ipv4.ip_forward = 0\n"},
		"through the alias":             {"/etc/sysctl.d/99-x.conf", "net.ipv4.conf.all.forwarding = 0\n"},
		"a line of the distribution's":  {"/usr/lib/sysctl.d/50-x.conf", "net.ipv4.tcp_tw_reuse = 1\n"},
		"a glob":                        {"/usr/lib/sysctl.d/50-x.conf", "net.ipv4.conf.*.rp_filter = 1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ownHost(t)
			hosttest.Write(t, "/", files[0], files[1])
			code, r := checkReport(t)
			if code != 1 {
				t.Fatalf("exit %d, %+v", code, r.Findings)
			}
			for _, f := range r.Findings {
				if f.State == drift.Pending && strings.HasPrefix(f.Operation, "ack.net.") {
					if !strings.Contains(f.Observed, files[0]+":") {
						t.Errorf("%s does not name its line", f.Observed)
					}
					for _, c := range f.Recovery.Commands {
						hosttest.Run(t, "bash", "-euc", c)
					}
				}
			}
			if code, r = checkReport(t); code != 0 {
				t.Errorf("after its commands: exit %d, %+v", code, r.Findings)
			}
		})
	}
}

// In a network namespace alone every answer would be another's.
func TestForeignNetworkCannotTell(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	ownHost(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--net", self, "-test.run=^TestCheckInForeignNetwork$", "-test.v")
	cmd.Env = append(os.Environ(), foreignNetwork+"=yes")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

const foreignNetwork = "NODEGUARD_TEST_FOREIGN_NETWORK"

// TestCheckInForeignNetwork is the half of TestForeignNetworkCannotTell that looks.
func TestCheckInForeignNetwork(t *testing.T) {
	if os.Getenv(foreignNetwork) == "" {
		return
	}
	code, r := checkReport(t)
	if code != 2 {
		t.Errorf("exit %d, %+v", code, r.Findings)
	}
	unknown := map[string]bool{}
	for _, g := range r.Unknown {
		unknown[g.Operation] = true
		if !strings.Contains(g.Reason, "network namespace is not") || !strings.Contains(g.Hint, "hostNetwork") {
			t.Errorf("%+v", g)
		}
	}
	for _, id := range []string{"ack.net.ip-forward", "ack.net.rp-filter", "ack.net.tcp-tw-reuse", "ack.net.ip-local-port-range", "ack.net.firewall"} {
		if !unknown[id] {
			t.Errorf("%s is answered from a foreign namespace", id)
		}
	}
}
