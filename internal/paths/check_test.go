package paths_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
)

var rules = []drift.Bound[paths.Rule]{
	{Operation: "etc", Rule: paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}, Exclude: []string{"tmp/**", "**/.*.sw[a-p]"}, MayVanish: []string{"bootstrap-kubelet.conf"}}},
	{Operation: "kubelet", Rule: paths.Rule{
		Paths:    []string{"/var/lib/kubelet"},
		Content:  []string{"config.yaml", "pki/*"},
		Exclude:  []string{"pki/kubelet-client-[0-9]*.pem"},
		Rotating: []string{"pki/kubelet-client-current.pem"},
	}},
	{Operation: "unit", Rule: paths.Rule{Paths: []string{"/etc/systemd/kubelet.service.d"}, Content: []string{"*"}, Appears: "drift"}},
	{Operation: "docker", Rule: paths.Rule{Paths: []string{"/etc/docker/daemon.json"}}},
}

// node is a host tree with the usual files.
func node(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeNode(t, dir)
	return dir
}

func writeNode(t *testing.T, dir string) {
	t.Helper()
	for name, content := range map[string]string{
		"etc/kubernetes/kubelet.conf":           "server: a",
		"etc/kubernetes/bootstrap-kubelet.conf": "token",
		"etc/kubernetes/pki/ca.crt":             "ca",
		"etc/kubernetes/manifests/pod.yaml":     "pod",
		"var/lib/kubelet/config.yaml":           "a: 1",
		"var/lib/kubelet/pods/x/volume":         "data",
		"elsewhere/config":                      "b",
	} {
		hosttest.Write(t, dir, name, content)
	}
}

func observe(t *testing.T, dir string, recorded baseline.Scope) drift.Observation {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return paths.New(root, rules, recorded, nil).Observe(t.Context(), nil)
}

func record(t *testing.T, dir string) baseline.Scope {
	t.Helper()
	first := observe(t, dir, nil)
	if len(first.Findings)+len(first.Gaps) > 0 {
		t.Fatalf("before anything is recorded: %v %v", first.Findings, first.Gaps)
	}
	scope := baseline.ScopeOf(first.Facts, first.Gaps)
	if again := observe(t, dir, scope); len(again.Findings)+len(again.Gaps) > 0 {
		t.Fatalf("nothing changed: %v %v", again.Findings, again.Gaps)
	}
	return scope
}

func found(o drift.Observation) []string {
	out := []string{}
	for _, f := range o.Findings {
		s := fmt.Sprintf("%s %s: %s, supported %s", f.Operation, f.Subject, f.Observed, f.Supported)
		if f.Tier != "" {
			s += " (" + f.Tier + ")"
		}
		out = append(out, s)
	}
	return out
}

func sh(t *testing.T, dir, script string) {
	t.Helper()
	hosttest.Run(t, "sh", "-euc", "cd "+dir+"\n"+script)
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"content", "printf x >> etc/kubernetes/kubelet.conf",
			[]string{"etc /etc/kubernetes/kubelet.conf: content sha256:5f913f327455, supported content sha256:10935f529842"}},
		{"replaced by rename", "printf x > etc/kubernetes/new; mv etc/kubernetes/new etc/kubernetes/kubelet.conf",
			[]string{"etc /etc/kubernetes/kubelet.conf: content sha256:2d711642b726, supported content sha256:10935f529842"}},
		{"replaced by the same content", "cp -p etc/kubernetes/kubelet.conf etc/new; mv etc/new etc/kubernetes/kubelet.conf", []string{}},
		{"mode", "chmod 666 etc/kubernetes/kubelet.conf",
			[]string{"etc /etc/kubernetes/kubelet.conf: mode 0666, supported mode 0644"}},
		{"mode of the directory itself", "chmod 777 etc/kubernetes",
			[]string{"etc /etc/kubernetes: mode 0777, supported mode 0755"}},
		{"new file", "touch etc/kubernetes/manifests/evil.yaml",
			[]string{"etc /etc/kubernetes/manifests/evil.yaml: new file, supported absent"}},
		{"new directory is one finding", "mkdir etc/kubernetes/new; touch etc/kubernetes/new/a etc/kubernetes/new/b",
			[]string{"etc /etc/kubernetes/new: new dir, supported absent"}},
		{"deleted file", "rm etc/kubernetes/pki/ca.crt",
			[]string{"etc /etc/kubernetes/pki/ca.crt: missing, supported present"}},
		{"deleted directory is one finding", "rm -r etc/kubernetes/pki",
			[]string{"etc /etc/kubernetes/pki: missing, supported present"}},
		{"deleted root is one finding", "rm -r etc/kubernetes",
			[]string{"etc /etc/kubernetes: missing, supported present"}},
		{"what may vanish", "rm etc/kubernetes/bootstrap-kubelet.conf", []string{}},
		{"hard link", "ln etc/kubernetes/kubelet.conf elsewhere/alias",
			[]string{"etc /etc/kubernetes/kubelet.conf: 2 hard links, supported 1 hard link"}},
		{"file becomes a link", "mv etc/kubernetes/kubelet.conf elsewhere/k; ln -s /elsewhere/k etc/kubernetes/kubelet.conf",
			[]string{"etc /etc/kubernetes/kubelet.conf: link, supported file"}},
		{"root becomes a link", "mv etc/kubernetes elsewhere/kubernetes; ln -s /elsewhere/kubernetes etc/kubernetes",
			[]string{"etc /etc/kubernetes: link, supported dir"}},
		{"file becomes a FIFO", "rm etc/kubernetes/kubelet.conf; mkfifo etc/kubernetes/kubelet.conf",
			[]string{"etc /etc/kubernetes/kubelet.conf: fifo, supported file"}},
		{"drop-in of a directory that was absent", "mkdir -p etc/systemd/kubelet.service.d; touch etc/systemd/kubelet.service.d/99.conf",
			[]string{"unit /etc/systemd/kubelet.service.d: new dir, supported absent"}},
		{"newly installed", "mkdir -p etc/docker; echo {} > etc/docker/daemon.json",
			[]string{"docker /etc/docker/daemon.json: new file, supported absent (appeared)"}},
		{"what the kubelet writes itself", "touch var/lib/kubelet/cpu_manager_state; rm -r var/lib/kubelet/pods; mkdir var/lib/kubelet/plugins", []string{}},
		{"excluded", "mkdir etc/kubernetes/tmp; touch etc/kubernetes/tmp/x etc/kubernetes/.kubelet.conf.swp", []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := node(t)
			recorded := record(t, dir)
			sh(t, dir, c.script)
			o := observe(t, dir, recorded)
			if diff := cmp.Diff(c.want, found(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
			changed := observe(t, dir, nil)
			if o := observe(t, dir, baseline.ScopeOf(changed.Facts, nil)); len(o.Findings) > 0 {
				t.Errorf("after accepting: %v", found(o))
			}
		})
	}
}

func TestLinkChainOfTheRoot(t *testing.T) {
	dir := node(t)
	sh(t, dir, "mv var/lib/kubelet elsewhere/data; ln -s /elsewhere/data elsewhere/hop; ln -s ../../elsewhere/hop var/lib/kubelet; cp -a elsewhere/data elsewhere/copy")
	recorded := record(t, dir)
	if got := recorded["/var/lib/kubelet/config.yaml"]; !strings.HasPrefix(got, "file ") {
		t.Errorf("the content behind the link is not looked at: %q", got)
	}
	sh(t, dir, "ln -sfn /elsewhere/copy elsewhere/hop")
	if diff := cmp.Diff([]string{
		"kubelet /var/lib/kubelet: link to ../../elsewhere/hop -> /elsewhere/copy, supported link to ../../elsewhere/hop -> /elsewhere/data",
	}, found(observe(t, dir, recorded))); diff != "" {
		t.Error(diff)
	}
}

func TestLinkOutOfTheRootStaysInside(t *testing.T) {
	dir, outside := node(t), t.TempDir()
	hosttest.Write(t, outside, "secret", "x")
	recorded := record(t, dir)
	sh(t, dir, "rm -r etc/kubernetes; ln -s "+outside+" etc/kubernetes")
	o := observe(t, dir, recorded)
	for subject := range o.Facts {
		if strings.Contains(subject, "secret") {
			t.Errorf("%s was read outside of the root", subject)
		}
	}
	if diff := cmp.Diff([]string{"etc /etc/kubernetes: link, supported dir"}, found(o)); diff != "" {
		t.Error(diff)
	}
}

// The test becomes pid 1 of a host whose root is a tmpfs, and mounts over it.
func TestMountsOverProtectedPaths(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/mnt", "-t", "tmpfs", "tmpfs")
	for _, dir := range []string{"proc", "tmp", "elsewhere"} {
		if err := os.Mkdir("/mnt/"+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	hosttest.Mount(t, "/mnt/proc", "-t", "proc", "proc")
	writeNode(t, "/mnt")
	if err := errors.Join(unix.Chroot("/mnt"), os.Chdir("/")); err != nil {
		t.Fatal(err)
	}
	recorded := record(t, "/")
	if got := recorded["/etc/kubernetes (mount)"]; !strings.HasPrefix(got, "tmpfs point=/ subtree=/ inode=") {
		t.Fatalf("recorded %q", got)
	}
	for _, c := range []struct {
		name, source, at, fstype string
		flags                    uintptr
		want                     string
	}{
		{"tmpfs over a directory", "tmpfs", "/etc/kubernetes", "tmpfs", 0,
			"etc /etc/kubernetes (mount): on tmpfs mounted at /etc/kubernetes, supported on tmpfs mounted at /"},
		{"bind over a directory", "/elsewhere", "/etc/kubernetes", "", unix.MS_BIND,
			"etc /etc/kubernetes (mount): on tmpfs mounted at /etc/kubernetes (its /elsewhere), supported on tmpfs mounted at /"},
		{"bind over a file", "/elsewhere/config", "/etc/kubernetes/kubelet.conf", "", unix.MS_BIND,
			"etc /etc/kubernetes/kubelet.conf: mounted over, supported not mounted over"},
		{"tmpfs over a directory below", "tmpfs", "/etc/kubernetes/pki", "tmpfs", 0,
			"etc /etc/kubernetes/pki: mounted over, supported not mounted over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := unix.Mount(c.source, c.at, c.fstype, c.flags, "mode=755"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{c.want}, found(observe(t, "/", recorded))); diff != "" {
				t.Error(diff)
			}
			if err := unix.Unmount(c.at, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			if o := observe(t, "/", recorded); len(o.Findings) > 0 {
				t.Errorf("it does not clear: %v", found(o))
			}
		})
	}
	t.Run("another directory under the same name", func(t *testing.T) {
		if err := errors.Join(os.CopyFS("/copy", os.DirFS("/etc/kubernetes")), os.Rename("/etc/kubernetes", "/old"), os.Rename("/copy", "/etc/kubernetes")); err != nil {
			t.Fatal(err)
		}
		want := "etc /etc/kubernetes (mount): another directory under the same name, supported the directory that was recorded"
		if got := found(observe(t, "/", recorded)); !slices.Contains(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

func TestDeviceNumbersCountWithinOneBoot(t *testing.T) {
	dir := node(t)
	boot := func(id, device, source, inode string) {
		hosttest.Write(t, dir, "proc/sys/kernel/random/boot_id", id+"\n")
		hosttest.Write(t, dir, "proc/1/mountinfo", "22 1 "+device+" / / rw - "+inode+" "+source+" rw\n")
	}
	boot("boot-1", "254:0", "/dev/vda", "ext4")
	recorded := record(t, dir)
	boot("boot-2", "259:3", "/dev/nvme0n1p1", "ext4")
	if o := observe(t, dir, recorded); len(o.Findings) > 0 {
		t.Errorf("a new boot hands out other device names: %v", found(o))
	}
	boot("boot-1", "259:3", "/dev/nvme0n1p1", "ext4")
	if o := observe(t, dir, recorded); len(o.Findings) != 2 || !strings.Contains(found(o)[0], "on device 259:3 /dev/nvme0n1p1, supported on device 254:0 /dev/vda") {
		t.Errorf("another device in one boot: %v", found(o))
	}
	boot("boot-2", "254:0", "/dev/vda", "xfs")
	if o := observe(t, dir, recorded); len(o.Findings) != 2 {
		t.Errorf("another file system: %v", found(o))
	}
}

func TestRemoteFileSystemIsNotRead(t *testing.T) {
	dir := node(t)
	hosttest.Write(t, dir, "proc/1/mountinfo", "22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:50 / /etc/kubernetes rw - nfs4 server:/x rw\n")
	o := observe(t, dir, nil)
	if len(o.Gaps) != 1 || o.Gaps[0].Subject != "/etc/kubernetes" || o.Gaps[0].Operation != "etc" {
		t.Errorf("gaps %+v", o.Gaps)
	}
	if _, read := o.Facts["/etc/kubernetes/kubelet.conf"]; read {
		t.Error("a file on a network file system was read")
	}
}

func TestHostileNames(t *testing.T) {
	dir := node(t)
	recorded := record(t, dir)
	for _, name := range []string{"new\nline", "bad\xff", "\x1b[31m", "{subject}"} {
		if err := os.WriteFile(filepath.Join(dir, "etc/kubernetes", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`etc /etc/kubernetes/\x1b[31m: new file, supported absent`,
		`etc /etc/kubernetes/bad\xff: new file, supported absent`,
		`etc /etc/kubernetes/new\x0aline: new file, supported absent`,
		`etc /etc/kubernetes/{subject}: new file, supported absent`,
	}
	if diff := cmp.Diff(want, found(observe(t, dir, recorded))); diff != "" {
		t.Error(diff)
	}
}

func TestHugeSparseFileIsBounded(t *testing.T) {
	dir := node(t)
	huge := filepath.Join(dir, "etc/kubernetes/huge")
	if err := os.WriteFile(huge, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Skipf("the file system under %s has no files of 1 TiB: %v", dir, err)
	}
	recorded := record(t, dir)
	if got := recorded["/etc/kubernetes/huge"]; !strings.Contains(got, "size=1099511627776 modified=") {
		t.Errorf("recorded %q", got)
	}
	sh(t, dir, "printf x | dd of=etc/kubernetes/huge conv=notrunc status=none")
	if o := observe(t, dir, recorded); len(o.Findings) != 1 {
		t.Errorf("a write to it was not noticed: %v", found(o))
	}
}

func TestUnreadableIsAGap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("taking capabilities away needs root")
	}
	dir := node(t)
	t.Setenv("NODEGUARD_TEST_TREE", dir)
	sh(t, dir, "chmod 0 etc/kubernetes/pki etc/kubernetes/kubelet.conf; chown -R 1:1 etc/kubernetes/pki etc/kubernetes/kubelet.conf")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := hosttest.Run(t, "setpriv", "--bounding-set", "-dac_override,-dac_read_search", self, "-test.run=^TestLookWithoutOverride$", "-test.v")
	for _, want := range []string{
		"gap /etc/kubernetes/kubelet.conf: permission denied; run as root (CAP_DAC_READ_SEARCH)\n",
		"gap /etc/kubernetes/pki: permission denied; run as root (CAP_DAC_READ_SEARCH)\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in %s", want, out)
		}
	}
	if strings.Contains(out, "missing") {
		t.Errorf("what could not be read is reported missing: %s", out)
	}
}

// TestLookWithoutOverride is the half of TestUnreadableIsAGap that looks.
func TestLookWithoutOverride(t *testing.T) {
	dir := os.Getenv("NODEGUARD_TEST_TREE")
	if dir == "" {
		return
	}
	recorded := baseline.Scope{
		"/etc/kubernetes": "dir mode=0755 owner=0:0", "/etc/kubernetes/pki": "dir mode=0755 owner=0:0",
		"/etc/kubernetes/pki/ca.crt": "file", "/etc/kubernetes/kubelet.conf": "file",
	}
	o := observe(t, dir, recorded)
	for _, g := range o.Gaps {
		t.Log("gap " + g.Subject + ": " + g.Reason + "; " + g.Hint)
	}
	t.Log(found(o))
}

func TestUnreadIsAddedLater(t *testing.T) {
	dir := node(t)
	recorded := record(t, dir)
	recorded["/etc/kubernetes/kubelet.conf"] = baseline.Unread
	delete(recorded, "/var/lib/kubelet")
	o := observe(t, dir, recorded)
	if len(o.Findings) > 0 {
		t.Errorf("found %v", found(o))
	}
	if n := recorded.AddFresh(o.Facts); n == 0 || recorded["/etc/kubernetes/kubelet.conf"] == baseline.Unread || recorded["/var/lib/kubelet"] == "" {
		t.Errorf("added %d: %v", n, recorded)
	}
}

func TestOnePlaceCountsOnce(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "usr/lib/kubelet.service", "x")
	sh(t, dir, "ln -s usr/lib lib")
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	rule := []drift.Bound[paths.Rule]{{Operation: "unit", Rule: paths.Rule{Paths: []string{"/usr/lib/kubelet.service", "/lib/kubelet.service"}}}}
	facts := paths.New(root, rule, nil, nil).Observe(context.Background(), nil).Facts
	if len(facts) != 1 {
		t.Errorf("facts %v", facts)
	}
}

func TestCancelledLookIsAGap(t *testing.T) {
	root, err := host.Open(node(t))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := paths.New(root, rules, baseline.Scope{"/etc/kubernetes": "dir mode=0755 owner=0:0", "/etc/kubernetes/kubelet.conf": "file"}, nil).Observe(ctx, nil)
	if len(o.Findings) > 0 || len(o.Gaps) == 0 {
		t.Errorf("found %v, gaps %v", found(o), o.Gaps)
	}
}

// A profile or an operation that leaves takes paths of its own with it: what their
// mounts were recorded as is no content of the path around them.
func TestAPathThatHasNoRuleAnyMore(t *testing.T) {
	dir := node(t)
	scope := record(t, dir)
	scope["/etc/kubernetes/pki (mount)"] = "ext4 point=/ subtree=/ inode=7 device=8:1 source=/dev/sda1 boot=b"
	if got := found(observe(t, dir, scope)); len(got) > 0 {
		t.Errorf("without its rule: %v", got)
	}
	scope["/etc/kubernetes/pki/x (mount)"] = "file mode=0644 owner=0:0 links=1"
	sh(t, dir, "rm etc/kubernetes/pki/ca.crt")
	want := []string{"etc /etc/kubernetes/pki/ca.crt: missing, supported present", "etc /etc/kubernetes/pki/x (mount): missing, supported present"}
	if diff := cmp.Diff(want, found(observe(t, dir, scope))); diff != "" {
		t.Error(diff)
	}
}
