package bench

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	stormFiles      = 200_000
	stormRules      = 20_000
	rulesPerCommit  = 200
	stormWrites     = 5_000
	stormInterfaces = 1_000
)

// storm is something that others do as fast as they can, and how it ends.
type storm struct {
	name string
	// do does it where the agent looks, or where it does not, and tells how long its doer had to wait.
	do func(b *testing.B, watched bool) time.Duration
	// finish leaves the n-th final state, which the agent has to find.
	finish func(b *testing.B, n int)
	found  func(n int) bool
	// clean takes all of it away again.
	clean func(b *testing.B, watched bool)
}

// BenchmarkStorm is what the agent costs others, and itself, when it is loudest.
func BenchmarkStorm(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		r.How = "One agent through all storms, each five times where it looks and, in turns, where it does not: in an unprotected directory of the same file system, or in a network namespace beside its own; sysctl writes nobody watches once the agent has ended. " +
			"The part of a core is from a storm's beginning until the report has its final state; memory is the highest meanwhile, less what it was before."
		s := newStorms(b)
		all := []storm{s.files(), s.rules(), s.sysctls(), s.interfaces()}
		agent := startAgent(b, "--standalone")
		standsStill()
		for n := range runs {
			for _, storm := range all {
				var beside time.Duration
				if storm.name != "sysctl" {
					beside = storm.do(b, false)
					storm.clean(b, false)
				}
				through(b, r, agent, storm, n, beside)
			}
		}
		agent.kill()
		s.withoutAgent(b, r)
		for _, storm := range all {
			r.boundByMedian(storm.name+" slowed", storm.name+", with / without the agent")
			r.boundByMedian(storm.name+" cpu", storm.name+", agent's processor")
			r.boundByWorst(storm.name+" memory", storm.name+", agent's memory above before")
			r.boundByWorst(storm.name+" settled", storm.name+", settled after the end")
		}
		r.note("Every final state was in the report: a run ends with an error where one is not within a minute.")
	})
}

// through lets one storm pass over the agent.
func through(b *testing.B, r *result, agent *process, s storm, n int, beside time.Duration) {
	b.Helper()
	agent.forgetPeak(b)
	rss, before := agent.rss(), agent.use(b)
	took := s.do(b, true)
	s.finish(b, n)
	settled := until(b, s.name+": the final state", func() bool { return s.found(n) })
	after := agent.use(b)
	r.add(s.name+", storm", "ms", ms(took))
	if beside > 0 {
		r.add(s.name+", without the agent", "ms", ms(beside))
		r.ratio(s.name+", with / without the agent", took.Seconds(), beside.Seconds())
	}
	r.add(s.name+", agent's processor", "% of a core", after.core(before))
	r.add(s.name+", agent's processor, all of it", "ms", ms(after.busy-before.busy))
	r.add(s.name+", agent's memory above before", "MB", math.Max(0, agent.status("VmHWM")-rss))
	r.add(s.name+", settled after the end", "ms", ms(settled))
	s.clean(b, true)
	quiet(b, agent)
}

// quiet waits until the agent has done what the storm left it to do.
func quiet(b *testing.B, agent *process) {
	b.Helper()
	for range 30 {
		before := agent.use(b)
		time.Sleep(500 * time.Millisecond)
		if agent.use(b).core(before) < 2 {
			return
		}
	}
}

// storms are made on this host and in a network namespace beside it.
type storms struct {
	beside string // pid in the other namespace
}

func newStorms(b *testing.B) *storms {
	b.Helper()
	write(b, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 110\n")
	write(b, "/etc/kubernetes/storm/there", "x") // /mnt is a tmpfs as /etc is
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stop(cmd) })
	return &storms{beside: strconv.Itoa(cmd.Process.Pid)}
}

// in runs a command with a script in the agent's network namespace or in the other.
func (s *storms) in(b *testing.B, watched bool, script, name string, args ...string) time.Duration {
	b.Helper()
	if watched {
		return feed(b, script, name, args...)
	}
	return feed(b, script, "nsenter", append([]string{"-t", s.beside, "-n", name}, args...)...)
}

func (s *storms) files() storm {
	content := []byte("content")
	return storm{
		name: "files",
		do: func(b *testing.B, watched bool) time.Duration {
			dir := "/mnt/storm"
			if watched {
				dir = "/etc/kubernetes/storm"
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			for i := range stormFiles {
				name := filepath.Join(dir, strconv.Itoa(i))
				if err := os.WriteFile(name, content, 0o644); err != nil {
					b.Fatal(err)
				}
				if err := os.Remove(name); err != nil {
					b.Fatal(err)
				}
			}
			return time.Since(began)
		},
		finish: func(b *testing.B, n int) { write(b, fmt.Sprintf("/etc/kubernetes/storm/final-%d", n), "x") },
		found:  func(n int) bool { return reports(fmt.Sprintf("/etc/kubernetes/storm/final-%d", n), "") },
		clean: func(b *testing.B, watched bool) {
			if watched {
				run(b, "sh", "-c", "rm -f /etc/kubernetes/storm/final-*")
			}
		},
	}
}

func (s *storms) rules() storm {
	var commits []string
	for i := range stormRules / rulesPerCommit {
		var script strings.Builder
		if i == 0 {
			script.WriteString("add table inet bench\nadd chain inet bench c { type filter hook input priority 0; policy accept; }\n")
		}
		for j := range rulesPerCommit {
			n := i*rulesPerCommit + j
			fmt.Fprintf(&script, "add rule inet bench c ip saddr 10.%d.%d.%d counter accept\n", n>>16, n>>8&255, n&255)
		}
		commits = append(commits, script.String())
	}
	return storm{
		name: "nft",
		do: func(b *testing.B, watched bool) (took time.Duration) {
			for _, script := range commits {
				took += s.in(b, watched, script, "nft", "-f", "-")
			}
			return took
		},
		finish: func(b *testing.B, n int) {
			feed(b, fmt.Sprintf("add table inet final%[1]d\nadd chain inet final%[1]d c { type filter hook input priority 0; policy accept; }\nadd rule inet final%[1]d c tcp dport 9 drop\n", n), "nft", "-f", "-")
		},
		found: func(n int) bool {
			r, ok := report()
			if !ok {
				return false
			}
			for _, f := range r.Findings {
				if strings.Contains(f.Subject, fmt.Sprintf("final%d", n)) {
					return true
				}
			}
			return false
		},
		clean: func(b *testing.B, watched bool) { s.in(b, watched, "flush ruleset\n", "nft", "-f", "-") },
	}
}

func (s *storms) sysctls() storm {
	return storm{
		name: "sysctl",
		do:   func(b *testing.B, _ bool) time.Duration { return writeSysctls(b) },
		finish: func(b *testing.B, n int) {
			write(b, portRange, fmt.Sprintf("%d 60000", 45000+n))
		},
		found: func(n int) bool { return reports("net.ipv4.ip_local_port_range", fmt.Sprint(45000+n)) },
		clean: func(*testing.B, bool) {},
	}
}

const portRange = "/proc/sys/net/ipv4/ip_local_port_range"

// writeSysctls spreads the writes over a second and tells how long they took alone.
func writeSysctls(b *testing.B) (took time.Duration) {
	b.Helper()
	const bursts = 100
	every := time.NewTicker(time.Second / bursts)
	defer every.Stop()
	for range bursts {
		<-every.C
		began := time.Now()
		for i := range stormWrites / bursts {
			if err := os.WriteFile(portRange, fmt.Appendf(nil, "%d 60000", 40000+i), 0); err != nil {
				b.Fatal(err)
			}
		}
		took += time.Since(began)
	}
	return took
}

// withoutAgent writes when there is nobody who watches any more.
func (s *storms) withoutAgent(b *testing.B, r *result) {
	b.Helper()
	with := r.of("sysctl, storm")
	for i := range runs {
		took := writeSysctls(b)
		r.add("sysctl, without the agent", "ms", ms(took))
		r.ratio("sysctl, with / without the agent", with.Runs[i], ms(took))
	}
}

func (s *storms) interfaces() storm {
	last := fmt.Sprintf("eth%d", stormInterfaces)
	var script strings.Builder
	for i := 1; i < stormInterfaces; i += 2 { // a pair each
		fmt.Fprintf(&script, "link add eth%d group 42 type veth peer name eth%d group 42\n", i, i+1)
	}
	return storm{
		name: "interfaces",
		do: func(b *testing.B, watched bool) time.Duration {
			return s.in(b, watched, script.String(), "ip", "-batch", "-")
		},
		finish: func(b *testing.B, _ int) { write(b, "/proc/sys/net/ipv4/conf/"+last+"/rp_filter", "1") },
		found:  func(int) bool { return reports("net.ipv4.conf."+last+".rp_filter", "1") },
		clean: func(b *testing.B, watched bool) {
			s.in(b, watched, "", "ip", "link", "delete", "group", "42")
			if watched {
				until(b, "the interface is gone from the report", func() bool { return !reports("net.ipv4.conf."+last+".rp_filter", "") })
			}
		},
	}
}
