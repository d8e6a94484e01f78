package bench

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// BenchmarkVerification reads every content, and looks again where nothing changed.
func BenchmarkVerification(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		r.How = "In turns over the same tree: `nodeguard check --root TREE` with a baseline, `find | xargs -P $(nproc) sha256sum`, and `aide --check` with its database on all cores. A rescan that has nothing to read stands beside a bare walk with one lstat a file."
		t := newTree(b, sharedTree(b), treeFiles)
		t.full(b, r, "", nil)
		r.boundByMedian("full", "nodeguard / sha256sum")
		r.boundByWorst("memory", "nodeguard, peak memory")
		t.unchanged(b, r)
		r.boundByMedian("unchanged", "rescan, nothing changed")
		for range runs {
			t.evict(b)
			before := t.cached(b)
			t.check(b)
			r.add("page cache grown by nodeguard", "MB", t.cached(b)-before)
		}
		r.boundByWorst("page cache", "page cache grown by nodeguard")
		t.evict(b)
		t.sha256sum(b)
		r.note("sha256sum leaves %s MB of the same files in the page cache.", figure(t.cached(b)))
	})
}

const coldAIDERuns = 3

// BenchmarkCold is the same for $NODEGUARD_COLD (200,000) files, from the page cache and
// from the disk.
func BenchmarkCold(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		files := 10 * treeFiles
		if n, err := strconv.Atoi(os.Getenv("NODEGUARD_COLD")); err == nil {
			files = n
		}
		r.How = fmt.Sprintf("As above over %d files of 18 KB; before each cold run everything is dropped from the kernel's caches.", files)
		dir, err := os.MkdirTemp("", "nodeguard-bench-")
		if err != nil {
			b.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := writeTree(filepath.Join(dir, "etc/kubernetes"), files, fileSize); err != nil {
			b.Fatal(err)
		}
		t := newTree(b, dir, files)
		t.aideRuns = coldAIDERuns
		t.full(b, r, "warm: ", nil)
		t.full(b, r, "cold: ", t.drop)
		t.unchanged(b, r)
		r.boundByMedian("full warm", "warm: nodeguard / sha256sum")
		r.boundByMedian("full cold", "cold: nodeguard / sha256sum")
		r.boundByWorst("memory", "cold: nodeguard, peak memory")
	})
}

// tree is a host's tree with protected files, and what verifies it.
type tree struct {
	root  string
	files int
	aide  string // its configuration

	aideRuns int // it takes a minute for what the others take seconds for
}

func newTree(b *testing.B, root string, files int) *tree {
	b.Helper()
	dir := b.TempDir()
	t := &tree{root: root, files: files, aide: filepath.Join(dir, "aide.conf"), aideRuns: runs}
	write(b, filepath.Join(root, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n")
	write(b, t.aide, fmt.Sprintf("database_in=file:%[1]s/db\ndatabase_out=file:%[1]s/db\nreport_url=file:%[1]s/report\nnum_workers=%[3]d\n%[2]s/etc/kubernetes p+i+n+u+g+s+m+c+sha256\n", dir, root, runtime.NumCPU()))
	if _, err := exec.LookPath("aide"); err != nil {
		t.aide = ""
	} else {
		run(b, "aide", "--config", t.aide, "--init")
	}
	t.check(b) // records the baseline
	return t
}

// full times the three in turns; before each, prepare.
func (t *tree) full(b *testing.B, r *result, prefix string, prepare func(*testing.B)) {
	b.Helper()
	if prepare == nil {
		prepare = func(*testing.B) {}
		t.sha256sum(b) // leaves all of it in the page cache
	}
	for n := range runs {
		prepare(b)
		ours, peak := t.check(b)
		prepare(b)
		sum := t.sha256sum(b)
		r.add(prefix+"nodeguard, full", "ms", ms(ours))
		r.add(prefix+"sha256sum, all cores", "ms", ms(sum))
		r.ratio(prefix+"nodeguard / sha256sum", ours.Seconds(), sum.Seconds())
		if t.aide != "" && n < t.aideRuns {
			prepare(b)
			began := time.Now()
			run(b, "aide", "--config", t.aide, "--check")
			r.add(prefix+"AIDE, all cores", "ms", ms(time.Since(began)))
			r.ratio(prefix+"nodeguard / AIDE", ours.Seconds(), time.Since(began).Seconds())
		}
		r.add(prefix+"nodeguard, peak memory", "MB", peak)
	}
}

// check is the command as it is shipped. It sees the whole tree as it was.
func (t *tree) check(b *testing.B) (took time.Duration, peak float64) {
	b.Helper()
	cmd := exec.Command(os.Getenv(binary), "check", "--root", t.root, "--profile", "ack", "-o", "json")
	var out bytes.Buffer
	cmd.Stdout = &out
	began := time.Now()
	err := cmd.Run()
	took = time.Since(began)
	if code := cmd.ProcessState.ExitCode(); code < 0 || bytes.Contains(out.Bytes(), []byte("KubernetesPathDrift\",\"status\":\"True")) {
		b.Fatalf("%v: %s", err, out.Bytes())
	}
	return took, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1024
}

func (t *tree) sha256sum(b *testing.B) time.Duration {
	b.Helper()
	began := time.Now()
	run(b, "sh", "-c", `find "$1" -type f -print0 | xargs -0 -P "$(nproc)" -n 500 sha256sum >/dev/null`, "sh", filepath.Join(t.root, "etc/kubernetes"))
	return time.Since(began)
}

// unchanged looks again in this process, as the agent does.
func (t *tree) unchanged(b *testing.B, r *result) {
	b.Helper()
	root, err := host.Open(t.root)
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	rules := []drift.Bound[paths.Rule]{{Operation: "op", Rule: paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}}}}
	recorded := baseline.ScopeOf(paths.New(root, rules, nil, nil).Observe(b.Context(), nil).Facts, nil)
	progress := &paths.Progress{}
	check := paths.New(root, rules, recorded, progress)
	check.Observe(b.Context(), nil)
	check.Observe(b.Context(), []string{})
	read := progress.Files.Load()
	for range runs {
		began := time.Now()
		o := check.Observe(b.Context(), []string{})
		ours := time.Since(began)
		if len(o.Facts) < t.files || len(o.Gaps)+len(o.Findings) > 0 || progress.Files.Load() != read {
			b.Fatalf("%d facts, findings %v, gaps %v, %d files read", len(o.Facts), o.Findings, o.Gaps, progress.Files.Load()-read)
		}
		began = time.Now()
		if err := t.walk(func(string, fs.DirEntry) error { return nil }); err != nil {
			b.Fatal(err)
		}
		walk := time.Since(began)
		r.add("rescan, nothing changed", "ms", ms(ours))
		r.add("bare walk with lstat", "ms", ms(walk))
		r.ratio("rescan / bare walk", ours.Seconds(), walk.Seconds())
	}
}

func (t *tree) walk(visit func(name string, d fs.DirEntry) error) error {
	return filepath.WalkDir(filepath.Join(t.root, "etc/kubernetes"), func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			_, err = d.Info()
		}
		if err == nil && d.Type().IsRegular() {
			err = visit(name, d)
		}
		return err
	})
}

// open visits the descriptors of all files.
func (t *tree) open(b *testing.B, visit func(fd int) error) {
	b.Helper()
	if err := t.walk(func(name string, _ fs.DirEntry) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return visit(int(f.Fd()))
	}); err != nil {
		b.Fatal(err)
	}
}

// evict takes the files' contents out of the page cache.
func (t *tree) evict(b *testing.B) {
	b.Helper()
	unix.Sync() // what is not on the disk yet would stay
	t.open(b, func(fd int) error { return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) })
}

// cached is how much of the files is in the page cache, in MB.
func (t *tree) cached(b *testing.B) float64 {
	b.Helper()
	var pages uint64
	t.open(b, func(fd int) error {
		var stat unix.Cachestat_t
		err := unix.Cachestat(uint(fd), &unix.CachestatRange{}, &stat, 0)
		pages += stat.Cache
		return err
	})
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// drop empties the caches of the machine.
func (t *tree) drop(b *testing.B) {
	b.Helper()
	unix.Sync()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		b.Fatal(err)
	}
}
