package components

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
)

const (
	containerdNode = `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///run/containerd/containerd.sock"` + "\n"
	dockerNode     = `KUBELET_KUBEADM_ARGS="--container-runtime-endpoint=unix:///var/run/cri-dockerd.sock"` + "\n"
	calico         = `{"name": "k8s-pod-network", "plugins": [{"type": "calico"}, {"type": "portmap"}]}`
	cni            = "{policy: network, keys: [network plugin*], supported: [calico, flannel, portmap, bandwidth], want: calico or flannel}"
	suffix         = "{policy: release, keys: [kubelet release], supported: ['v*-acme.*'], unlessLabels: [external=true]}"
	noDocker       = "{policy: runtime, keys: [runtime family], refused: [docker], from: '1.24'}"
	rotation       = "{component: docker, policy: parameters, required: [log-opts.max-size], flag: --log-opt.max-size, runtime: docker, when: {log-driver: [unset, json-file]}}"
	imageAge       = `{policy: labels, keys: [label image], age: '(20\d{2})\.?(\d{2})\.(\d{2})(?:\.\d+)?$', atMost: 90}`
	alpha          = "{policy: gates, alpha: {AllAlpha: '', Old: '1.30', New: '1.33'}}"
	readOnly       = `{component: kubelet, policy: parameters, keys: [readOnlyPort, "--read-only-port"], flag: --read-only-port, supported: ["0"]}`
	noCRI          = "{component: containerd, policy: parameters, keys: ['disabled_plugins*'], refused: [cri], runtime: containerd}"
	garbage        = "{component: kubelet, policy: parameters, keys: [imageGCHighThresholdPercent], atLeast: 60, atMost: 95}"
)

func parsed(t *testing.T, text string) Rule {
	t.Helper()
	var r Rule
	if err := yaml.UnmarshalWithOptions([]byte(text), &r, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r
}

func dpkg(packages ...string) string {
	text := ""
	for _, p := range packages {
		name, version, _ := strings.Cut(p, "=")
		text += "Package: " + name + "\nStatus: install ok installed\nVersion: " + version + "\n\n"
	}
	return text
}

func daysAgo(n int) string { return time.Now().AddDate(0, 0, -n).Format("200601.02") + ".0" }

func ended(days int) string {
	return "{policy: release, keys: [kubelet release], ends: {'1.28': '2025-01-31', '1.30': '" + time.Now().UTC().AddDate(0, 0, -days).Format(time.DateOnly) + "'}}"
}

func TestPolicies(t *testing.T) {
	of := func(n node.Node) *node.Node { return &n }
	for _, tt := range []struct {
		name  string
		rule  string
		files tree
		node  *node.Node
		want  []string
		gaps  []string
	}{
		{name: "the network plugin that is supported", rule: cni, files: tree{
			"/etc/cni/net.d/10-calico.conflist": calico, "/etc/cni/net.d/calico-kubeconfig": "apiVersion: v1\n",
			"/etc/cni/net.d/05-cilium.conflist.cilium_bak": `{"plugins": [{"type": "cilium-cni"}]}`,
		}},
		{name: "another one that goes first", rule: cni, files: tree{
			"/etc/cni/net.d/10-calico.conflist": calico, "/etc/cni/net.d/05-own.conf": `{"name": "own", "type": "macvlan"}`,
		}, want: []string{"network plugin[0]: macvlan, was calico or flannel"}},
		{name: "another one that goes last", rule: cni, files: tree{
			"/etc/cni/net.d/10-calico.conflist": calico, "/etc/cni/net.d/99-own.conf": `{"name": "own", "type": "macvlan"}`,
		}},
		{name: "a malformed one, which the runtime passes over", rule: cni, files: tree{
			"/etc/cni/net.d/10-calico.conflist": calico, "/etc/cni/net.d/05-own.conf": `{"type": `,
		}},
		{name: "the runtime's own directory", rule: cni, files: tree{
			kubeadmFlags: containerdNode, "/etc/cni/net.d/10-calico.conflist": calico, "/etc/own/10.conf": `{"type": "ptp"}`,
			containerdConfig: "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\n  conf_dir = \"/etc/own\"\n",
		}, want: []string{"network plugin[0]: ptp, was calico or flannel"}},
		{name: "no network yet", rule: cni, files: tree{kubeadmFlags: containerdNode}},

		{name: "the provider's build", rule: suffix, node: of(node.Node{KubeletVersion: "v1.31.2-acme.1", Labels: map[string]string{"a": "b"}})},
		{name: "older than the API server, as during every upgrade", rule: suffix, node: of(node.Node{KubeletVersion: "v1.29.2-acme.4", Labels: map[string]string{}})},
		{name: "the upstream build", rule: suffix, node: of(node.Node{KubeletVersion: "v1.31.2", Labels: map[string]string{}}),
			want: []string{"kubelet release: v1.31.2, was v*-acme.*"}},
		{name: "a node from elsewhere", rule: suffix, node: of(node.Node{KubeletVersion: "v1.31.2", Labels: map[string]string{"external": "true"}})},
		{name: "labels that nobody knows", rule: suffix, files: tree{packagesStatus: dpkg("kubelet=1.31.2-1.1")}},
		{name: "the package of another repository", rule: suffix, files: tree{
			packagesStatus: dpkg("kubelet=1:1.31.2-1.1"), "/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--node-labels=a=b\n",
		}, want: []string{"kubelet release: v1.31.2-1.1, was v*-acme.*"}},
		{name: "a package that was removed", rule: suffix, files: tree{
			packagesStatus: "Package: kubelet\nStatus: deinstall ok config-files\nVersion: 1.31.2\n", "/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--node-labels=a=b\n",
		}},

		{name: "support that has not ended", rule: ended(-10), node: of(node.Node{KubeletVersion: "v1.30.4-acme.1"})},
		{name: "the last day", rule: ended(0), node: of(node.Node{KubeletVersion: "v1.30.4-acme.1"})},
		{name: "support that has ended", rule: ended(400), node: of(node.Node{KubeletVersion: "v1.28.4"}),
			want: []string{"kubelet release: v1.28.4, was a version that is supported; this one was until 2025-01-31"}},
		{name: "older than all of the table", rule: ended(-10), node: of(node.Node{KubeletVersion: "v1.16.4"}), want: []string{"kubelet release: v1.16.4, was a version that is supported"}},
		{name: "newer than all of the table", rule: ended(-10), node: of(node.Node{KubeletVersion: "v1.40.1"})},
		{name: "newer than a table that is too old", rule: ended(10), node: of(node.Node{KubeletVersion: "v1.40.1"}), gaps: []string{"kubelet release: until when 1.40 is supported is not known"}},
		{name: "a version that nobody knows", rule: ended(-10)},

		{name: "containerd", rule: noDocker, node: of(node.Node{KubeletVersion: "v1.30.1", ContainerRuntimeVersion: "containerd://1.7.22"}), files: tree{dockerConfig: "{}"}},
		{name: "docker", rule: noDocker, node: of(node.Node{KubeletVersion: "v1.24.0", ContainerRuntimeVersion: "docker://20.10.7"}), want: []string{"runtime family: docker, was not docker"}},
		{name: "docker, when it was supported", rule: noDocker, node: of(node.Node{KubeletVersion: "v1.23.17", ContainerRuntimeVersion: "docker://20.10.7"})},
		{name: "docker, as the host tells", rule: noDocker, files: tree{kubeadmFlags: dockerNode, dockerConfig: "{}", packagesStatus: dpkg("kubelet=1.28.1-00")}, want: []string{"runtime family: docker, was not docker"}},
		{name: "docker, with a kubelet that nobody knows", rule: noDocker, files: tree{kubeadmFlags: dockerNode, dockerConfig: "{}"}},
		{name: "a kubelet without a runtime that is known", rule: noDocker, files: tree{kubeletConfig: kubeletYAML, packagesStatus: dpkg("kubelet=1.28.1")}},

		{name: "log rotation", rule: rotation, files: tree{kubeadmFlags: dockerNode, dockerConfig: `{"log-opts": {"max-size": "10m"}}`}},
		{name: "no log rotation", rule: rotation, files: tree{kubeadmFlags: dockerNode, dockerConfig: `{}`}, want: []string{"docker daemon.json log-opts.max-size: unset, was set"}},
		{name: "a driver that rotates by itself", rule: rotation, files: tree{kubeadmFlags: dockerNode, dockerConfig: `{"log-driver": "local"}`}},
		{name: "a docker that the kubelet does not use", rule: rotation, files: tree{kubeadmFlags: containerdNode, dockerConfig: `{}`}},
		{name: "a docker that is not there", rule: "{component: docker, policy: parameters, required: [log-opts.max-size]}", files: tree{kubeletConfig: "a: 1\n"}},
		{name: "a containerd that serves docker alone", rule: noCRI, files: tree{
			kubeadmFlags: dockerNode, dockerConfig: "{}", containerdConfig: "disabled_plugins = [\"cri\"]\n",
		}},
		{name: "a containerd without CRI that the kubelet uses", rule: noCRI, files: tree{kubeadmFlags: containerdNode, containerdConfig: "disabled_plugins = [\"cri\"]\n"},
			want: []string{"containerd disabled_plugins[0]: cri, was not cri"}},
		{name: "a configuration that cannot be read", rule: rotation, files: tree{kubeadmFlags: dockerNode, dockerConfig: `{`},
			want: nil, gaps: []string{"docker daemon.json: /etc/docker/daemon.json: not valid JSON at line 1, column 1"}},

		{name: "an image of last month", rule: imageAge, node: of(node.Node{Labels: map[string]string{"image": "Ubuntu-2204-" + daysAgo(30)}})},
		{name: "an image of last year", rule: imageAge, files: tree{"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--node-labels=image=Ubuntu-2204gen2-202405.20.0\n"},
			want: []string{"label image: Ubuntu-2204gen2-202405.20.0, was at most 90 days old"}},
		{name: "an image with the older form of date", rule: imageAge, node: of(node.Node{Labels: map[string]string{"image": "Ubuntu-1804-2022.01.07"}}),
			want: []string{"label image: Ubuntu-1804-2022.01.07, was at most 90 days old"}},
		{name: "an image without a date", rule: imageAge, node: of(node.Node{Labels: map[string]string{"image": "Windows-2022-20348.2113.231115"}})},

		{name: "alpha gates", rule: alpha, node: of(node.Node{KubeletVersion: "v1.31.0"}), files: tree{
			kubeletConfig: "featureGates: {AllAlpha: true, Old: true, New: true, Other: true}\n",
		}, want: []string{"feature gate AllAlpha: true, was off", "feature gate New: true, was off"}},
		{name: "alpha gates that are off", rule: alpha, node: of(node.Node{KubeletVersion: "v1.31.0"}), files: tree{kubeletConfig: "featureGates: {AllAlpha: false, New: false}\n"}},
		{name: "the file goes before the flag", rule: alpha, node: of(node.Node{KubeletVersion: "v1.31.0"}), files: tree{
			kubeletConfig: "featureGates: {New: false}\n", "/etc/default/kubelet": "A=--feature-gates=New=true,AllAlpha=true\n",
		}, want: []string{"feature gate AllAlpha: true, was off"}},
		{name: "alpha gates of a kubelet that nobody knows", rule: alpha, files: tree{kubeletConfig: "featureGates: {AllAlpha: true, New: true}\n"}, want: []string{"feature gate AllAlpha: true, was off"}},

		{name: "a range", rule: garbage, files: tree{kubeletConfig: "imageGCHighThresholdPercent: 85\n"}},
		{name: "above a range", rule: garbage, files: tree{kubeletConfig: "imageGCHighThresholdPercent: 96\n"}, want: []string{"kubelet config imageGCHighThresholdPercent: 96, was 60 to 95"}},
		{name: "below a range", rule: garbage, files: tree{kubeletConfig: "imageGCHighThresholdPercent: 59\n"}, want: []string{"kubelet config imageGCHighThresholdPercent: 59, was 60 to 95"}},
		{name: "the flag goes before the file", rule: readOnly, files: tree{kubeletConfig: "readOnlyPort: 10255\n", "/etc/default/kubelet": "A=--read-only-port=0\n"}},
		{name: "the flag is the wrong one", rule: readOnly, files: tree{kubeletConfig: "readOnlyPort: 0\n", "/etc/default/kubelet": "A=--read-only-port=10255\n"},
			want: []string{"kubelet /etc/default/kubelet --read-only-port: 10255, was 0"}},

		{name: "pods within the limit", rule: "{policy: pods, supported: [within the limit]}", files: tree{
			kubeletConfig: "maxPods: 2\n", "/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/x": "1",
			"/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2.slice/x": "1",
		}},
		{name: "more pods than the limit", rule: "{policy: pods, supported: [within the limit]}", node: of(node.Node{MaxPods: 1}), files: tree{
			"/sys/fs/cgroup/kubepods.slice/kubepods-pod1.slice/x":                                    "1",
			"/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2.slice/x": "1",
		}, want: []string{"pods running: 2, 1 are allowed, was within the limit"}},

		{name: "more pods than the limit, with cgroupfs", rule: "{policy: pods, supported: [within the limit]}", files: tree{
			kubeletConfig: "maxPods: 2\n", "/sys/fs/cgroup/kubepods/pod1/x": "1", "/sys/fs/cgroup/kubepods/burstable/pod2/x": "1", "/sys/fs/cgroup/kubepods/besteffort/pod3/x": "1",
		}, want: []string{"pods running: 3, 2 are allowed, was within the limit"}},

		{name: "the sandbox's image", rule: "{policy: sandbox, supported: [present]}", files: tree{
			kubeadmFlags: strings.Replace(dockerNode, "--", "--pod-infra-container-image=docker.io/library/pause:3 --", 1), dockerConfig: "{}",
			"/var/lib/docker/image/overlay2/repositories.json": `{"Repositories": {"pause": {"pause:3": "sha256:1"}}}`,
		}},
		{name: "the sandbox's image is gone", rule: "{policy: sandbox, supported: [present]}", files: tree{
			kubeadmFlags: strings.Replace(dockerNode, "--", "--pod-infra-container-image=r.io/pause:3 --", 1), dockerConfig: `{"data-root": "/data"}`,
			"/data/image/overlay2/repositories.json": `{"Repositories": {"r.io/pause": {"r.io/pause:2": "sha256:1"}}}`,
		}, want: []string{"sandbox image r.io/pause:3: missing, was present"}},
		{name: "the sandbox's image with containerd", rule: "{policy: sandbox, supported: [present]}", files: tree{
			kubeadmFlags: strings.Replace(containerdNode, "--", "--pod-infra-container-image=r.io/pause:3 --", 1), containerdConfig: "version = 2\n",
			"/var/lib/docker/image/overlay2/repositories.json": `{"Repositories": {}}`,
		}},

		{name: "drivers", rule: "{policy: drivers, supported: ['*.acme.com']}", files: tree{
			"/var/lib/kubelet/plugins_registry/disk.acme.com-reg.sock": "1", "/var/lib/kubelet/plugins_registry/gpu.sock": "1",
			"/var/lib/kubelet/plugins/disk.acme.com/csi.sock": "1", "/var/lib/kubelet/plugins/nfs/csi.sock": "1", "/var/lib/kubelet/plugins/kubernetes.io/x": "1",
		}, want: []string{"csi driver nfs: nfs, was *.acme.com"}},
		{name: "docker beside containerd", rule: "{policy: runtime, keys: [runtime beside it], refused: ['docker*']}", files: tree{
			kubeadmFlags: containerdNode, containerdConfig: "disabled_plugins = [\"cri\"]\n", "/lib/systemd/system/docker.service": "[Service]\n",
		}, want: []string{"runtime beside it: docker, installed, was not docker*"}},
		{name: "docker and its own containerd", rule: "{policy: runtime, keys: [runtime beside it], refused: ['docker*']}", files: tree{
			kubeadmFlags: dockerNode, dockerConfig: "{}", "/lib/systemd/system/docker.service": "[Service]\n", containerdConfig: "disabled_plugins = [\"cri\"]\n",
		}},
		{name: "a mirror", rule: `{policy: registry, keys: ['registry * mirror "*bad.io*'], refused: ["*"], want: another}`, files: tree{
			kubeadmFlags: containerdNode, containerdConfig: "version = 2\n",
			"/etc/containerd/certs.d/docker.io/hosts.toml": "[host.\"https://user:secret@bad.io\"]\n[host.\"https://good.io\"]\n",
		}, want: []string{`registry docker.io mirror "https://bad.io": present, was another`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, root := plant(t, tt.files)
			var source node.Source
			if tt.node != nil {
				source.Set(*tt.node)
			}
			rules := []drift.Bound[Rule]{{Operation: "x.policy", Rule: parsed(t, tt.rule)}}
			o := New(root, rules, nil).WithNode(&source, nil).Observe(t.Context(), nil)
			if diff := cmp.Diff(tt.want, said(o)); diff != "" {
				t.Errorf("findings: -want +got\n%s", diff)
			}
			var gaps []string
			for _, g := range o.Gaps {
				gaps = append(gaps, g.Subject+": "+g.Reason)
			}
			if diff := cmp.Diff(tt.gaps, gaps); diff != "" {
				t.Errorf("gaps: -want +got\n%s", diff)
			}
			for _, f := range o.Findings {
				if f.Baseline || f.Operation != "x.policy" {
					t.Errorf("%+v", f)
				}
			}
			if o.Facts != nil {
				t.Errorf("a policy records %v", o.Facts)
			}
		})
	}
}

const packagesStatus = "/var/lib/dpkg/status"

func TestPolicyRuleValidate(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{"{policy: network}", "policy wants one of"},
		{"{policy: weather, refused: [rain]}", `policy: "weather" is none of parameters, drivers, files, gates, `},
		{"{compare: gates}", `compare: "gates" is none of parameters, files, kernel, `},
		{"{compare: network, refused: [x]}", "only policy judges values"},
		{"{compare: network, component: kubelet}", "component: of compare and policy only parameters are a component's"},
		{"{compare: files}", "files: the matter files reads some"},
		{"{compare: network, files: [/x]}", "files: the matter files reads some"},
		{"{compare: files, files: [x/../y]}", "files: a path is not absolute and clean"},
		{"{compare: files, files: [/x], changes: some}", `changes: "some" is neither`},
		{"{policy: network, refused: [x], changes: gone}", "changes: only compare knows what was there"},
		{"{policy: release, ends: {'1.30': soon}}", "ends: 1.30: soon is no minor version with a date"},
		{"{policy: release, ends: {'1.30.1': '2026-01-02'}}", "ends: 1.30.1: "},
		{"{policy: labels, age: x, atMost: 3}", `age: "x" is no regular expression with three groups`},
		{"{policy: labels, age: '(a)(b)(c)', refused: [x]}", "age: atMost days are missing"},
		{"{policy: gates, alpha: {X: soon}}", `alpha: X: "soon" is no minor version`},
		{"{policy: parameters, refused: [x], flag: max-pods}", `flag: "max-pods" does not begin with --`},
		{"{policy: parameters, required: [x]}", "required: whose settings?"},
		{"{policy: parameters, refused: [x], when: {a: [b]}}", "when: whose settings?"},
		{"{policy: runtime, refused: [x], from: v1.30}", `from: "v1.30" is no minor version`},
		{"{policy: runtime, refused: [x], runtime: crio}", `runtime: "crio" is neither`},
		{"{binary: unreplaced, from: '1.30'}", "belong to compare and policy"},
		{"{binary: unreplaced, keys: [x]}", "only compare and policy have keys"},
	} {
		var r Rule
		if err := yaml.UnmarshalWithOptions([]byte(tt.rule), &r, yaml.Strict()); err != nil {
			t.Fatal(err)
		}
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Validate() = %v, want %q in it", tt.rule, err, tt.want)
		}
	}
}

// What the process runs with is judged once, not also the file that it came from; a
// file that came later waits for a restart.
func livePolicy(t *testing.T, root *host.Root) {
	write(t, "/", tree{"/etc/default/kubelet": "A=--read-only-port=10255\n"})
	kubelet := start(t, false, with(kubeletArgs, "--read-only-port=10255")...)
	proxy := start(t, false, "/usr/bin/kube-proxy", "--proxy-mode=nftables")
	rules := []drift.Bound[Rule]{
		{Operation: "x.policy", Rule: parsed(t, readOnly)}, {Operation: "x.policy", Rule: parsed(t, "{policy: proxy, keys: [kube-proxy mode], supported: [ipvs, iptables]}")},
	}
	want := []string{"kube-proxy mode: nftables, was ipvs or iptables", "kubelet --read-only-port: 10255, was 0"}
	if diff := cmp.Diff(want, said(observe(root, rules, nil))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	proxy.stop(t)
	kubelet.stop(t)

	write(t, "/", tree{"/etc/default/kubelet": "", "/etc/kube-proxy.yaml": "kind: KubeProxyConfiguration\nmode: ''\n"})
	kubelet = start(t, false, kubeletArgs...)
	proxy = start(t, false, "/usr/bin/kube-proxy", "--config=/etc/kube-proxy.yaml")
	if got := said(observe(root, rules, nil)); len(got) > 0 {
		t.Errorf("in support, but %v", got)
	}
	writeLate(t, root, tree{kubeletConfig: kubeletYAML + "readOnlyPort: 10255\n", "/etc/kube-proxy.yaml": "kind: KubeProxyConfiguration\nmode: nftables\n"})
	want = []string{"kube-proxy mode: nftables, was ipvs or iptables (pending)", "kubelet config readOnlyPort: 10255, was 0 (pending)"}
	if diff := cmp.Diff(want, said(observe(root, rules, nil))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	proxy.stop(t)
	kubelet.stop(t)
	write(t, "/", worker())
}
