package components

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

var driversAgree = []drift.Bound[Rule]{{Operation: "ack.new.cgroup-driver", Rule: Rule{CgroupDrivers: agree}}}

const (
	kubeletSystemd  = "cgroupDriver: systemd\n"
	kubeletCgroupfs = "cgroupDriver: cgroupfs\n"
	v2Options       = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
	v3Options       = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n"
	criDockerd      = "A=--container-runtime-endpoint=unix:///var/run/cri-dockerd.sock\n"
)

func TestCgroupDrivers(t *testing.T) {
	differ := []string{"cgroup driver: kubelet systemd, containerd cgroupfs, was the same in both"}
	other := []string{"cgroup driver: kubelet cgroupfs, containerd systemd, was the same in both"}
	for _, tt := range []struct {
		name  string
		files tree
		want  []string
	}{
		{"agree", tree{kubeletConfig: kubeletSystemd, containerdConfig: v2Options + "SystemdCgroup = true"}, nil},
		{"differ", tree{kubeletConfig: kubeletSystemd, containerdConfig: v2Options + "SystemdCgroup = false"}, differ},
		{"version 3", tree{kubeletConfig: kubeletSystemd, containerdConfig: v3Options + "SystemdCgroup = false"}, differ},
		{"version 3 agrees", tree{kubeletConfig: kubeletSystemd, containerdConfig: v3Options + "SystemdCgroup = true"}, nil},
		{"containerd's default", tree{kubeletConfig: kubeletSystemd, containerdConfig: "version = 2"}, differ},
		{"by import", tree{kubeletConfig: kubeletSystemd, containerdConfig: "imports = [\"a.toml\"]", "/etc/containerd/a.toml": v2Options + "SystemdCgroup = true"}, nil},
		{"flag before file", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: "A=--cgroup-driver=cgroupfs", containerdConfig: v2Options + "SystemdCgroup = true"}, other},
		{"drop-in before file", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: "A=--config-dir=/d", "/d/1.conf": kubeletCgroupfs, containerdConfig: v2Options + "SystemdCgroup = true"}, other},
		{"default runtime is another", tree{kubeletConfig: kubeletSystemd, containerdConfig: v2Options + "SystemdCgroup = true\n" +
			"[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"nvidia\"\n" +
			"[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.nvidia]\nruntime_type = \"io.containerd.runc.v2\"\n"}, differ},
		{"a runtime without drivers", tree{kubeletConfig: kubeletSystemd, containerdConfig: "[plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"kata\"\n" +
			"[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.kata]\nruntime_type = \"io.containerd.kata.v2\"\n"}, nil},

		{"driver from CRI", tree{kubeletConfig: kubeletSystemd + "featureGates: {KubeletCgroupDriverFromCRI: true}", containerdConfig: v2Options + "SystemdCgroup = false"}, nil},
		{"driver from CRI by flag", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: "A=--feature-gates=KubeletCgroupDriverFromCRI=true", containerdConfig: v2Options + "SystemdCgroup = false"}, nil},
		{"all alpha gates", tree{kubeletConfig: kubeletSystemd + "featureGates: {AllAlpha: true}", containerdConfig: v2Options + "SystemdCgroup = false"}, nil},
		{"the file's gate goes first", tree{kubeletConfig: kubeletSystemd + "featureGates: {KubeletCgroupDriverFromCRI: false}",
			kubeadmFlags: "A=--feature-gates=KubeletCgroupDriverFromCRI=true", containerdConfig: v2Options + "SystemdCgroup = false"}, differ},
		{"default may come from CRI", tree{kubeletConfig: "maxPods: 1", containerdConfig: v2Options + "SystemdCgroup = true"}, nil},
		{"default without the gate", tree{kubeletConfig: "featureGates: {KubeletCgroupDriverFromCRI: false}", containerdConfig: v2Options + "SystemdCgroup = true"}, other},
		{"default before the gate", tree{kubeletConfig: "maxPods: 1", kubeadmFlags: "A=--network-plugin=cni", containerdConfig: v2Options + "SystemdCgroup = true"}, other},

		{"docker differs", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: criDockerd, dockerConfig: `{"exec-opts": ["native.cgroupdriver=cgroupfs"]}`, containerdConfig: v2Options + "SystemdCgroup = true"},
			[]string{"cgroup driver: kubelet systemd, docker cgroupfs, was the same in both"}},
		{"docker agrees, its containerd does not matter", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: criDockerd, dockerConfig: `{"exec-opts": ["native.cgroupdriver=systemd"]}`, containerdConfig: "version = 2"}, nil},
		{"docker is not the kubelet's", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: kubeadmEnv, dockerConfig: `{"exec-opts": ["native.cgroupdriver=cgroupfs"]}`, containerdConfig: v2Options + "SystemdCgroup = true"}, nil},
		{"containerd for docker alone", tree{kubeletConfig: kubeletSystemd, dockerConfig: `{"exec-opts": ["native.cgroupdriver=systemd"]}`, containerdConfig: `disabled_plugins = ["cri"]`}, nil},
		{"dockershim", tree{kubeletConfig: kubeletSystemd, kubeadmFlags: "A=--container-runtime=docker", dockerConfig: `{"exec-opts": ["native.cgroupdriver=cgroupfs"]}`},
			[]string{"cgroup driver: kubelet systemd, docker cgroupfs, was the same in both"}},
		{"endpoint in the file", tree{kubeletConfig: kubeletSystemd + "containerRuntimeEndpoint: unix:///var/run/containerd/containerd.sock", containerdConfig: "version = 2"}, differ},
		{"containerd elsewhere", tree{kubeletConfig: kubeletSystemd + "containerRuntimeEndpoint: unix:///run/x.sock", containerdConfig: "version = 2\n[grpc]\naddress = \"/run/x.sock\""}, differ},
		{"another runtime", tree{kubeletConfig: kubeletSystemd + "containerRuntimeEndpoint: unix:///var/run/crio/crio.sock", containerdConfig: "version = 2"}, nil},
		{"no kubelet", tree{containerdConfig: "version = 2"}, nil},
		{"no kubelet, and a broken runtime", tree{containerdConfig: "a ="}, nil},
		{"kubelet of flags alone", tree{kubeadmFlags: "A=--cgroup-driver=systemd", containerdConfig: "version = 2"}, differ},
		{"no runtime", tree{kubeletConfig: kubeletSystemd}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, root := plant(t, tt.files)
			o := observe(root, driversAgree, nil)
			if diff := cmp.Diff(tt.want, said(o)); diff != "" || len(o.Gaps) > 0 {
				t.Error(diff, o.Gaps)
			}
			for _, f := range o.Findings {
				if f.Baseline {
					t.Error("an absolute rule cannot be accepted")
				}
			}
		})
	}
}

func TestCgroupDriversBehindAGap(t *testing.T) {
	for name, files := range map[string]tree{
		"kubelet":    {kubeletConfig: "a: [", containerdConfig: v2Options},
		"containerd": {kubeletConfig: kubeletSystemd, containerdConfig: "a ="},
	} {
		_, root := plant(t, files)
		o := observe(root, driversAgree, nil)
		if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != cgroupSubject {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
