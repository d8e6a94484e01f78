package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	inside = "NODEGUARD_BENCH_HOST" // the benchmark is the first process of a host of its own
	binary = "NODEGUARD_BINARY"     // the agent as it is shipped
	shared = "NODEGUARD_BENCH_TREE" // the protected files that the benchmarks share
	runs   = 5                      // of everything, in turns
)

// alone measures on a host of its own: new network, pid and mount namespaces, which end
// with the benchmark. What it measured is published by the parent.
func alone(b *testing.B, measure func(b *testing.B, r *result)) {
	b.Helper()
	name := strings.TrimPrefix(b.Name(), "Benchmark")
	if os.Getenv(inside) == name {
		newHost(b)
		r := &result{Benchmark: name}
		measure(b, r)
		if err := json.NewEncoder(os.NewFile(3, "result")).Encode(r); err != nil {
			b.Fatal(err)
		}
		return
	}
	for _, needed := range []string{binary, "NODEGUARD_APISERVER"} {
		if os.Getenv(needed) == "" {
			b.Skipf("$%s is not set: run make bench", needed)
		}
	}
	if os.Geteuid() != 0 {
		b.Skip("making namespaces needs root")
	}
	began := time.Now()
	var r result
	if err := json.Unmarshal(rerun(b, name), &r); err != nil {
		b.Fatal(err)
	}
	publish(b, r, time.Since(began))
}

// rerun runs the benchmark in its namespaces and returns what it wrote.
func rerun(b *testing.B, name string) []byte {
	b.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.benchtime=1x", "-test.timeout=1h")
	cmd.Env = append(os.Environ(), inside+"="+name)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_ = write.Close()
	var out json.RawMessage
	decodeErr := json.NewDecoder(read).Decode(&out)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	if decodeErr != nil {
		b.Fatal(decodeErr)
	}
	return out
}

// newHost makes the namespaces a node: nothing of the machine's own configuration.
func newHost(b testing.TB) {
	b.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		b.Fatal(err)
	}
	mount(b, "proc", "/proc")
	for _, dir := range []string{"/var/lib", "/etc", "/run", "/usr/lib/sysctl.d", "/mnt"} {
		mount(b, "tmpfs", dir)
	}
	run(b, "ip", "link", "set", "lo", "up")
	write(b, "/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	write(b, "/proc/sys/net/ipv4/ip_forward", "1")
	for _, name := range []string{"all", "default"} {
		write(b, "/proc/sys/net/ipv4/conf/"+name+"/rp_filter", "0")
	}
}

func mount(b testing.TB, fs, dir string) {
	b.Helper()
	if err := unix.Mount(fs, dir, fs, 0, ""); err != nil {
		b.Fatalf("mount %s on %s: %v", fs, dir, err)
	}
	if fs == "tmpfs" {
		if err := os.Chmod(dir, 0o755); err != nil {
			b.Fatal(err)
		}
	}
}

const (
	treeFiles = 20_000
	fileSize  = 18 << 10
)

// sharedTree is a host tree with 20,000 files of 18 KB in /etc/kubernetes, written by the
// first benchmark that wants it.
func sharedTree(b testing.TB) string {
	b.Helper()
	root := os.Getenv(shared)
	if root == "" {
		root = b.TempDir()
	}
	if _, err := os.Stat(filepath.Join(root, "etc")); err == nil {
		return root
	}
	if err := writeTree(filepath.Join(root, "etc/kubernetes"), treeFiles, fileSize); err != nil {
		b.Fatal(err)
	}
	return root
}

// writeTree writes files of which no two are alike, 200 in a directory.
func writeTree(dir string, files, size int) error {
	content := make([]byte, size)
	for i := range files {
		name := filepath.Join(dir, strconv.Itoa(i/200), strconv.Itoa(i))
		if i%200 == 0 {
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
		}
		copy(content, strconv.Itoa(i))
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	unix.Sync() // or the disk is busy with it while something is measured
	return nil
}

// protect puts the shared files under /etc/kubernetes.
func protect(b testing.TB) {
	b.Helper()
	write(b, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 110\n")
	if err := os.MkdirAll("/etc/kubernetes", 0o755); err != nil {
		b.Fatal(err)
	}
	if err := unix.Mount(filepath.Join(sharedTree(b), "etc/kubernetes"), "/etc/kubernetes", "", unix.MS_BIND, ""); err != nil {
		b.Fatal(err)
	}
}

func run(b testing.TB, name string, args ...string) string {
	b.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// feed runs a command with a script on its standard input, and tells how long it took.
func feed(b testing.TB, script, name string, args ...string) time.Duration {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(script)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return time.Since(began)
}

func write(b testing.TB, name, content string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		b.Fatal(err)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
