package hostconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func TestStateOfAUnit(t *testing.T) {
	const unit = "systemd-journald.service"
	for _, c := range []struct {
		load, active, want string
	}{
		{"loaded", "active", "active"}, {"loaded", "reloading", "active"}, {"loaded", "failed", "failed"}, {"not-found", "inactive", "inactive"},
		{"masked", "inactive", "masked"}, {"masked", "active", "active"},
	} {
		found := []systemd.UnitStatus{{Name: "other.service", ActiveState: "failed"}, {Name: unit, LoadState: c.load, ActiveState: c.active}}
		if got := stateOf(unit, found); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.load, c.active, got, c.want)
		}
	}
	if got := stateOf(unit, nil); got != "inactive" {
		t.Errorf("one that systemd does not know is %s", got)
	}
}

// Files tell of a unit only that it is masked, which is for the next boot.
func TestUnitsOfATree(t *testing.T) {
	rule := Rule{Look: "units", In: []string{"a.service", "b.service", "c.service"}, Supported: []string{"active"}}
	dir := tree(t, map[string]string{"usr/lib/systemd/system/a.service": "[Service]\n", "usr/lib/systemd/system/b.service": "[Service]\n", "etc/systemd/system/b.service": ""})
	o := observe(t, dir, nil, rule)
	if diff := cmp.Diff([]string{"b.service: masked, active"}, seen(o)); diff != "" || o.Findings[0].State != "pending" {
		t.Errorf("%+v\n%s", o, diff)
	}
}

// cloud-init writes the host's own name; others are the administrator's.
func TestHostsWithoutTheHostItself(t *testing.T) {
	rule := Rule{Look: "hosts", In: []string{"/etc/hosts"}, Except: []string{"localhost*"}, Compare: toBaseline}
	dir := tree(t, map[string]string{"etc/hostname": "Node-1.example.com\n", "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 node-1.example.com node-1\n10.0.0.1 node-10\n"})
	recorded := record(t, dir, rule)
	hosttest.Write(t, dir, "etc/hosts", "127.0.0.1 localhost localhost4\n10.0.0.7 node-1.example.com node-1\n10.0.0.2 node-10\n")
	if diff := cmp.Diff([]string{"/etc/hosts node-10: 10.0.0.2, 10.0.0.1"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
}

func TestRuleOfOneSystem(t *testing.T) {
	rule := Rule{Look: "settings", In: []string{"/etc/x.conf"}, OS: []string{"ubuntu"}, Refused: []string{"bad"}}
	for id, want := range map[string]int{"ubuntu": 1, `"ubuntu"`: 1, "debian": 0} {
		dir := tree(t, map[string]string{"usr/lib/os-release": "NAME=x\nID=" + id + "\n", "etc/x.conf": "a=bad\n"})
		if o := observe(t, dir, nil, rule); len(o.Findings) != want {
			t.Errorf("%s: %v", id, seen(o))
		}
	}
}

func TestTraitsOfContainers(t *testing.T) {
	const pod = `"annotations":{"io.kubernetes.cri.container-type":"%s","io.kubernetes.cri.sandbox-namespace":"a","io.kubernetes.cri.sandbox-name":"b"}`
	for _, c := range []struct{ name, kind, spec, want string }{
		{"plain", "container", `"mounts":[{"type":"bind","source":"/var/lib/kubelet/pods/x"},{"type":"bind","source":"/data"}],"linux":{"maskedPaths":["/proc/kcore"]}`, ""},
		{"privileged", "container", `"process":{"capabilities":{"effective":["CAP_SYS_ADMIN"]}}`, "privileged"},
		{"one capability", "container", `"process":{"capabilities":{"effective":["CAP_SYS_ADMIN"]}},"linux":{"maskedPaths":["/proc/kcore"]}`, ""},
		{"reads only", "container", `"mounts":[{"type":"bind","source":"/etc","options":["rbind","ro"]}]`, ""},
		{"writes", "container", `"mounts":[{"type":"bind","source":"/etc/cron.d/","options":["rw"]},{"type":"bind","source":"/run/containerd/containerd.sock"}]`, "hostPath /etc/cron.d,hostPath /run/containerd/containerd.sock"},
		{"a name that only begins so", "container", `"mounts":[{"type":"bind","source":"/etcetera"}]`, ""},
		{"a sandbox of its own", "sandbox", `"linux":{"namespaces":[{"type":"pid"},{"type":"network"}]}`, ""},
		{"the host's", "sandbox", `"linux":{"namespaces":[{"type":"mount"}]}`, "hostNetwork,hostPID"},
		{"its containers join it", "container", `"linux":{"namespaces":[{"type":"mount"}]}`, ""},
	} {
		got, err := parseBundle([]byte("{" + fmt.Sprintf(pod, c.kind) + "," + c.spec + "}"))
		if err != nil || strings.Join(got.traits, ",") != c.want {
			t.Errorf("%s: %v, %v, want %s", c.name, got.traits, err, c.want)
		}
	}
	if _, err := parseBundle([]byte(`["secret"`)); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no JSON: %v", err)
	}
}

// Shares of two or three containers say nothing, nor do those that the rule excepts.
func TestMemoryOfPods(t *testing.T) {
	rule := Rule{Look: "memory", Except: []string{"kube-system/*"}, AtMost: 100}
	files := map[string]string{"proc/meminfo": "MemTotal: 1048576 kB\n"}
	add := func(n int, namespace, kind, limit string) {
		files[fmt.Sprintf("run/containerd/io.containerd.runtime.v2.task/k8s.io/%d/config.json", n)] = fmt.Sprintf(
			`{"annotations":{"io.kubernetes.cri.container-type":%q,"io.kubernetes.cri.sandbox-namespace":%q,"io.kubernetes.cri.sandbox-name":"x"},"linux":{"maskedPaths":["x"],"resources":{"memory":{%s}}}}`, kind, namespace, limit)
	}
	for n := range 4 {
		add(n, "a", "container", `"limit":1073741824`)
		add(10+n, "kube-system", "container", `"limit":1073741824`)
		add(20+n, "a", "sandbox", "")
	}
	if o := observe(t, tree(t, files), nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%v, %v", seen(o), o.Gaps)
	}
	add(4, "a", "container", `"limit":-1`)
	if diff := cmp.Diff([]string{"memory limits: 400 % of the node's memory, at most 100"}, seen(observe(t, tree(t, files), nil, rule))); diff != "" {
		t.Error(diff)
	}
}

// On a file system of memory another boot is another directory by design.
func TestDirectoryOverBoots(t *testing.T) {
	for _, c := range []struct {
		was, now string
		want     bool
	}{
		{"dir inode=1", "dir inode=1", false}, {"dir inode=1", "dir inode=2", true},
		{"dir inode=1 boot=a", "dir inode=2 boot=a", true}, {"dir inode=1 boot=a", "dir inode=2 boot=b", false}, {"dir inode=1 boot=a", "dir inode=2", false},
		{"dir inode=1 born=7", "dir inode=1 born=8", true}, {"dir inode=1 born=7", "dir inode=1 born=7", false}, {"dir inode=1", "dir inode=1 born=8", false},
	} {
		if got := differs(c.was, c.now); got != c.want {
			t.Errorf("%s, %s: %t", c.was, c.now, got)
		}
	}
}

func TestDirectoryThatIsNone(t *testing.T) {
	rule := Rule{Look: "directory", In: []string{"/tmp/c/pos"}, Compare: toBaseline, ReplacedTier: "renewed"}
	dir := tree(t, map[string]string{"tmp/c/pos/x": "", "tmp/c/other/x": ""})
	recorded := record(t, dir, rule)
	if _, ok := recorded["/tmp/c/pos"]; !ok {
		t.Fatalf("%v", recorded)
	}
	if err := os.RemoveAll(filepath.Join(dir, "tmp/c/pos")); err != nil {
		t.Fatal(err)
	}
	o := observe(t, dir, recorded, rule)
	if diff := cmp.Diff([]string{"/tmp/c/pos: missing, present"}, seen(o)); diff != "" || len(o.Facts) > 0 {
		t.Errorf("%v %s", o.Facts, diff)
	}
	hosttest.Write(t, dir, "tmp/c/pos", "a file")
	if diff := cmp.Diff([]string{"/tmp/c/pos: file, present"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
	if err := os.Remove(filepath.Join(dir, "tmp/c/pos")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other", filepath.Join(dir, "tmp/c/pos")); err != nil {
		t.Fatal(err)
	}
	o = observe(t, dir, recorded, rule)
	if len(o.Findings) != 1 || o.Findings[0].Tier != "renewed" {
		t.Errorf("a link to another directory: %+v", o.Findings)
	}
	if o := observe(t, dir, baseline.Scope{"/tmp/c/pos": baseline.Unread}, rule); len(o.Findings) > 0 || !o.Facts["/tmp/c/pos"].Fresh {
		t.Errorf("unread when it was recorded: %+v", o)
	}
}

// A free inode is used again at once: only when it was made tells the two apart.
func TestDirectoryWithTheSameInode(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "inode32", "small")
	hosttest.Write(t, dir, "tmp/pos/x", "")
	rule := Rule{Look: "directory", In: []string{"/tmp/pos"}, Compare: toBaseline}
	recorded := record(t, dir, rule)
	was := recorded["/tmp/pos"]
	recorded["/tmp/pos"] = strings.Replace(was, "born=", "born=1", 1)
	if was == recorded["/tmp/pos"] {
		t.Skip("this kernel does not tell when a directory of tmpfs was made")
	}
	if got := seen(observe(t, dir, recorded, rule)); len(got) != 1 {
		t.Errorf("%v is another than %v", was, recorded)
	}
}

// An update of what has its version in its name is no change; another is.
func TestVersionedNames(t *testing.T) {
	rule := Rule{Look: "versioned", In: []string{"/var/lib/waagent/*-*"}, Compare: toBaseline}
	dir := tree(t, map[string]string{"var/lib/waagent/A.B-1.0.2/x": "", "var/lib/waagent/not-one/x": ""})
	recorded := record(t, dir, rule)
	if _, ok := recorded["/var/lib/waagent/not-one"]; ok {
		t.Errorf("a name without a version counts: %v", recorded)
	}
	if err := os.Rename(filepath.Join(dir, "var/lib/waagent/A.B-1.0.2"), filepath.Join(dir, "var/lib/waagent/A.B-1.10.0")); err != nil {
		t.Fatal(err)
	}
	hosttest.Write(t, dir, "var/lib/waagent/Evil.Script-2.1.10/x", "")
	if diff := cmp.Diff([]string{"/var/lib/waagent/Evil.Script: present, unset"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
	if err := os.RemoveAll(filepath.Join(dir, "var/lib/waagent/A.B-1.10.0")); err != nil {
		t.Fatal(err)
	}
	if got := seen(observe(t, dir, recorded, rule)); len(got) != 2 || got[0] != "/var/lib/waagent/A.B: missing, present" {
		t.Errorf("%v", got)
	}
}

// Who kept the node busy is no evidence; what was changed while somebody was logged
// in is, whether that is still so or not.
func TestChangesDuringALogin(t *testing.T) {
	rule := Rule{Look: "files", In: []string{"/etc/x/*"}, Compare: toBaseline, During: inSession}
	dir := tree(t, map[string]string{"etc/x/a": "1\n"})
	recorded := record(t, dir, rule)
	hosttest.Write(t, dir, "etc/x/a", "2\n")
	if o := observe(t, dir, recorded, rule); len(o.Findings) > 0 {
		t.Errorf("nobody was there: %v", seen(o))
	}
	log := append(wtmpRecord(utmpIn, "pts/0", "a", "10.0.0.9", 1), wtmpRecord(utmpOut, "pts/0", "", "", 1<<32-1)...)
	hosttest.Write(t, dir, "var/log/wtmp", string(log))
	if o := observe(t, dir, recorded, rule); len(o.Findings) != 1 {
		t.Errorf("%+v", o)
	}
}

// Docker's bridge may not cover what other routes lead to.
func TestRoutesOfATree(t *testing.T) {
	if !littleEndian {
		t.Skip("the sample is that of a little-endian machine")
	}
	rule := Rule{Look: "routes", In: []string{"bridge-overlap"}, Supported: []string{"apart"}}
	routes := "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\neth0 00000000 01001EAC 0003 0 0 0 00000000 0 0 0\ndocker0 00001EAC 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
	dir := tree(t, map[string]string{"proc/1/net/route": routes})
	if o := observe(t, dir, nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	hosttest.Write(t, dir, "proc/1/net/route", routes+"eth0 00001EAC 00000000 0001 0 0 0 00FFFFFF 0 0 0\n")
	if diff := cmp.Diff([]string{"route docker0: 172.30.0.0/16 overlaps 172.30.0.0/24 on eth0, apart"}, seen(observe(t, dir, nil, rule))); diff != "" {
		t.Error(diff)
	}
}

// A node that never had a default route, behind a proxy, has not lost one.
func TestDefaultRouteThatNeverWas(t *testing.T) {
	rule := Rule{Look: "routes", In: []string{"default"}, Keys: []string{"default"}, Compare: toBaseline, Changes: []string{removed}}
	const header = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
	dir := tree(t, map[string]string{"proc/1/net/route": header})
	recorded := record(t, dir, rule)
	if o := observe(t, dir, recorded, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	hosttest.Write(t, dir, "proc/1/net/route", header+"eth0 00000000 01001EAC 0003 0 0 0 00000000 0 0 0\n")
	if o := observe(t, dir, recorded, rule); len(o.Findings) > 0 || recorded.AddFresh(o.Facts) != 1 {
		t.Errorf("%+v", o)
	}
	hosttest.Write(t, dir, "proc/1/net/route", header)
	if diff := cmp.Diff([]string{"route default: missing, present"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
}

func TestTimeDaemonOfATree(t *testing.T) {
	rule := Rule{Look: "time-daemon", Refused: []string{"none runs", "not enabled at boot"}}
	const unit = "usr/lib/systemd/system/systemd-timesyncd.service"
	if o := observe(t, tree(t, map[string]string{"etc/.keep": ""}), nil, rule); len(o.Findings) > 0 {
		t.Errorf("none is installed: %v", seen(o))
	}
	if o := observe(t, tree(t, map[string]string{unit: "x"}), nil, rule); len(o.Findings) != 1 {
		t.Errorf("it is not enabled: %v", seen(o))
	}
	dir := tree(t, map[string]string{unit: "x", "etc/systemd/system/.keep": ""})
	if err := os.Symlink("/"+unit, filepath.Join(dir, "etc/systemd/system/dbus-org.freedesktop.timesync1.service")); err != nil {
		t.Fatal(err)
	}
	if o := observe(t, dir, nil, rule); len(o.Findings) > 0 {
		t.Errorf("enabled by its alias: %v", seen(o))
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "etc/systemd/system/systemd-timesyncd.service")); err != nil {
		t.Fatal(err)
	}
	if o := observe(t, dir, nil, rule); len(o.Findings) != 1 {
		t.Errorf("it is masked: %v", seen(o))
	}
}

// A kernel update brings another image and root; what else is on the command line,
// SELinux and the cgroup hierarchy are settings.
func TestKernelOfATree(t *testing.T) {
	rule := Rule{Look: "kernel", Compare: toBaseline}
	dir := tree(t, map[string]string{"proc/cmdline": "BOOT_IMAGE=/vmlinuz-1 root=UUID=1 ro quiet\n", "sys/fs/selinux/enforce": "1"})
	recorded := record(t, dir, rule)
	hosttest.Write(t, dir, "proc/cmdline", "BOOT_IMAGE=/vmlinuz-2 root=UUID=2 ro selinux=0\n")
	hosttest.Write(t, dir, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
	if err := os.RemoveAll(filepath.Join(dir, "sys/fs/selinux")); err != nil {
		t.Fatal(err)
	}
	want := []string{"kernel SELinux: off, enforcing", "kernel cgroup: v2, v1", "kernel command line quiet: missing, set", "kernel command line selinux: 0, unset"}
	if diff := cmp.Diff(want, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
}

// The collector's own pod on the node tells that its directory has to be there.
func TestDirectoryOfAnOwner(t *testing.T) {
	rule := Rule{Look: "directory", In: []string{"/tmp/c/pos"}, Owner: []string{"/var/log/pods/*_collector-*"}, Compare: toBaseline}
	dir := tree(t, map[string]string{"var/log/pods/kube-system_other-x_1/c/0.log": ""})
	if o := observe(t, dir, baseline.Scope{}, rule); len(o.Findings) > 0 {
		t.Errorf("its owner is not here: %v", seen(o))
	}
	hosttest.Write(t, dir, "var/log/pods/kube-system_collector-x_1/c/0.log", "")
	o := observe(t, dir, baseline.Scope{}, rule)
	if len(o.Findings) != 1 || o.Findings[0].Baseline {
		t.Errorf("%+v", o.Findings)
	}
}

// A kernel that does not tell what is built into it leaves open whether a module is.
func TestModulesOfATree(t *testing.T) {
	rule := Rule{Look: "modules", In: []string{"overlay", "ip-vs", "vxlan"}, Supported: []string{loaded}}
	files := map[string]string{"proc/sys/kernel/osrelease": "6.1.0\n", "proc/modules": "overlay 1 0 - Live 0x0\n", "sys/module/ip_vs/parameters/x": ""}
	o := observe(t, tree(t, files), nil, rule)
	if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != "kernel module vxlan" {
		t.Errorf("%v, %v", seen(o), o.Gaps)
	}
	compared := Rule{Look: "modules", In: []string{"overlay", "vxlan"}, Compare: toBaseline, Changes: []string{removed}}
	if o := observe(t, tree(t, files), baseline.Scope{}, compared); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("what never was there: %v, %v", seen(o), o.Gaps)
	}
	files["lib/modules/6.1.0/modules.builtin"] = "kernel/fs/ext4/ext4.ko\n"
	if diff := cmp.Diff([]string{"kernel module vxlan: missing, loaded"}, seen(observe(t, tree(t, files), nil, rule))); diff != "" {
		t.Error(diff)
	}
}
