package sysctl

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// alone repeats the benchmark as pid 1 of a host of its own, as hosttest.Alone
// does for tests; the numbers are those that the child prints.
func alone(b *testing.B) bool {
	if os.Getenv(inside) != b.Name() {
		if os.Geteuid() != 0 {
			b.Skip("making namespaces needs root")
		}
		cmd := exec.Command("/proc/self/exe", append(os.Args[1:], "-test.run=^$", "-test.bench=^"+b.Name()+"$")...)
		cmd.Env = append(os.Environ(), inside+"="+b.Name())
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		b.SkipNow()
	}
	for _, args := range [][]string{{"--make-rprivate", "/"}, {"-t", "proc", "proc", "/proc"}} {
		if out, err := exec.Command("mount", args...).CombinedOutput(); err != nil {
			b.Fatalf("mount %v: %s", args, out)
		}
	}
	return true
}

// BenchmarkHint is the time from before the write to the hint; the write itself is
// part of it.
func BenchmarkHint(b *testing.B) {
	alone(b)
	for _, c := range []struct{ source, path, subject string }{
		{bpfSource, "net/ipv4/tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"},
		{netconfSource, "net/ipv4/conf/all/rp_filter", "net.ipv4.conf.all.rp_filter"},
		{fanotifySource, "net/ipv4/tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"},
		{inotifySource, "net/ipv4/tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"},
		{heldSource, "net/ipv4/tcp_tw_reuse", "net.ipv4.tcp_tw_reuse"},
	} {
		b.Run(c.source, func(b *testing.B) {
			if err := os.WriteFile("/proc/sys/"+c.path, []byte("2"), 0); err != nil {
				b.Fatal(err)
			}
			check, to := newHostCheck(b), newHeard()
			defer named(check, heldSource).start(context.Background(), to)("")
			if c.source != heldSource {
				defer named(check, c.source).start(context.Background(), to)("")
			}
			if m, why := to.mode(c.source); m == drift.Off {
				b.Skip(why)
			}
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				time.Sleep(time.Millisecond)
				to.now()
				b.StartTimer()
				if err := os.WriteFile("/proc/sys/"+c.path, []byte{"01"[i%2]}, 0); err != nil {
					b.Fatal(err)
				}
				if c.source == heldSource {
					check.Poll(to)
				}
				for h := range to.hints {
					if h.Subject == c.subject {
						break
					}
				}
			}
		})
	}
}

func BenchmarkPoll(b *testing.B) {
	alone(b)
	check, to := newHostCheck(b), newHeard()
	defer named(check, heldSource).start(context.Background(), to)("")
	b.ReportMetric(float64(len(check.held.parameters)), "parameters")
	for b.Loop() {
		check.Poll(to)
	}
}

func BenchmarkObserve(b *testing.B) {
	alone(b)
	check := newHostCheck(b)
	for name, only := range map[string][]string{"hinted": {"net.ipv4.ip_forward"}, "everything": nil} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				check.Observe(context.Background(), only)
			}
		})
	}
}
