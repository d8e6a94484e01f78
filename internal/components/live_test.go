package components

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	standIn  = "COMPONENTS_TEST_STAND_IN"  // this process stands in for a component
	ownWorld = "COMPONENTS_TEST_OWN_WORLD" // the directory that this process takes for its host
)

func TestMain(m *testing.M) {
	if os.Getenv(standIn) != "" {
		_, _ = os.Stdout.WriteString("up\n")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test lets go
		return
	}
	os.Exit(m.Run())
}

// TestLive runs inLive as pid 1 of a host of its own: its own processes, mounts,
// network and root directory.
func TestLive(t *testing.T) {
	if dir := os.Getenv(ownWorld); dir != "" {
		enter(t, dir)
		inLive(t)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces of its own")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	for _, name := range []string{"kubelet", "containerd", "kube-proxy"} {
		copyFile(t, self, filepath.Join(dir, "usr/bin", name))
	}
	cmd := exec.Command(self, "-test.run=^TestLive$", "-test.v")
	cmd.Env = append(os.Environ(), ownWorld+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	must(t, os.WriteFile(to, data, 0o755)) //nolint:gosec // a program
}

// enter makes dir this process's root, with the libraries that the test binary
// may be linked with.
func enter(t *testing.T, dir string) {
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, lib := range []string{"lib", "lib64"} {
		if _, err := os.Stat("/usr/" + lib); err == nil {
			must(t, os.MkdirAll(filepath.Join(dir, "usr", lib), 0o755))
			must(t, unix.Mount("/usr/"+lib, filepath.Join(dir, "usr", lib), "", unix.MS_BIND, ""))
			must(t, os.Symlink("usr/"+lib, filepath.Join(dir, lib)))
		}
	}
	for _, name := range []string{"proc", "tmp", "dev"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o644))
	must(t, unix.Mount("proc", filepath.Join(dir, "proc"), "proc", 0, ""))
	must(t, unix.Chroot(dir))
	must(t, os.Chdir("/"))
}

// component is a process that stands in for one.
type component struct {
	cmd  *exec.Cmd
	hold io.Closer
}

func start(t *testing.T, nested bool, args ...string) *component {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	if nested {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID}
	}
	return run(t, cmd)
}

func run(t *testing.T, cmd *exec.Cmd) *component {
	t.Helper()
	cmd.Env = append(os.Environ(), standIn+"=1", "GORACE=atexit_sleep_ms=0")
	hold, err := cmd.StdinPipe()
	must(t, err)
	up, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	if line, err := bufio.NewReader(up).ReadString('\n'); err != nil || line != "up\n" {
		t.Fatalf("%v did not start: %q %v", cmd, line, err)
	}
	return &component{cmd, hold}
}

func (c *component) stop(t *testing.T) {
	t.Helper()
	must(t, c.hold.Close())
	must(t, c.cmd.Wait())
}

// writeLate writes files until they are late enough after the newest component's
// start to be changes that it has not read.
func writeLate(t *testing.T, root *host.Root, files tree) {
	t.Helper()
	running, err := root.Processes("kubelet", "containerd", "kube-proxy")
	must(t, err)
	newest := running[len(running)-1].Started
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		write(t, "/", files)
		late := true
		for name := range files {
			e, err := root.Stat(name)
			must(t, err)
			late = late && e.Changed.After(newest.Add(grace))
		}
		if late {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the files' clock stands still")
		}
	}
}

func inLive(t *testing.T) {
	write(t, "/", worker())
	root, err := host.Open("/")
	must(t, err)
	if !root.Live() {
		t.Fatal("the host is not live")
	}
	for _, step := range []struct {
		name string
		run  func(t *testing.T, root *host.Root)
	}{
		{"parameters", liveParameters}, {"policy", livePolicy}, {"drivers", liveDrivers}, {"binary", liveBinary}, {"executable unreadable", liveUnreadable}, {"processes hidden", liveHidden},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, root) })
	}
}

var kubeletArgs = []string{
	"/usr/bin/kubelet", "--config=" + kubeletConfig, "--max-pods", "110", "--fail-swap-on",
	"--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
}

func with(args []string, more ...string) []string {
	return append(append([]string{}, args...), more...)
}

func liveParameters(t *testing.T, root *host.Root) {
	contained := start(t, true, "/usr/bin/kubelet", "--of-a-container")
	defer contained.stop(t)
	kubelet := start(t, false, with(kubeletArgs, "--pod-infra-container-image=pause:3.9")...)
	containerd := start(t, false, "/usr/bin/containerd", "-l", "info")
	defer func() { containerd.stop(t) }()

	first := observe(root, compareAll, nil)
	recorded := baseline.ScopeOf(first.Facts, nil)
	for subject, want := range map[string]string{
		"kubelet": "running", "kubelet --max-pods": "110", "kubelet --fail-swap-on": "true", "kubelet config maxPods": "110",
		"kubelet --pod-infra-container-image": "pause:3.9", "containerd": "running", "containerd --log-level": "info",
	} {
		if recorded[subject] != want {
			t.Errorf("%s = %q, want %q", subject, recorded[subject], want)
		}
	}
	if _, ok := recorded["kubelet --of-a-container"]; ok || len(first.Gaps) > 0 {
		t.Errorf("took the kubelet of a container for the host's, or %v", first.Gaps)
	}
	if o := observe(root, compareAll, recorded); len(o.Findings) > 0 {
		t.Errorf("unchanged, but %v", said(o))
	}

	writeLate(t, root, tree{
		kubeletConfig:    strings.Replace(kubeletYAML, "1m0s", "2m", 1),
		kubeadmFlags:     strings.Replace(kubeadmEnv, "3.9", "3.10", 1),
		containerdConfig: strings.Replace(containerdTOML, "3.9", "3.10", 1),
	})
	sandbox := `containerd plugins."io.containerd.grpc.v1.cri".sandbox_image: pause:3.10, was pause:3.9`
	want := []string{
		sandbox + " (pending)", "kubelet config syncFrequency: 2m, was 1m (pending)",
		"kubelet kubeadm-flags.env --pod-infra-container-image: pause:3.10, was pause:3.9 (pending)",
	}
	if diff := cmp.Diff(want, said(observe(root, compareAll, recorded))); diff != "" {
		t.Errorf("changed on disk: %s", diff)
	}

	kubelet.stop(t)
	o := observe(root, compareAll, recorded)
	want = []string{
		sandbox + " (pending)", "kubelet config syncFrequency: 2m, was 1m",
		"kubelet kubeadm-flags.env --pod-infra-container-image: pause:3.10, was pause:3.9",
	}
	if diff := cmp.Diff(want, said(o)); diff != "" {
		t.Errorf("kubelet down: %s", diff)
	}
	if got := values(o); got["kubelet"] != "running" || got["kubelet --max-pods"] != "110" {
		t.Error("a kubelet that is down is forgotten")
	}

	kubelet = start(t, false, with(kubeletArgs, "--pod-infra-container-image=pause:3.10")...)
	containerd.stop(t)
	containerd = start(t, false, "/usr/bin/containerd", "-l", "info")
	want = []string{
		"kubelet --pod-infra-container-image: pause:3.10, was pause:3.9", sandbox, "kubelet config syncFrequency: 2m, was 1m",
		"kubelet kubeadm-flags.env --pod-infra-container-image: pause:3.10, was pause:3.9",
	}
	got := said(observe(root, compareAll, recorded))
	if diff := cmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("restarted: %s", diff)
	}

	writeLate(t, root, tree{"/var/lib/kubelet/other": "x", kubeadmFlags: strings.Replace(kubeadmEnv, "3.9", "3.10", 1)})
	if diff := cmp.Diff(sorted(want), sorted(said(observe(root, compareAll, recorded)))); diff != "" {
		t.Errorf("written again as it is loaded: %s", diff)
	}
	remove(t, kubeletConfig)
	if got := said(observe(root, compareAll, recorded)); !contains(got, "kubelet config: absent, was present (pending)") {
		t.Errorf("configuration removed under the running kubelet: %v", got)
	}
	kubelet.stop(t)
	write(t, "/", worker())
}

func liveDrivers(t *testing.T, root *host.Root) {
	write(t, "/", tree{kubeletConfig: kubeletSystemd, containerdConfig: v2Options + "SystemdCgroup = true"})
	kubelet, containerd := start(t, false, kubeletArgs...), start(t, false, "/usr/bin/containerd")
	if o := observe(root, driversAgree, nil); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	writeLate(t, root, tree{containerdConfig: v2Options + "SystemdCgroup = false"})
	differ := "cgroup driver: kubelet systemd, containerd cgroupfs, was the same in both"
	if diff := cmp.Diff([]string{differ + " (pending)"}, said(observe(root, driversAgree, nil))); diff != "" {
		t.Error(diff)
	}
	containerd.stop(t)
	containerd = start(t, false, "/usr/bin/containerd")
	if diff := cmp.Diff([]string{differ}, said(observe(root, driversAgree, nil))); diff != "" {
		t.Error(diff)
	}
	write(t, "/", tree{containerdConfig: v2Options + "SystemdCgroup = true"})
	containerd.stop(t)
	write(t, "/", tree{"/etc/containerd/old.toml": v2Options + "SystemdCgroup = false"})
	containerd = start(t, false, "/usr/bin/containerd")
	writeLate(t, root, tree{"/etc/later": "x"})
	remove(t, containerdConfig)
	must(t, os.Symlink("old.toml", containerdConfig))
	if diff := cmp.Diff([]string{differ + " (pending)"}, said(observe(root, driversAgree, nil))); diff != "" {
		t.Errorf("linked to an older file: %s", diff)
	}
	remove(t, containerdConfig)
	kubelet.stop(t)
	containerd.stop(t)
	write(t, "/", worker())
}

var binaryUnreplaced = []drift.Bound[Rule]{{Operation: "ack.worker.self-upgrade-components", Rule: Rule{Component: Kubelet, Binary: unreplaced}}}

func liveBinary(t *testing.T, root *host.Root) {
	kubelet := start(t, false, kubeletArgs...)
	gone := []string{"kubelet binary: /usr/bin/kubelet was replaced while running, was the binary that was started"}
	check := func(when string, want []string) {
		t.Helper()
		o := observe(root, binaryUnreplaced, nil)
		if diff := cmp.Diff(want, said(o)); diff != "" || len(o.Gaps) > 0 {
			t.Errorf("%s: %s %v", when, diff, o.Gaps)
		}
	}
	check("as it was started", nil)
	must(t, os.Rename("/usr/bin/kubelet", "/usr/bin/kubelet.old"))
	check("renamed away", gone)
	copyFile(t, "/usr/bin/kubelet.old", "/usr/bin/kubelet")
	writeLate(t, root, tree{"/usr/bin/kubelet": "another"})
	check("renamed away, and another in its place", gone)
	must(t, os.Rename("/usr/bin/kubelet.old", "/usr/bin/kubelet"))
	check("put back", nil)
	copyFile(t, "/usr/bin/kubelet", "/usr/bin/kubelet.new")
	must(t, os.Rename("/usr/bin/kubelet.new", "/usr/bin/kubelet"))
	check("replaced by a rename", gone)

	short := exec.Command("/usr/bin/kubelet")
	short.Args = []string{"kubelet"}
	other := run(t, short)
	defer other.stop(t)
	kubelet.stop(t)
	check("known by its name alone", nil)
	must(t, os.Remove("/usr/bin/kubelet"))
	check("known by its name alone, and removed", gone)
	copyFile(t, "/usr/bin/containerd", "/usr/bin/kubelet")
}

// liveUnreadable looks without CAP_SYS_PTRACE at a kubelet that has it.
func liveUnreadable(t *testing.T, root *host.Root) {
	kubelet := start(t, false, kubeletArgs...)
	defer kubelet.stop(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	must(t, unix.Capget(&header, &all[0]))
	less := all
	less[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
	must(t, unix.Capset(&header, &less[0]))
	o := observe(root, append(binaryUnreplaced, compareAll...), baseline.Scope{})
	must(t, unix.Capset(&header, &all[0]))

	if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != "kubelet binary" || !strings.Contains(o.Gaps[0].Hint, "CAP_SYS_PTRACE") {
		t.Errorf("findings %v, gaps %+v", said(o), o.Gaps)
	}
	if values(o)["kubelet --max-pods"] != "110" {
		t.Error("the flags need no capability")
	}
}

// liveHidden looks where /proc does not show other users' processes.
func liveHidden(t *testing.T, root *host.Root) {
	recorded := baseline.ScopeOf(observe(root, compareAll, nil).Facts, nil)
	must(t, unix.Mount("tmpfs", "/proc/1", "tmpfs", 0, ""))
	o := observe(root, append(append(binaryUnreplaced, driversAgree...), compareAll...), recorded)
	must(t, unix.Unmount("/proc/1", 0))

	var subjects []string
	for _, g := range o.Gaps {
		subjects = append(subjects, g.Operation+" "+g.Subject)
		if !strings.Contains(g.Reason, "hidden") {
			t.Errorf("reason %q", g.Reason)
		}
	}
	want := []string{op + " ", "ack.new.cgroup-driver cgroup driver", "ack.worker.self-upgrade-components kubelet binary"}
	if diff := cmp.Diff(sorted(want), sorted(subjects)); diff != "" || len(o.Findings) > 0 {
		t.Error(diff, said(o))
	}
	if diff := cmp.Diff(map[string]string(recorded), values(o)); diff != "" {
		t.Errorf("forgotten: %s", diff)
	}
}
