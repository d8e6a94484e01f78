package volumes

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
)

func TestMain(m *testing.M) {
	if code, child := probe.Child(os.Args, probe.Tasks{probe.StatMounts: probe.Stat}); child {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

const (
	podA = "0a1b2c3d-0000-4000-8000-00000000000a"
	podB = "0a1b2c3d-0000-4000-8000-00000000000b"
	// systemRoot is the node's own disk, which the kubelet's directory is on.
	systemRoot = "20 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"
)

// tree is a directory that stands in for a host.
type tree struct {
	t       testing.TB
	dir     string
	mounted []string
	next    int
}

func newTree(t testing.TB) *tree {
	return &tree{t: t, dir: t.TempDir(), mounted: []string{systemRoot}, next: 100}
}

func (h *tree) write(name, content string) *tree {
	h.t.Helper()
	name = filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func (h *tree) mkdir(name string) *tree {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Join(h.dir, name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func (h *tree) link(name, to string) *tree {
	h.t.Helper()
	h.mkdir(filepath.Dir(name))
	if err := os.Symlink(to, filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
	return h
}

// mount adds a line to the host's mountinfo.
func (h *tree) mount(device, root, point, fstype, options, super string) *tree {
	h.mounted = append(h.mounted, line(len(h.mounted)+21, device, root, point, fstype, options, super))
	return h
}

func line(id int, device, root, point, fstype, options, super string) string {
	return fmt.Sprintf("%d 20 %s %s %s %s shared:1 - %s /dev/source %s", id, device, root, point, options, fstype, super)
}

// csi adds a published CSI volume and returns its mount point.
func (h *tree) csi(kubelet, uid, pv, lifecycle string) string {
	h.t.Helper()
	at := filepath.Join(kubelet, "pods", uid, "volumes", csi, pv)
	h.write(filepath.Join(at, volumeData), published(h.t, pv, lifecycle))
	h.mkdir(filepath.Join(at, csiTarget))
	return filepath.Join(at, csiTarget)
}

// published is what the kubelet writes of a CSI volume.
func published(tb testing.TB, pv, lifecycle string) string {
	tb.Helper()
	data, err := json.Marshal(map[string]string{
		"specVolID": pv, "volumeHandle": "d-" + pv, "driverName": "disk.example.com", "volumeLifecycleMode": lifecycle,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

// running adds a running container of a pod, with its mounts.
func (h *tree) running(uid, comm string, mounts ...string) *tree {
	h.next++
	at := fmt.Sprintf("/proc/%d", h.next)
	h.write(at+"/cgroup", fmt.Sprintf("0::/kubepods/burstable/pod%s/%064d\n", uid, h.next))
	h.write(at+"/comm", comm+"\n")
	return h.write(at+"/mountinfo", strings.Join(mounts, "\n")+"\n")
}

func (h *tree) named(uid, namespace, name string) *tree {
	return h.mkdir(filepath.Join(podLogs, namespace+"_"+name+"_"+uid))
}

func (h *tree) check(recorded baseline.Scope, rules ...Rule) drift.Observation {
	h.t.Helper()
	h.write("/proc/1/mountinfo", strings.Join(h.mounted, "\n")+"\n")
	root, err := host.Open(h.dir)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = root.Close() })
	var bound []drift.Bound[Rule]
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			h.t.Fatal(err)
		}
		bound = append(bound, drift.Bound[Rule]{Operation: r.Find, Rule: r})
	}
	return New(root, bound, nil, recorded).Observe(h.t.Context(), nil)
}

// said is each finding in a line.
func said(o drift.Observation) []string {
	out := []string{}
	for _, f := range o.Findings {
		out = append(out, strings.Join([]string{f.Operation, f.Tier, f.Subject, f.Observed}, "|"))
	}
	for _, g := range o.Gaps {
		out = append(out, strings.Join([]string{"gap", g.Operation, g.Subject, g.Reason}, "|"))
	}
	return out
}

func wants(t *testing.T, o drift.Observation, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), said(o)); diff != "" {
		t.Error(diff)
	}
}

const kubelet = "/var/lib/kubelet"

// inside is a container's mount of the volume's disk, bareIn of the directory below it.
func inside(point string) string {
	return line(50, "253:16", "/", point, "ext4", "rw", "rw")
}

func bareIn(root, point string) string {
	return line(51, "253:1", root, point, "ext4", "rw", "rw")
}

func TestUnmounted(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(h *tree)
		want []string
	}{
		{"mounted", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:16", "/", at, "ext4", "rw", "rw").running(podA, "app", inside("/data"))
		}, nil},
		{"unmounted on the host, still there in the container", func(h *tree) {
			h.csi(kubelet, podA, "pv1", "Persistent")
			h.running(podA, "app", inside("/data"))
		}, []string{"unmounted|host|shop/db-0 pv1|not mounted"}},
		{"missing in a container that was started since", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.running(podA, "app", bareIn(at, "/data"))
		}, []string{"unmounted||shop/db-0 pv1|a running container has the node's own disk at /data"}},
		{"mounted again, which does not help the container", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:16", "/", at, "ext4", "rw", "rw").running(podA, "app", bareIn(at, "/data"))
		}, []string{"unmounted||shop/db-0 pv1|a running container has the node's own disk at /data"}},
		{"a subPath of it", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.running(podA, "app", bareIn(at+"/sub/dir", "/data"))
		}, []string{"unmounted||shop/db-0 pv1|a running container has the node's own disk at /data"}},
		{"before 1.22 no lifecycle was written", func(h *tree) {
			h.csi(kubelet, podA, "pv1", "")
			h.running(podA, "app", inside("/data"))
		}, []string{"unmounted|host|shop/db-0 pv1|not mounted"}},
		{"volumes that live with their pod need not be mounts", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Ephemeral")
			h.running(podA, "app", bareIn(at, "/data"))
		}, nil},
		{"the pod starts: only its sandbox runs", func(h *tree) {
			h.csi(kubelet, podA, "pv1", "Persistent")
			h.running(podA, "pause")
		}, nil},
		{"the pod has ended", func(h *tree) { h.csi(kubelet, podA, "pv1", "Persistent") }, nil},
		{"the kubelet has taken the directory away", func(h *tree) {
			h.write(filepath.Join(kubelet, "pods", podA, "volumes", csi, "pv1", volumeData), `{"driverName":"d"}`).running(podA, "app")
		}, nil},
		{"what is no mount", func(h *tree) {
			for _, name := range []string{"kubernetes.io~empty-dir/cache", "kubernetes.io~configmap/conf", "kubernetes.io~secret/s", "kubernetes.io~git-repo/r"} {
				h.mkdir(filepath.Join(kubelet, "pods", podA, "volumes", name))
			}
			h.mkdir(filepath.Join(kubelet, "pods", podA, "volumeDevices/kubernetes.io~csi/pv9"))
			h.running(podA, "app")
		}, nil},
		{"flexvolume and the kubelet's own plugins", func(h *tree) {
			for _, name := range []string{"alicloud~disk/d-1", "kubernetes.io~nfs/nas", "kubernetes.io~local-volume/l"} {
				h.mkdir(filepath.Join(kubelet, "pods", podA, "volumes", name))
			}
			h.running(podA, "app")
		}, []string{"unmounted|host|shop/db-0 d-1|not mounted", "unmounted|host|shop/db-0 l|not mounted", "unmounted|host|shop/db-0 nas|not mounted"}},
		{"a kubelet directory behind a link", func(h *tree) {
			h.link(kubelet, "/mnt/paas/kubernetes/kubelet")
			h.csi("/mnt/paas/kubernetes/kubelet", podA, "pv1", "Persistent")
			at := h.csi("/mnt/paas/kubernetes/kubelet", podA, "pv2", "Persistent")
			h.mount("253:16", "/", at, "ext4", "rw", "rw").running(podA, "app", inside("/data"))
		}, []string{"unmounted|host|shop/db-0 pv1|not mounted"}},
		{"a kubelet directory on a disk of its own", func(h *tree) {
			h.mount("253:32", "/kubelet", kubelet, "ext4", "rw", "rw")
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.running(podA, "app", line(51, "253:32", strings.Replace(at, kubelet, "/kubelet", 1), "/data", "ext4", "rw", "rw"))
		}, []string{"unmounted||shop/db-0 pv1|a running container has the node's own disk at /data"}},
		{"names with spaces and line feeds", func(h *tree) {
			h.csi(kubelet, podA, "a b\nc", "Persistent")
			at := h.csi(kubelet, podA, "d e", "Persistent")
			h.mount("253:16", "/", strings.ReplaceAll(at, " ", `\040`), "ext4", "rw", "rw").running(podA, "app")
		}, []string{`unmounted|host|shop/db-0 a b\x0ac|not mounted`}},
		{"mounted from the bare directory of all pods", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:1", kubelet+"/plugins/kubernetes.io/csi/pv/pv1/globalmount", at, "ext4", "rw", "rw").running(podA, "app", inside("/data"))
		}, []string{"unmounted|host|shop/db-0 pv1|the node's own disk is mounted"}},
		{"the same since 1.24", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:1", kubelet+"/plugins/kubernetes.io/csi/disk.example.com/"+fmt.Sprintf("%x", sha256.Sum256([]byte("d-pv1")))+"/globalmount", at, "ext4", "rw", "rw").running(podA, "app", inside("/data"))
		}, []string{"unmounted|host|shop/db-0 pv1|the node's own disk is mounted"}},
		{"volumes that are directories of the node", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:1", "/var/lib/csi-data/pv1", at, "ext4", "rw", "rw").running(podA, "app", bareIn("/var/lib/csi-data/pv1", "/data"))
		}, nil},
		{"the mounts of a node plugin", func(h *tree) {
			at := h.csi(kubelet, podA, "pv1", "Persistent")
			h.mount("253:16", "/", at, "ext4", "rw", "rw").running(podA, "app", inside("/data"))
			h.csi(kubelet, podB, "pv2", "Persistent")
			h.running(podB, "pause").running(podB, "csi-plugin", bareIn(kubelet, kubelet), bareIn("/", "/host"))
		}, []string{"unmounted|host|pod " + podB + " pv2|not mounted"}},
		{"half a vol_data.json", func(h *tree) {
			h.csi(kubelet, podA, "pv1", "Persistent")
			h.write(filepath.Join(kubelet, "pods", podA, "volumes", csi, "pv1", volumeData), "{").running(podA, "app")
		}, []string{"gap|||" + kubelet + "/pods/" + podA + ": pv1/vol_data.json is not what the kubelet writes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTree(t).named(podA, "shop", "db-0")
			c.make(h)
			wants(t, h.check(nil, Rule{Find: unmounted}), c.want...)
		})
	}
}

// What changes while a look is under way: the pod ends and the kubelet unmounts its
// volumes, or takes their directories away. Neither is a finding.
func TestTeardownMeanwhile(t *testing.T) {
	at := filepath.Join(kubelet, "pods", podA, "volumes", csi, "pv1")
	for name, change := range map[string]func(h *tree){
		"nothing":                      func(*tree) {},
		"the container has ended":      func(h *tree) { h.remove("/proc/101") },
		"its pid is another's":         func(h *tree) { h.write("/proc/101/cgroup", "0::/user.slice\n") },
		"the directory is gone":        func(h *tree) { h.remove(at + "/mount") },
		"all of the pod's are gone":    func(h *tree) { h.remove(filepath.Join(kubelet, "pods", podA)) },
		"another container was sooner": func(h *tree) { h.running(podA, "second").remove("/proc/101") },
	} {
		for _, rule := range []Rule{{Find: unmounted}, {Find: unmounting}} {
			h := newTree(t)
			for _, pv := range []string{"pv1", "pv2", "pv3"} {
				h.csi(kubelet, podA, pv, "Persistent")
			}
			h.running(podA, "app").check(nil, rule)
			root, err := host.Open(h.dir)
			if err != nil {
				t.Fatal(err)
			}
			j := &judge{scene: look(root), operation: "op", rule: rule}
			change(h)
			j.find()
			_ = root.Close()
			missing := map[string]int{"nothing": 3, "the directory is gone": 2}[name]
			if rule.Find == unmounting && missing > 0 {
				missing = 1
			}
			if len(j.findings) != missing {
				t.Errorf("%s: %s finds %v", name, rule.Find, said(drift.Observation{Findings: j.findings}))
			}
		}
	}
}

// A device that goes with its pod is none that was detached.
func TestDetachMeanwhile(t *testing.T) {
	h, _ := disk1(t, "rw", "rw")
	h.check(nil, Rule{Find: detached})
	root, err := host.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	j := &judge{scene: look(root), rule: Rule{Find: detached}}
	h.remove(sysBlock + "/253:16").remove("/proc/101")
	if j.find(); len(j.findings) > 0 {
		t.Errorf("%+v", j.findings)
	}
}

func TestDriversWhoseVolumesAreDisks(t *testing.T) {
	h := newTree(t).named(podA, "shop", "db-0")
	at := h.csi(kubelet, podA, "pv1", "Persistent")
	h.mount("253:1", "/tmp/x", at, "ext4", "rw", "rw").running(podA, "app")
	wants(t, h.check(nil, Rule{Find: unmounted, Disks: []string{"disk.*"}}), "unmounted|host|shop/db-0 pv1|the node's own disk is mounted")
	wants(t, h.check(nil, Rule{Find: unmounted, Disks: []string{"nas.*"}}))
	wants(t, h.check(nil, Rule{Find: unmounted, Drivers: []string{"nas.*"}, Disks: []string{"disk.*"}}))
}

func TestRunningByCgroup(t *testing.T) {
	slice := "kubepods-besteffort-pod" + strings.ReplaceAll(podA, "-", "_") + ".slice"
	static := "pod" + strings.Repeat("ab", 16)
	for _, c := range []struct{ path, uid, container string }{
		{"/kubepods/besteffort/pod" + podA + "/c1", podA, "c1"},
		{"/kubepods/pod" + podA + "/c1/inner", podA, "c1"},
		{"/kubepods.slice/kubepods-besteffort.slice/" + slice + "/cri-containerd-c1.scope", podA, "c1"},
		{"/kubepods.slice/" + slice + "/crio-conmon-c1.scope", podA, "c1"},
		{"/kubelet.slice/kubelet-kubepods.slice/kubelet-" + slice + "/cri-containerd-c1.scope/init.scope", podA, "c1"},
		{"/../../pod" + podA + "/c1", podA, "c1"},
		{"/kubepods/burstable/" + static + "/c1", static[3:], "c1"},
		{"/kubepods/besteffort/pod" + podA, "", ""},
		{"/user.slice/podman-123.scope", "", ""},
		{"/machine.slice/libpod-" + strings.Repeat("ab", 32) + ".scope/container", "", ""},
	} {
		uid, container, _ := parseCgroup(c.path)
		if uid != c.uid || container != c.container {
			t.Errorf("%s: %q %q", c.path, uid, container)
		}
	}
	for name, cgroup := range map[string]string{
		"v1":     "9:name=systemd:/kubepods/pod" + podA + "/c\n4:memory:/kubepods/pod" + podA + "/c\n",
		"hybrid": "4:memory:/\n1:cpu:/\n0::/kubepods/pod" + podA + "/c\n",
		"v2":     "0::/kubepods.slice/" + slice + "/cri-containerd-c.scope\n",
	} {
		h := newTree(t)
		h.csi(kubelet, podA, "pv1", "Persistent")
		h.write("/proc/77/cgroup", cgroup).write("/proc/77/comm", "app\n").write("/proc/77/mountinfo", "")
		wants(t, h.check(nil, Rule{Find: unmounted}), "unmounted|host|pod "+podA+" pv1|not mounted")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// disk1 is a tree with one mounted disk of a running pod.
func disk1(t *testing.T, options, super string) (h *tree, at string) {
	h = newTree(t).named(podA, "shop", "db-0")
	at = h.csi(kubelet, podA, "pv1", "Persistent")
	h.mount("253:16", "/", at, "ext4", options, super).running(podA, "app", inside("/data"))
	h.mkdir("/sys/devices/pci0/virtio1/block/vdb").link(sysBlock+"/253:16", "../../devices/pci0/virtio1/block/vdb")
	h.mkdir("/sys/devices/pci0/virtio0/block/vda/vda1").link(sysBlock+"/253:1", "../../devices/pci0/virtio0/block/vda/vda1")
	return h, at
}

func TestDetached(t *testing.T) {
	for _, c := range []struct {
		name           string
		options, super string
		make           func(h *tree)
		want           string
	}{
		{"healthy", "rw", "rw", func(*tree) {}, ""},
		{"gone", "rw", "rw", func(h *tree) { h.remove(sysBlock + "/253:16") }, "detached||shop/db-0 pv1|device 253:16 is gone"},
		{"offline", "rw", "rw", func(h *tree) { h.write(sysBlock+"/253:16/device/state", "offline\n") }, "detached||shop/db-0 pv1|device 253:16 is offline"},
		{"running", "rw", "rw", func(h *tree) { h.write(sysBlock+"/253:16/device/state", "running\n") }, ""},
		{"read-only after an error", "rw,relatime", "rw,emergency_ro", func(*tree) {}, "detached||shop/db-0 pv1|the file system became read-only"},
		{"the same on older kernels", "rw,relatime", "ro", func(*tree) {}, "detached||shop/db-0 pv1|the file system became read-only"},
		{"mounted read-only", "ro,relatime", "ro", func(*tree) {}, ""},
		{"a read-only use of it", "ro,relatime", "rw", func(*tree) {}, ""},
		{"shut down", "rw", "rw,shutdown", func(*tree) {}, "detached||shop/db-0 pv1|the file system has shut down"},
		{"recorded errors", "rw", "rw", func(h *tree) { h.write("/sys/fs/ext4/vdb/errors_count", "3\n") }, "detached|errors|shop/db-0 pv1|the file system has recorded errors"},
		{"no errors", "rw", "rw", func(h *tree) { h.write("/sys/fs/ext4/vdb/errors_count", "0\n") }, ""},
		{"multipath with a path", "rw", "rw", func(h *tree) {
			h.remove(sysBlock+"/253:16").mkdir("/sys/devices/virtual/block/dm-0/slaves").link(sysBlock+"/253:16", "../../devices/virtual/block/dm-0")
			h.link("/sys/devices/virtual/block/dm-0/slaves/sda", "/sys/devices/pci0/virtio1/block/vdb")
		}, ""},
		{"multipath without one", "rw", "rw", func(h *tree) {
			h.remove(sysBlock+"/253:16").mkdir("/sys/devices/virtual/block/dm-0/slaves").link(sysBlock+"/253:16", "../../devices/virtual/block/dm-0")
			h.link("/sys/devices/virtual/block/dm-0/slaves/sda", "/sys/block/gone")
		}, "detached||shop/db-0 pv1|device 253:16 has no disk under it"},
		{"gone with its pod", "rw", "rw", func(h *tree) { h.remove(sysBlock + "/253:16").remove("/proc/101") }, ""},
		{"a tree without devices", "rw", "rw", func(h *tree) { h.remove("/sys") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := disk1(t, c.options, c.super)
			c.make(h)
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			wants(t, h.check(nil, Rule{Find: detached}), want...)
		})
	}
}

func (h *tree) remove(name string) *tree {
	if err := os.RemoveAll(filepath.Join(h.dir, name)); err != nil {
		h.t.Fatal(err)
	}
	return h
}

func TestForeign(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(h *tree, at string)
		want []string
	}{
		{"the kubelet's own mounts", func(h *tree, at string) {
			h.mount("253:16", "/", kubelet+"/plugins/kubernetes.io/csi/d/x/globalmount", "ext4", "rw", "rw")
			h.mount("253:16", "/sub", kubelet+"/pods/"+podA+"/volume-subpaths/pv1/app/0", "ext4", "rw", "rw")
		}, nil},
		{"mounted by hand", func(h *tree, _ string) { h.mount("253:16", "/", `/mnt/a\040b`, "ext4", "rw", "rw") },
			[]string{"foreign|mounted|shop/db-0 pv1 at /mnt/a b|also mounted at /mnt/a b"}},
		{"mounted by Kata Containers", func(h *tree, _ string) {
			h.mount("253:16", "/", "/run/kata-containers/shared/x", "ext4", "rw", "rw")
		}, nil},
		{"formatted", func(h *tree, _ string) { h.write("/run/udev/data/b253:16", "S:x\nE:ID_FS_TYPE=xfs\n") },
			[]string{"foreign||shop/db-0 pv1|the device has xfs on it"}},
		{"partitioned", func(h *tree, _ string) { h.write("/run/udev/data/b253:16", "E:ID_PART_TABLE_TYPE=gpt\n") },
			[]string{"foreign||shop/db-0 pv1|the device has a partition table on it"}},
		{"grown by its driver", func(h *tree, _ string) {
			h.write("/run/udev/data/b253:16", "E:ID_FS_TYPE=ext4\nE:ID_PART_TABLE_TYPE=gpt\n")
		}, nil},
		{"an older ext", func(h *tree, _ string) { h.write("/run/udev/data/b253:16", "E:ID_FS_TYPE=ext3\n") }, nil},
		{"covered", func(h *tree, at string) { h.mount("0:44", "/", at, "tmpfs", "rw", "rw") },
			[]string{"foreign|covered|shop/db-0 pv1|covered by another mount"}},
		{"mounted twice", func(h *tree, at string) { h.mount("253:16", "/", at, "ext4", "rw", "rw") },
			[]string{"foreign|doubled|shop/db-0 pv1|mounted twice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, at := disk1(t, "rw", "rw")
			c.make(h, at)
			wants(t, h.check(nil, Rule{Find: foreign, Except: []string{"/run/kata-containers/*"}}), c.want...)
		})
	}
}

// A directory of a disk that the node has anyway is no disk of the volume's own.
func TestVolumesOnDisksOfTheNode(t *testing.T) {
	h := newTree(t).named(podA, "shop", "db-0")
	at := h.csi(kubelet, podA, "pv1", "Persistent")
	h.mount("253:16", "/", "/data", "ext4", "rw", "rw").mount("253:16", "/pv1", at, "ext4", "rw", "rw")
	local := filepath.Join(kubelet, "pods", podA, "volumes/kubernetes.io~local-volume/l")
	h.mkdir(local).mount("253:32", "/", "/mnt/disks/ssd1", "ext4", "rw", "rw").mount("253:32", "/", local, "ext4", "rw", "rw")
	h.running(podA, "app")
	wants(t, h.check(nil, Rule{Find: foreign}, Rule{Find: shared}, Rule{Find: unmounted}))
}

func TestShared(t *testing.T) {
	two := func(options string) *tree {
		h, _ := disk1(t, options, "rw")
		at := h.csi(kubelet, podB, "pv1", "Persistent")
		return h.named(podB, "shop", "db-1").mount("253:16", "/", at, "ext4", options, "rw").running(podB, "app", inside("/data"))
	}
	wants(t, two("rw").check(nil, Rule{Find: shared}), "shared||pv1|used by shop/db-0, shop/db-1")
	wants(t, two("ro").check(nil, Rule{Find: shared}))
	wants(t, two("rw").remove("/proc/102").check(nil, Rule{Find: shared}))
	// Another one takes over: started a minute ago, of an uptime of two.
	young := two("rw").write("/proc/uptime", "120.00 1.00\n").write("/proc/102/stat", "102 (a) b) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 6000 0 0\n")
	wants(t, young.check(nil, Rule{Find: shared, After: 5 * time.Minute}))
	wants(t, young.check(nil, Rule{Find: shared, After: 30 * time.Second}), "shared||pv1|used by shop/db-0, shop/db-1")
}

func TestDeletedOnTheServer(t *testing.T) {
	h := newTree(t).named(podA, "shop", "web")
	at := filepath.Join(kubelet, "pods", podA, "volumes/kubernetes.io~nfs/nas")
	h.mkdir(at).mount("0:55", "/exports/web//deleted", at, "nfs4", "rw", "rw").running(podA, "app")
	wants(t, h.check(nil, Rule{Find: deleted, Types: []string{"nfs*"}}), "deleted||shop/web nas|its directory was deleted")
	wants(t, h.check(nil, Rule{Find: deleted, Types: []string{"cifs"}}))
	wants(t, h.check(nil, Rule{Find: hung, After: time.Second}))
}

func TestSystemDisk(t *testing.T) {
	rule := Rule{
		Find: systemDisk, Except: []string{"/var/log*", "/run*", "/etc*", "/var/lib/containerd/*"}, ExceptNamespaces: []string{"kube-system"},
		Directories: []string{"/var/lib/containerd", "/var/lib/absent"},
	}
	data := func(t *testing.T) *tree {
		h := newTree(t).named(podA, "shop", "db-0").named(podB, "kube-system", "agent")
		h.csi(kubelet, podA, "pv1", "Persistent")
		local := filepath.Join(kubelet, "pods", podA, "volumes/kubernetes.io~local-volume/l")
		h.mkdir("/var/lib/containerd").mkdir(local).mount("253:1", "/opt/l", local, "ext4", "rw", "rw")
		h.running(podA, "app", bareIn("/srv/mysql", "/data"), bareIn("/var/log/app", "/log"), line(7, "253:1", "/srv/conf", "/conf", "ext4", "ro", "rw"),
			bareIn(kubelet+"/pods/"+podA+"/etc-hosts", "/etc/hosts"), bareIn("/var/lib/containerd/x/resolv.conf", "/etc/resolv.conf"), inside("/pv"))
		return h.running(podB, "agent", bareIn("/srv/agent", "/srv")).running(podA, "second", bareIn("/srv/mysql", "/backup"))
	}
	wants(t, data(t).check(nil, rule), "system-disk|single-disk|shop/db-0 /srv/mysql|on the system disk", "system-disk|single-disk|shop/db-0 l|on the system disk")
	other := data(t).mount("253:32", "/", "/data", "ext4", "rw", "rw")
	wants(t, other.check(nil, rule), "system-disk|runtime|/var/lib/containerd|on the system disk",
		"system-disk||shop/db-0 /srv/mysql|on the system disk", "system-disk||shop/db-0 l|on the system disk")
	// Another partition of the system disk is reset with it; a loop device is a file on it.
	part := data(t).mount("253:2", "/", "/data", "ext4", "rw", "rw").mount("7:0", "/", "/snap/x", "squashfs", "ro", "ro")
	for _, name := range []string{"vda1", "vda2"} {
		part.mkdir("/sys/devices/pci0/block/vda/"+name).link(sysBlock+"/253:"+name[3:], "../../devices/pci0/block/vda/"+name)
	}
	wants(t, part.check(nil, rule), "system-disk|single-disk|shop/db-0 /srv/mysql|on the system disk", "system-disk|single-disk|shop/db-0 l|on the system disk")
	// LVM over a partition of it, too.
	lvm := data(t).mount("252:0", "/", "/data", "xfs", "rw", "rw")
	lvm.mkdir("/sys/devices/pci0/block/vda/vda1").link(sysBlock+"/253:1", "../../devices/pci0/block/vda/vda1").link(sysBlock+"/253:3", "../../devices/pci0/block/vda/vda3")
	lvm.link(sysBlock+"/252:0", "../../devices/virtual/block/dm-0").write("/sys/block/dm-0/slaves/vda3/x", "").write("/sys/class/block/vda3/dev", "253:3\n")
	wants(t, lvm.check(nil, rule), "system-disk|single-disk|shop/db-0 /srv/mysql|on the system disk", "system-disk|single-disk|shop/db-0 l|on the system disk")
}

func TestInitContainer(t *testing.T) {
	privileged := "Name:\tsystemd\nNSpid:\t101\t1\nCapEff:\t000001ffffffffff\n"
	for _, c := range []struct {
		name, status, users string
		want                []string
	}{
		{"privileged", privileged, "         0          0 4294967295\n", []string{"unmounting|init|shop/db-0|a privileged container runs systemd as its first process"}},
		{"without the right to unmount", strings.Replace(privileged, "000001ffffffffff", "00000000a80425fb", 1), "", nil},
		{"in a user namespace", privileged, "0 100000 65536\n", nil},
		{"not the first process", strings.Replace(privileged, "\t1\n", "\t7\n", 1), "", nil},
		{"of the host's own pids", strings.Replace(privileged, "101\t1", "101", 1), "", nil},
		{"another program", strings.Replace(privileged, "systemd", "tini", 1), "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newTree(t).named(podA, "shop", "db-0").running(podA, "systemd").mkdir(filepath.Join(kubelet, "pods", podA, "volumes"))
			h.write("/proc/101/status", c.status)
			if c.users != "" {
				h.write("/proc/101/uid_map", c.users)
			}
			wants(t, h.check(nil, Rule{Find: unmounting}), c.want...)
		})
	}
}

func TestMassUnmount(t *testing.T) {
	h := newTree(t)
	for _, name := range []string{"kubernetes.io~secret/s", "kubernetes.io~projected/kube-api-access", "kubernetes.io~nfs/nas", "kubernetes.io~empty-dir/cache"} {
		h.mkdir(filepath.Join(kubelet, "pods", podA, "volumes", name))
	}
	at := filepath.Join(kubelet, "pods", podA, "volumes")
	h.running(podA, "app").mount("0:44", "/", at+"/kubernetes.io~secret/s", "tmpfs", "rw", "rw")
	wants(t, h.check(nil, Rule{Find: unmounting}), "unmounting||mounts of the running pods|2 of 3 are gone")
	h.mount("0:45", "/", at+"/kubernetes.io~projected/kube-api-access", "tmpfs", "rw", "rw")
	wants(t, h.check(nil, Rule{Find: unmounting}))
}

func TestHelpers(t *testing.T) {
	rule := Rule{Find: helpers, Programs: []string{"/sbin/mount.nfs", "/sbin/mount.nfs4"}}
	h := newTree(t).write("/sbin/mount.nfs", "")
	first := h.check(nil, rule)
	wants(t, first)
	recorded := baseline.ScopeOf(first.Facts, nil)
	wants(t, h.check(recorded, rule))
	h.remove("/sbin/mount.nfs")
	o := h.check(recorded, rule)
	wants(t, o, "helpers||/sbin/mount.nfs|missing")
	if !o.Findings[0].Baseline {
		t.Error("it cannot be accepted")
	}
	if o := h.check(baseline.Scope{}, rule); len(o.Findings) > 0 || !o.Facts["/sbin/mount.nfs"].Fresh {
		t.Errorf("never recorded: %+v", o)
	}
	wants(t, h.check(baseline.Scope{"/sbin/mount.nfs": baseline.Unread}, rule))
}

func TestNothingToLookAt(t *testing.T) {
	every := []Rule{{Find: unmounted}, {Find: detached}, {Find: foreign}, {Find: shared}, {Find: deleted}, {Find: hung, After: time.Second, Everywhere: true}, {Find: systemDisk}, {Find: unmounting}}
	wants(t, newTree(t).check(nil, every...))
	root, err := host.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	wants(t, New(root, []drift.Bound[Rule]{{Rule: Rule{Find: unmounted}}}, nil, nil).Observe(t.Context(), nil))
}

func TestKubeletOnAServer(t *testing.T) {
	h := newTree(t).mount("0:60", "/", kubelet, "nfs4", "rw", "rw")
	h.csi(kubelet, podA, "pv1", "Persistent")
	h.running(podA, "app")
	wants(t, h.check(nil, Rule{Find: unmounted}), "gap||/var/lib/kubelet|it lies on a network or FUSE file system, which may never answer")
}

func TestRuleValidate(t *testing.T) {
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{}, `find: "" is none of`},
		{Rule{Find: "lost"}, `find: "lost" is none of`},
		{Rule{Find: hung}, "after: 0s is not from 1s to 30s"},
		{Rule{Find: hung, After: time.Minute}, "after: 1m0s is not from 1s to 30s"},
		{Rule{Find: shared, After: -1}, "after: -1ns is not from"},
		{Rule{Find: helpers}, "programs: helpers needs"},
		{Rule{Find: helpers, Programs: []string{"mount.nfs"}}, `path "mount.nfs" is not absolute`},
		{Rule{Find: systemDisk, Directories: []string{"/a/"}}, `path "/a/" is not absolute`},
		{Rule{Find: unmounted, Except: []string{"/a"}}, "except: find unmounted does not take it"},
		{Rule{Find: detached, Everywhere: true}, "everywhere: find detached does not take it"},
	} {
		if err := c.rule.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.rule, err, c.want)
		}
	}
}
