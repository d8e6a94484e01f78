package bench

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkStartup is how long a restarted agent takes until its first whole report.
func BenchmarkStartup(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		r.How = "From exec until /api/v1/report has every condition, with the baseline of 20,000 protected files that an earlier run recorded; in turns with prometheus-node-exporter until /metrics answers."
		protect(b)
		restarts(b, r, "18 KB each")
		r.boundByMedian("first report", "agent, first report, 18 KB each")
		if err := unix.Unmount("/etc/kubernetes", 0); err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(os.RemoveAll("/var/lib/nodeguard"), writeTree("/etc/kubernetes", treeFiles, 100)); err != nil {
			b.Fatal(err)
		}
		restarts(b, r, "100 bytes each")
		r.note("The first report trusts the metadata by which the run before knew the files; every content is read after it.")
	})
}

// restarts starts the agent again and again over the baseline of its first run.
func restarts(b *testing.B, r *result, files string) {
	b.Helper()
	whole := func() bool { _, ok := report(); return ok }
	agent := startAgent(b, "--standalone")
	until(b, "a first report", whole)
	agent.stop(b)
	for range runs {
		fresh, took := agent.again(b, whole)
		fresh.stop(b)
		r.add("agent, first report, "+files, "ms", took)
		r.add("agent, peak memory of the start, "+files, "MB", fresh.peak)
		r.add("node-exporter, first metrics", "ms", startExporter(b))
	}
}

// startExporter is what people know, from exec to its first answer.
func startExporter(b *testing.B) float64 {
	b.Helper()
	const at = "127.0.0.1:29100"
	began := time.Now()
	exporter := start(b, "prometheus-node-exporter", "--web.listen-address="+at)
	answers(b, func() bool {
		resp, err := http.Get("http://" + at + "/metrics")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
	took := ms(time.Since(began))
	exporter.stop(b)
	return took
}

// answers asks every millisecond.
func answers(b testing.TB, so func() bool) {
	b.Helper()
	for began := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			b.Fatal("no answer within a minute")
		}
	}
}

// again starts the same and tells how long it took until it was so.
func (p *process) again(b testing.TB, so func() bool) (*process, float64) {
	b.Helper()
	began := time.Now()
	fresh := start(b, p.cmd.Path, p.cmd.Args[1:]...)
	answers(b, so)
	return fresh, ms(time.Since(began))
}

// stop ends it as a service manager does.
func (p *process) stop(b testing.TB) {
	b.Helper()
	p.peak = p.status("VmHWM")
	_ = p.cmd.Process.Signal(os.Interrupt)
	timeout := time.After(time.Minute)
	for {
		select {
		case _, open := <-p.said:
			if !open {
				_ = p.cmd.Wait()
				return
			}
		case <-timeout:
			b.Fatal("it does not end")
		}
	}
}
