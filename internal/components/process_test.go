package components

import (
	"testing"

	"github.com/nodeguard/nodeguard/internal/host"
)

func TestPick(t *testing.T) {
	kubelet := host.Process{PID: 10, Comm: "kubelet", Exe: "/usr/bin/kubelet", Args: []string{"/usr/bin/kubelet"}}
	script := host.Process{PID: 9, Comm: "kubelet", Exe: "/usr/bin/bash", Args: []string{"/bin/bash", "/usr/local/bin/kubelet"}}
	renamed := host.Process{PID: 11, Comm: "kubelet", Exe: "/usr/bin/kubelet.old", Args: []string{"/usr/bin/kubelet"}}
	exited := host.Process{PID: 8, Comm: "kubelet"}
	proxy := host.Process{PID: 7, Comm: "hyperkube", Exe: "/hyperkube", Args: []string{"/hyperkube", "proxy"}}
	hyperkube := host.Process{PID: 12, Comm: "hyperkube", Exe: "/hyperkube", Args: []string{"/hyperkube", "kubelet"}}
	containerd := host.Process{PID: 20, Comm: "containerd", Exe: "/usr/bin/containerd", Args: []string{"/usr/bin/containerd"}}
	dockers := host.Process{PID: 19, Comm: "containerd", Exe: "/usr/bin/containerd", Args: []string{"containerd", "--config", "/var/run/docker/containerd/containerd.toml"}}
	k3s := host.Process{PID: 18, Comm: "containerd", Exe: "/var/lib/rancher/k3s/data/current/bin/containerd", Args: []string{"containerd", "-c", "/x"}}
	later := host.Process{PID: 30, Comm: "kubelet", Exe: "/usr/bin/kubelet", Args: []string{"kubelet"}}

	for _, tt := range []struct {
		name string
		of   Component
		all  []host.Process
		want int // pid, 0 for none
	}{
		{"none", Kubelet, []host.Process{containerd}, 0},
		{"the program before its script", Kubelet, []host.Process{script, kubelet}, 10},
		{"the oldest", Kubelet, []host.Process{kubelet, later}, 10},
		{"renamed while running", Kubelet, []host.Process{renamed}, 11},
		{"exited", Kubelet, []host.Process{exited}, 0},
		{"hyperkube", Kubelet, []host.Process{proxy, hyperkube}, 12},
		{"docker's and k3s's containerd", Containerd, []host.Process{k3s, dockers, containerd}, 20},
		{"k3s alone", Containerd, []host.Process{k3s}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := 0
			if p := pick(tt.of, tt.all); p != nil {
				got = p.PID
			}
			if got != tt.want {
				t.Errorf("pick = %d, want %d", got, tt.want)
			}
		})
	}
}
