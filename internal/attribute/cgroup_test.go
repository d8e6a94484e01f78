package attribute

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const (
	uid        = "6f1d0a52-3c1e-4b0a-9d5e-0123456789ab"
	underlined = "6f1d0a52_3c1e_4b0a_9d5e_0123456789ab"
	static     = "0123456789abcdef0123456789abcdef"
)

var (
	id    = strings.Repeat("4c5e", 16)
	other = strings.Repeat("0f", 32)
)

func TestPlacesOfEveryLayout(t *testing.T) {
	pod, inner := place{uid, id}, place{uid, other}
	for _, tt := range []struct {
		name, path string
		want       []place
	}{
		{"cgroupfs, containerd", "/kubepods/besteffort/pod" + uid + "/" + id, []place{pod}},
		{"cgroupfs, guaranteed", "/kubepods/pod" + uid + "/" + id, []place{pod}},
		{"cgroupfs, CRI-O", "/kubepods/burstable/pod" + uid + "/crio-" + id, []place{pod}},
		{"systemd, containerd", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" + underlined + ".slice/cri-containerd-" + id + ".scope", []place{pod}},
		{"systemd, CRI-O", "/kubepods.slice/kubepods-pod" + underlined + ".slice/crio-" + id + ".scope", []place{pod}},
		{"systemd, CRI-O, crun", "/kubepods.slice/kubepods-pod" + underlined + ".slice/crio-" + id + ".scope/container", []place{pod}},
		{"systemd, cri-dockerd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + underlined + ".slice/docker-" + id + ".scope", []place{pod}},
		{"CRI-O's monitor", "/kubepods.slice/kubepods-pod" + underlined + ".slice/crio-conmon-" + id + ".scope", []place{{pod: uid}}},
		{"drivers differ", "/system.slice/containerd.service/kubepods-besteffort-pod" + underlined + ".slice:cri-containerd:" + id, []place{pod}},
		{"static pod", "/kubepods/burstable/pod" + static + "/" + id, []place{{static, id}}},
		{"static pod, systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + static + ".slice/cri-containerd-" + id + ".scope", []place{{static, id}}},
		{"the pod itself", "/kubepods/burstable/pod" + uid, []place{{pod: uid}}},
		{"systemd in a container", "/kubepods/burstable/pod" + uid + "/" + id + "/system.slice/nginx.service", []place{pod}},
		{"gone", "/kubepods/burstable/pod" + uid + "/" + id + " (deleted)", []place{pod}},
		{"another pod, from a pod's namespace", "/../../../besteffort/pod" + uid + "/" + id, []place{pod}},
		{"the same pod, from its namespace", "/../cri-containerd-" + id + ".scope", []place{{container: id}}},
		{"kind, version 1", "/docker/" + other + "/kubelet/kubepods/besteffort/pod" + uid + "/" + id, []place{{container: other}, pod}},
		{"kind, systemd", "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" + underlined + ".slice/cri-containerd-" + id + ".scope", []place{pod}},
		{"a cluster in a pod", "/kubepods/pod" + static + "/" + id + "/kubelet/kubepods/pod" + uid + "/" + other, []place{{static, id}, inner}},
		{"docker", "/docker/" + id, []place{{container: id}}},
		{"docker, systemd", "/system.slice/docker-" + id + ".scope", []place{{container: id}}},
		{"podman", "/machine.slice/libpod-" + id + ".scope/container", []place{{container: id}}},
		{"podman, cgroupfs", "/libpod_parent/libpod-" + id, []place{{container: id}}},
		{"podman's monitor", "/machine.slice/libpod-conmon-" + id + ".scope", nil},
		{"ctr, nerdctl", "/default/" + id, []place{{container: id}}},
		{"a service", "/system.slice/kubelet.service", nil},
		{"a session", "/user.slice/user-0.slice/session-3.scope", nil},
		{"kubepods itself", "/kubepods.slice/kubepods-besteffort.slice", nil},
		{"the root", "/", nil},
		{"something like a pod", "/kubepods/podinfo/" + id[:63], nil},
		{"something like an id", "/kubepods/pod" + uid + "/" + strings.ToUpper(id), []place{{pod: uid}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, places(tt.path), cmp.AllowUnexported(place{})); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCgroupFileOfEveryVersion(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"2", "0::/kubepods/x\n", []string{"/kubepods/x"}},
		{"1", "4:memory:/kubepods/x\n3:cpu,cpuacct:/kubepods/x\n1:name=systemd:/y\n", []string{"/kubepods/x", "/y"}},
		{"hybrid", "4:memory:/kubepods/x\n0::/system.slice/containerd.service\n", []string{"/kubepods/x", "/system.slice/containerd.service"}},
		{"colons", "0::/a.slice:cri-containerd:1\n", []string{"/a.slice:cri-containerd:1"}},
		{"torn", "4:mem", nil},
	} {
		if diff := cmp.Diff(tt.want, cgroupPaths(tt.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNamesAreTheKubelets(t *testing.T) {
	const path = "/kubepods/besteffort/pod" + uid + "/"
	for _, tt := range []struct {
		name           string
		pods, logs     []string
		cgroups        []string
		pod, container string
	}{
		{"both", []string{"shop_web-0_" + uid, "kube-system_x_" + static}, []string{"web-0_shop_nginx-" + id + ".log"}, []string{path + id}, "shop/web-0", "nginx"},
		{"static", []string{"kube-system_etcd-cp1.example_" + static}, nil, []string{"/kubepods/pod" + static + "/" + id}, "kube-system/etcd-cp1.example", id[:12]},
		{"only the container's", nil, []string{"web-0_shop_nginx-proxy-" + id + ".log"}, []string{"/../" + id}, "shop/web-0", "nginx-proxy"},
		{"the second hierarchy tells", []string{"shop_web-0_" + uid}, nil, []string{"/", "/system.slice/x.service", path + id}, "shop/web-0", id[:12]},
		{"no names", nil, nil, []string{path + id}, uid, id[:12]},
		{"no pod", nil, nil, []string{"/docker/" + id}, "", id[:12]},
		{"no container", []string{"shop_web-0_" + uid}, []string{"a_b_c-.log"}, []string{path}, "shop/web-0", ""},
		{"the host", []string{"shop_web-0_" + uid}, nil, []string{"/system.slice/kubelet.service"}, "", ""},
		{"kind, version 1", []string{"shop_web-0_" + uid}, nil, []string{"/docker/" + other + "/kubelet" + path + id}, "shop/web-0", id[:12]},
		{"a cluster in a pod", []string{"shop_web-0_" + uid}, nil, []string{path + id + "/kubepods/pod" + static + "/" + other}, "shop/web-0", id[:12]},
		{"a cluster in an unknown pod", nil, nil, []string{path + id + "/kubepods/pod" + static + "/" + other}, uid, id[:12]},
		{"two claim it", []string{"shop_web-0_" + uid, "kube-system_coredns_" + uid}, nil, []string{path + id}, uid, id[:12]},
		{"another pod's log", []string{"shop_web-0_" + uid}, []string{"coredns_kube-system_coredns-" + id + ".log"}, []string{path + id}, "shop/web-0", id[:12]},
		{"an escape", []string{"shop_web\x1b[2J_" + uid}, []string{"web\n_shop_c-" + id + ".log"}, []string{path + id}, uid, id[:12]},
		{"too many parts", []string{"shop_web_0_" + uid}, nil, []string{path + id}, uid, id[:12]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range tt.pods {
				hosttest.Write(t, dir+podLogs, name+"/c/0.log", "")
			}
			for _, name := range tt.logs {
				hosttest.Write(t, dir+containerLogs, name, "")
			}
			pod, container := names{open(t, dir)}.of(tt.cgroups)
			if pod != tt.pod || container != tt.container {
				t.Errorf("of = %q, %q; want %q, %q", pod, container, tt.pod, tt.container)
			}
		})
	}
}

func TestFloodedLogsNameNobody(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir+podLogs, "shop_web-0_"+uid+"/c/0.log", "")
	for i := range maxLogs {
		hosttest.Write(t, dir+podLogs, strings.Repeat("x", 1+i%200)+"-"+strings.Repeat("y", 1+i/200), "")
	}
	if pod, _ := (names{open(t, dir)}).of([]string{"/kubepods/pod" + uid + "/" + id}); pod != uid {
		t.Errorf("pod = %q, want its uid", pod)
	}
}

func open(t *testing.T, dir string) *host.Root {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func FuzzPlaces(f *testing.F) {
	f.Add("/kubepods/pod" + uid + "/" + id)
	f.Add("0::/a:b\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, path := range cgroupPaths(text) {
			for _, p := range places(path) {
				if len(p.container) != 64 && len(p.container) != 0 || p.pod == "" && p.container == "" {
					t.Errorf("places(%q) has %+v", path, p)
				}
			}
		}
	})
}
