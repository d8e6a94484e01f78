package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// podCapabilities are those that the DaemonSet asks for; test/deploy holds them there.
var podCapabilities = []string{"sys_admin", "net_admin", "sys_ptrace", "dac_read_search"}

// bounded executes what follows as root of a container that has these alone.
func bounded(capabilities ...string) []string {
	set := "-all"
	for _, c := range capabilities {
		set += ",+" + c
	}
	return []string{"setpriv", "--no-new-privs", "--inh-caps=-all", "--bounding-set=" + set}
}

// Each capability is needed: without it a source says that it is off or less, or a gap
// says what cannot be looked at. With all of them nothing is missing, and without any
// one of them what is out of support is found all the same.
func TestEachCapabilityIsNeeded(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	const (
		bpf     = `"source":"bpf-sysctl","mode":"event"`
		exits   = `"source":"exit-map","mode":"event"`
		mounts  = `"source":"fanotify-mounts","mode":"event"`
		tables  = `"source":"nftables","mode":"event"`
		files   = `"check":"paths","source":"inotify","mode":"event","why":"fanotify"`
		raised  = `"msg":"raised"`
		unnamed = "changes come without names"
	)
	for _, c := range []struct {
		without string
		said    []string // a line each has all of its words, between bars
		gaps    []string // operation, subject and reason
	}{
		{"", []string{bpf, exits, mounts, tables, files}, nil},
		{"sys_admin", []string{
			`"source":"bpf-sysctl","mode":"off"|SYS_ADMIN`, `"source":"inotify-sysctl","mode":"event"`, `"source":"exit-map","mode":"off"|SYS_ADMIN`,
			`"source":"fanotify-mounts","mode":"off"`, `"check":"paths"|"source":"inotify","mode":"event"|no CAP_SYS_ADMIN: ` + unnamed, tables,
		}, nil},
		{"net_admin", []string{`"source":"nftables","mode":"off"`, bpf, exits, mounts, files},
			[]string{"ack.net.firewall||the kernel's nf_tables cannot be read: operation not permitted"}},
		{"sys_ptrace", []string{`"source":"fanotify-mounts","mode":"off"`, bpf, exits, tables, files},
			[]string{"upstream.worker.binary-replaced|kubelet binary|the executable of the running process cannot be read"}},
		{"dac_read_search", []string{`"check":"components"|"source":"inotify","mode":"event"|no CAP_DAC_READ_SEARCH: ` + unnamed, `"check":"paths","source":"inotify","mode":"poll","why":"permission denied"`, bpf, exits, mounts, tables},
			[]string{"ack.path.var-lib-kubelet|/var/lib/kubelet/pki|permission denied"}},
	} {
		t.Run("without "+c.without, func(t *testing.T) {
			agentHost(t)
			hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
			hosttest.Write(t, "/", "/var/lib/kubelet/pki/kubelet.key", "not root's\n")
			hosttest.Run(t, "chown", "-R", "1:1", "/var/lib/kubelet/pki")
			hosttest.Run(t, "chmod", "-R", "u=rwX,go=", "/var/lib/kubelet/pki")
			defer fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml")() // with more capabilities than the agent
			have := slices.DeleteFunc(slices.Clone(podCapabilities), func(name string) bool { return name == c.without })
			a, _ := startProcess(t, bounded(have...), served...)
			a.waitAll(c.said...)
			var gaps []string
			for _, g := range wholeReport(t).Unknown {
				gaps = append(gaps, g.Operation+"|"+g.Subject+"|"+g.Reason)
			}
			if !slices.Equal(gaps, c.gaps) {
				t.Errorf("cannot tell %q, want %q", gaps, c.gaps)
			}
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
			a.wait(raised, "tcp_tw_reuse")
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
			a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
			if code := a.stop(); code != 0 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// waitAll reads the log until each of these was said, in any order; a line has all the
// words of one, which bars separate.
func (a *running) waitAll(said ...string) {
	a.t.Helper()
	missing := slices.Clone(said)
	for len(missing) > 0 {
		line, more := <-a.lines
		if !more {
			a.t.Fatalf("the agent ended without saying %q", missing)
		}
		missing = slices.DeleteFunc(missing, func(words string) bool { return containsAll(line, strings.Split(words, "|")) })
	}
}
