package main

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// churning is a host with what the kubelet, containerd and network plugins keep there.
// Its round differs in all that they write themselves.
type churning struct {
	t    *testing.T
	root string
}

func (h churning) write(name string, round byte) {
	h.t.Helper()
	sum := sha256.Sum256([]byte{round})
	hosttest.Write(h.t, h.root, name, string(sum[:]))
}

func (h churning) remove(names ...string) {
	h.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(h.root, name)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// static is what an installer put there.
func (h churning) static() {
	for name, content := range map[string]string{
		"/etc/hostname":                         "n1\n",
		"/var/lib/kubelet/config.yaml":          "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n",
		"/var/lib/kubelet/kubeadm-flags.env":    "KUBELET_KUBEADM_ARGS=\"\"\n",
		"/etc/kubernetes/kubelet.conf":          "kind: Config\n",
		"/etc/kubernetes/manifests/proxy":       "kind: Pod\n",
		"/etc/containerd/config.toml":           "version = 2\n",
		"/etc/cni/net.d/10-bridge.conflist":     "{}",
		"/opt/cni/bin/bridge":                   "bridge",
		"/usr/bin/kubelet":                      "kubelet",
		"/var/lib/kubelet/bootstrap-kubeconfig": "kind: Config\n",
	} {
		hosttest.Write(h.t, h.root, name, content)
	}
}

// kubelet writes all that it keeps of its state.
func (h churning) kubelet(round byte) {
	const dir = "/var/lib/kubelet/"
	pod := dir + "pods/" + string('a'+rune(round)) + "0000000-0000-0000-0000-000000000000/"
	for _, name := range []string{
		"cpu_manager_state", "memory_manager_state", "dra_manager_state", "actuated_pods_state", "allocated_pods_state", "pod_status_manager_state", ".cpu_manager_state123",
		"device-plugins/kubelet_internal_checkpoint", "device-plugins/DEPRECATION", "checkpoints/123", "plugins_registry/x-reg.sock", "plugins/csi.example.com/csi.sock",
		"pod-resources/kubelet.sock", "usage/x", "image_manager/pulled/x", "tracking/x", "seccomp/x.json", "pki/kubelet-client-2026-01-01-00-00-00.pem.tmp", "lost+found/x",
	} {
		h.write(dir+name, round)
	}
	h.write(pod+"etc-hosts", round)
	h.write(pod+"volumes/kubernetes.io~projected/token/..2026/token", round)
	h.write(pod+"containers/c/1", round)
	h.rotate(round)
}

// rotate moves client and serving certificate to newer ones.
func (h churning) rotate(round byte) {
	pki := filepath.Join(h.root, "/var/lib/kubelet/pki")
	for _, prefix := range []string{"kubelet-client-", "kubelet-server-"} {
		name := prefix + "2026-01-0" + string('1'+rune(round)) + "-00-00-00.pem"
		updated := filepath.Join(pki, prefix+"updated.pem")
		h.remove("/var/lib/kubelet/pki/" + prefix + "updated.pem")
		if err := errors.Join(
			os.WriteFile(filepath.Join(pki, name), clientCertificate(h.t, "n1", 1+int(round)), 0o600),
			os.Symlink("/var/lib/kubelet/pki/"+name, updated), os.Rename(updated, filepath.Join(pki, prefix+"current.pem")),
		); err != nil {
			h.t.Fatal(err)
		}
		if err := os.Symlink("/var/lib/kubelet/pki/"+name, updated); err != nil { // the next rotation, half way
			h.t.Fatal(err)
		}
	}
}

// runtime writes what containerd and dockerd keep of theirs.
func (h churning) runtime(round byte) {
	letter := string('a' + rune(round))
	for _, name := range []string{
		"/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256/" + letter, "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
		"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/" + letter + "/fs/x", "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/" + letter + "/x",
		"/var/lib/containerd/io.containerd.runtime.v2.task/k8s.io/" + letter + "/x", "/var/lib/containerd/tmpmounts/containerd-mount" + letter + "/x", "/var/lib/containerd/opt/x",
		"/run/containerd/containerd.sock.ttrpc", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/" + letter + "/init.pid",
		"/var/lib/docker/overlay2/" + letter + "/diff/x", "/var/lib/docker/containers/" + letter + "/config.v2.json", "/var/lib/docker/network/files/local-kv.db",
	} {
		h.write(name, round)
	}
}

// network writes what network plugins keep of theirs.
func (h churning) network(round byte) {
	for _, name := range []string{
		"/var/lib/cni/networks/cbr0/10.0.0." + string('1'+rune(round)), "/var/lib/cni/networks/cbr0/last_reserved_ip.0", "/var/lib/cni/results/x" + string('a'+rune(round)),
		"/var/lib/cni/flannel/x", "/var/run/calico/x", "/var/lib/calico/nodename", "/run/flannel/subnet.env",
		"/etc/cni/net.d/calico-kubeconfig", "/etc/cni/net.d/multus.d/multus.kubeconfig", "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig",
	} {
		h.write(name, round)
	}
}

// What the components write into their own state is no drift, whoever provides the
// cluster, and no reason to say that anything cannot be told.
func TestOwnStateIsNoDrift(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range c.Names() {
		t.Run(profile, func(t *testing.T) {
			h := churning{t, t.TempDir()}
			h.static()
			h.kubelet(0)
			h.runtime(0)
			h.network(0)
			d := debian{root: h.root}
			before := d.checked(t, "--profile", profile)
			for round := byte(1); round < 4; round++ {
				h.kubelet(round)
				h.runtime(round)
				h.network(round)
				h.remove("/var/lib/kubelet/pods/"+string('a'+rune(round-1))+"0000000-0000-0000-0000-000000000000", "/var/lib/kubelet/bootstrap-kubeconfig",
					"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/"+string('a'+rune(round-1)), "/var/lib/cni/networks/cbr0/10.0.0."+string('1'+rune(round-1)))
				after := d.checked(t, "--profile", profile)
				slices.Sort(before)
				slices.Sort(after)
				if diff := cmp.Diff(before, after); diff != "" {
					t.Fatalf("round %d: %s", round, diff)
				}
			}
		})
	}
}

// A network plugin that comes up for the first time writes its configuration where there
// was none: it is told, and neither drift nor an accusation.
func TestFirstNetworkPlugin(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range c.Names() {
		t.Run(profile, func(t *testing.T) {
			h := churning{t, t.TempDir()}
			h.static()
			h.remove("/etc/cni/net.d/10-bridge.conflist") // the package brought the directory
			d := debian{root: h.root}
			before := d.checked(t, "--profile", profile)
			h.write("/etc/cni/net.d/10-calico.conflist", 1)
			h.write("/etc/cni/net.d/calico-kubeconfig", 1)
			for _, line := range d.weighing(t, "--profile", profile) {
				if !slices.Contains(before, line) {
					t.Error(line)
				}
			}
		})
	}
}
