package paths_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// BenchmarkFullVerification looks at 20,000 files of 18 KB, all of them, beside
// sha256sum on all cores in the same run: the ratio is what counts.
func BenchmarkFullVerification(b *testing.B) {
	const files, size = 20_000, 18 << 10
	dir := b.TempDir()
	for i := range files {
		name := filepath.Join(dir, "etc/kubernetes", strconv.Itoa(i/200), strconv.Itoa(i))
		if i%200 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, size), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	root, err := host.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	rule := []drift.Bound[paths.Rule]{{Operation: "op", Rule: paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}}}}
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		o := paths.New(root, rule, nil, nil).Observe(b.Context(), nil)
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
