package bench

// promise is a bound that nodeguard has to keep. They are listed here, once, so that the
// page of a run can be checked for all of them.
type promise struct {
	Benchmark, Name string
	What            string
	AtMost          float64
	Unit            string
}

// titles are the benchmarks in the order of the page.
var titles = []struct{ Benchmark, Title string }{
	{"Latency", "Latency: from a change on the host to the condition at a watcher of the API"},
	{"Idle", "Idle: what an agent costs where nothing happens"},
	{"Startup", "Start: from exec to the first whole report"},
	{"Verification", "Verification: 20,000 files, 360 MB, in the page cache"},
	{"Storm", "Storm: what others do as fast as they can"},
	{"Cold", "Verification at scale: 200,000 files, 3.6 GB, and cold caches"},
	{"Fleet", "Fleet: thousands of agents at one API server"},
}

var promises = []promise{
	{"Latency", "sysctl p50", "a sysctl, p50, against a bare PATCH", 1.7, "×"},
	{"Latency", "file p50", "a protected file, p50, against a bare PATCH", 1.7, "×"},
	{"Latency", "nft rule p50", "an nft rule, p50, against a bare PATCH", 1.7, "×"},
	{"Latency", "kubelet flag p50", "a kubelet with another flag, p50, against a bare PATCH", 1.7, "×"},
	{"Latency", "sysctl p99", "a sysctl, p99", 50, "ms"},
	{"Latency", "file p99", "a protected file, p99", 50, "ms"},
	{"Latency", "nft rule p99", "an nft rule, p99", 50, "ms"},
	{"Latency", "kubelet flag p99", "a kubelet with another flag, p99", 50, "ms"},

	{"Idle", "cpu", "processor time (schedstat)", 0.05, "% of a core"},
	{"Idle", "rss", "resident memory", 32, "MB"},

	{"Startup", "first report", "the first whole report, with a baseline of 20,000 files that are in the page cache", 300, "ms"},

	{"Verification", "full", "every content, against sha256sum on all cores", 0.9, "×"},
	{"Verification", "unchanged", "a rescan of 20,000 files that are as they were", 60, "ms"},
	{"Verification", "memory", "memory at its highest while every content is read", 64, "MB"},
	{"Verification", "page cache", "contents left in the page cache that were not there before", 4, "MB"},

	{"Storm", "files slowed", "200,000 files made, written and removed in a protected directory, against one that is not", 2, "×"},
	{"Storm", "files cpu", "… the agent meanwhile", 25, "% of a core"},
	{"Storm", "files memory", "… its memory above what it was", 8, "MB"},
	{"Storm", "files settled", "… the final state in the report", 1000, "ms"},
	{"Storm", "nft slowed", "20,000 nft rules in 100 commits, against a network namespace without an agent", 2, "×"},
	{"Storm", "nft cpu", "… the agent meanwhile", 25, "% of a core"},
	{"Storm", "nft memory", "… its memory above what it was", 8, "MB"},
	{"Storm", "nft settled", "… the final state in the report", 1000, "ms"},
	{"Storm", "sysctl slowed", "5,000 sysctl writes in a second, against none who watches", 2, "×"},
	{"Storm", "sysctl cpu", "… the agent meanwhile", 25, "% of a core"},
	{"Storm", "sysctl memory", "… its memory above what it was", 8, "MB"},
	{"Storm", "sysctl settled", "… the final state in the report", 1000, "ms"},
	{"Storm", "interfaces slowed", "1,000 interfaces added, against a network namespace without an agent", 2, "×"},
	{"Storm", "interfaces cpu", "… the agent meanwhile", 25, "% of a core"},
	{"Storm", "interfaces memory", "… its memory above what it was", 8, "MB"},
	{"Storm", "interfaces settled", "… the final state in the report", 1000, "ms"},

	{"Cold", "full warm", "200,000 files, every content, in the page cache, against sha256sum on all cores", 0.9, "×"},
	{"Cold", "full cold", "200,000 files, every content, from the disk, against sha256sum on all cores", 0.9, "×"},
	{"Cold", "memory", "memory at its highest while every content is read", 256, "MB"},

	{"Fleet", "steady patches", "patches of an agent in 5 min at rest", 1.25, ""},
	{"Fleet", "rolling", "rolling restart: the slowest batch of a tenth, until all of it stands again", 60, "s"},
	{"Fleet", "drift", "all nodes drift at once: until a watcher has seen all of them", 60, "s"},
	{"Fleet", "outage", "the API server restarts while all nodes change: from ready to all seen", 60, "s"},
}

func promisesOf(benchmark string) (out []promise) {
	for _, p := range promises {
		if p.Benchmark == benchmark {
			out = append(out, p)
		}
	}
	return out
}
