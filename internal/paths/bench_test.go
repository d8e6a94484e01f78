package paths_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/paths"
)

const files = 20_000

var everything = []drift.Bound[paths.Rule]{{Operation: "op", Rule: paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}}}}

func manyFiles(tb testing.TB, size int) string {
	tb.Helper()
	dir := tb.TempDir()
	for i := range files {
		name := filepath.Join(dir, "etc/kubernetes", strconv.Itoa(i/200), strconv.Itoa(i))
		if i%200 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				tb.Fatal(err)
			}
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, size), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// BenchmarkUnchangedRescan looks at 20,000 files that are as they were, against a
// baseline, beside a bare walk with one lstat a file in the same run.
func BenchmarkUnchangedRescan(b *testing.B) {
	dir := manyFiles(b, 1<<10)
	root, err := host.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	recorded := baseline.ScopeOf(paths.New(root, everything, nil, nil).Observe(b.Context(), nil).Facts, nil)
	progress := &paths.Progress{}
	check := paths.New(root, everything, recorded, progress)
	check.Observe(b.Context(), nil)
	check.Observe(b.Context(), []string{})
	read := progress.Files.Load()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		o := check.Observe(b.Context(), []string{})
		ours += time.Since(start)
		if len(o.Facts) < files || len(o.Gaps)+len(o.Findings) > 0 || progress.Files.Load() != read {
			b.Fatalf("%d facts, findings %v, gaps %v, %d files read", len(o.Facts), o.Findings, o.Gaps, progress.Files.Load()-read)
		}
		start = time.Now()
		if err := filepath.WalkDir(dir, lstat); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(ours.Seconds()*1000/float64(b.N), "ms/rescan")
	b.ReportMetric(theirs.Seconds()*1000/float64(b.N), "ms/walk")
	b.ReportMetric(float64(ours)/float64(theirs), "x-walk")
}

func lstat(_ string, d fs.DirEntry, err error) error {
	if err == nil {
		_, err = d.Info()
	}
	return err
}

// BenchmarkFullVerification looks at 20,000 files of 18 KB, all of them, beside
// sha256sum on all cores in the same run: the ratio is what counts.
func BenchmarkFullVerification(b *testing.B) {
	dir := manyFiles(b, 18<<10)
	root, err := host.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		o := paths.New(root, everything, nil, nil).Observe(b.Context(), nil)
		ours += time.Since(start)
		if len(o.Facts) < files || len(o.Gaps) > 0 {
			b.Fatalf("%d facts, gaps %v", len(o.Facts), o.Gaps)
		}
		start = time.Now()
		script := fmt.Sprintf("find %s -type f -print0 | xargs -0 -P $(nproc) -n 500 sha256sum >/dev/null", dir)
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		theirs += time.Since(start)
	}
	b.ReportMetric(float64(ours)/float64(theirs), "x-sha256sum")
}
