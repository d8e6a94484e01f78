package bench

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const idleRun = 12 * time.Second

// BenchmarkIdle is what an agent costs on a node where nothing happens, beside a
// node exporter that is scraped once a second, both at the same time.
func BenchmarkIdle(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		r.How = "The agent with an API server, 20,000 protected files and every source that this host has, and beside it, at the same time, prometheus-node-exporter scraped once a second: five times twelve seconds, half a minute after the start."
		protect(b)
		c := newCluster(b)
		startKubelet(b, 110)
		agent := c.agent(b)
		const exporterAt = "127.0.0.1:29100"
		exporter := start(b, "prometheus-node-exporter", "--web.listen-address="+exporterAt)
		defer scrape(b, "http://"+exporterAt+"/metrics")()
		standsStill()
		began := agent.use(b)
		for range runs {
			a, e := agent.use(b), exporter.use(b)
			time.Sleep(idleRun)
			aNow, eNow := agent.use(b), exporter.use(b)
			r.add("agent, processor", "% of a core", aNow.core(a))
			r.add("node-exporter, processor", "% of a core", eNow.core(e))
			r.ratio("agent / node-exporter, processor", aNow.core(a), eNow.core(e))
			r.add("agent, wake-ups", "/s", aNow.wakeups(a))
			r.add("node-exporter, wake-ups", "/s", eNow.wakeups(e))
			r.add("agent, resident", "MB", agent.rss())
			r.add("node-exporter, resident", "MB", exporter.rss())
			r.ratio("agent / node-exporter, resident", agent.rss(), exporter.rss())
		}
		r.bound("cpu", agent.use(b).core(began)) // of the whole minute: some of what it does is due twice in it
		r.boundByWorst("rss", "agent, resident")
		marks, bpf := agent.kernelMemory()
		r.note("The agent's memory: %s MB its own, %s MB of its file; the kernel keeps %d marks for it (about 1.2 KB each with the inode that they pin: %s MB) and %s MB of BPF maps and programs.",
			figure(agent.status("RssAnon")), figure(agent.status("RssFile")), marks, figure(float64(marks)*1.2/1024), figure(bpf))
		r.note("Sources: %s.", sources())
	})
}

// sources are those of the agent, with their modes.
func sources() string {
	r, _ := report()
	var out []string
	for _, c := range r.Checks {
		for _, s := range c.Sources {
			out = append(out, c.Name+"/"+s.Name+" "+s.Mode)
		}
	}
	return strings.Join(out, ", ")
}

// scrape gets an address once a second until it is stopped.
func scrape(b *testing.B, address string) (stop func()) {
	b.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(time.Second)
		defer every.Stop()
		for {
			select {
			case <-done:
				return
			case <-every.C:
			}
			if resp, err := http.Get(address); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
