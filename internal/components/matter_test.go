package components

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

const (
	apiserver = "kind: Pod\nspec:\n  containers:\n  - name: kube-apiserver\n    image: r.io/kube-apiserver:v1.30.7\n" +
		"    command: [kube-apiserver, --advertise-address=10.0.0.1, --anonymous-auth=false, --feature-gates=A=true]\n"
	etcd = "kind: Pod\nspec:\n  containers:\n  - name: etcd\n    image: r.io/etcd:3.5\n    command: [etcd, --data-dir, /var/lib/etcd, --name=n1]\n" +
		"  volumes:\n  - {name: data, hostPath: {path: /var/lib/etcd}}\n"
	proxyOfPod = "/var/lib/kubelet/pods/1234/volumes/kubernetes.io~configmap/kube-proxy/config.conf"
)

func TestMatters(t *testing.T) {
	master := tree{"/etc/kubernetes/manifests/kube-apiserver.yaml": apiserver, "/etc/kubernetes/manifests/etcd.yaml": etcd}
	network := tree{"/etc/cni/net.d/10-calico.conflist": calico}
	settings := tree{"/opt/kubelet.yaml": "maxPods: 110\n", "/opt/kubelet": "ARGS=\"--v=2\"\nA=b\n", "/opt/spec.json": `{"a": {"b": 1}}`}
	files := "{compare: files, files: [/opt/kubelet.yaml, /opt/kubelet, /opt/spec.json, /opt/never.yaml]"
	for _, tt := range []struct {
		name   string
		rule   string
		before tree
		change tree
		want   []string
		gaps   int
	}{
		{name: "a flag of a static pod", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/kube-apiserver.yaml": strings.Replace(apiserver, "anonymous-auth=false", "anonymous-auth=true", 1),
		}, want: []string{"manifest kube-apiserver.yaml kube-apiserver --anonymous-auth: true, was false"}},
		{name: "spelling", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": "# a comment\n" + strings.Replace(etcd, "--data-dir, /var/lib/etcd", "--data-dir=/var/lib/etcd", 1),
		}},
		{name: "a data directory", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": strings.ReplaceAll(etcd, "/var/lib/etcd", "/data"),
		}, want: []string{"manifest etcd.yaml etcd --data-dir: /data, was /var/lib/etcd", "manifest etcd.yaml volume data: /data, was /var/lib/etcd"}},
		{name: "a value that is the master's own", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": strings.Replace(etcd, "name=n1", "name=n2", 1),
		}, want: []string{"manifest etcd.yaml etcd --name: n2, was n1"}},
		{name: "an image, for a rule about flags", rule: "{compare: manifests, allow: ['manifest * image']}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": strings.Replace(etcd, "3.5", "3.6", 1),
		}},
		{name: "an image, for a rule about images", rule: "{compare: manifests, keys: ['manifest * image']}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": strings.Replace(etcd, "3.5", "3.6", 1),
		}, want: []string{"manifest etcd.yaml etcd image: r.io/etcd:3.6, was r.io/etcd:3.5"}},
		{name: "an editor's backup", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml~": etcd, "/etc/kubernetes/manifests/.etcd.yaml.swp": "b0VIM",
		}, want: []string{"manifest etcd.yaml~: present, was absent"}},
		{name: "a static pod that went", rule: "{compare: manifests}", before: master, change: tree{"/etc/kubernetes/manifests/etcd.yaml": ""},
			want: []string{"manifest etcd.yaml: absent, was present"}},
		{name: "all static pods went", rule: "{compare: manifests}", before: master, change: tree{
			"/etc/kubernetes/manifests/etcd.yaml": "", "/etc/kubernetes/manifests/kube-apiserver.yaml": "",
		}, want: []string{"manifest etcd.yaml: absent, was present", "manifest kube-apiserver.yaml: absent, was present"}},
		{name: "a malformed static pod", rule: "{compare: manifests}", before: master, change: tree{"/etc/kubernetes/manifests/etcd.yaml": "a: [\n"}, gaps: 1},
		{name: "a static pod of a worker", rule: "{compare: manifests}", before: tree{"/etc/kubernetes/manifests/own.yaml": "kind: Pod\n"},
			change: tree{"/etc/kubernetes/manifests/more.yaml": "kind: Pod\n"}},
		{name: "static pods elsewhere", rule: "{compare: manifests}", before: tree{kubeletConfig: "staticPodPath: /srv/pods\n", "/srv/pods/etcd.yaml": etcd},
			change: tree{"/srv/pods/etcd.yaml": strings.Replace(etcd, "3.5", "3.6", 1)}, want: []string{"manifest etcd.yaml etcd image: r.io/etcd:3.6, was r.io/etcd:3.5"}},

		{name: "a new configuration that goes first", rule: "{compare: network}", before: network, change: tree{"/etc/cni/net.d/05-own.conf": `{"name": "own", "type": "ptp"}`},
			want: []string{
				"cni 05-own.conf: present, was absent", "network configuration: 05-own.conf, was 10-calico.conflist", "network name: own, was k8s-pod-network",
				"network plugin[0]: ptp, was calico", "network plugin[1]: unset, was portmap",
			}},
		{name: "a setting of one configuration", rule: "{compare: network, keys: ['cni *calico*']}", before: network, change: tree{
			"/etc/cni/net.d/10-calico.conflist": strings.Replace(calico, `"calico"`, `"calico", "mtu": 1400`, 1), "/etc/cni/net.d/99-own.conf": `{"type": "ptp"}`,
		}, want: []string{"cni 10-calico.conflist plugins[0].mtu: 1400, was unset"}},
		{name: "a configuration that went", rule: "{compare: network, keys: ['cni *calico*']}", before: network, change: tree{"/etc/cni/net.d/10-calico.conflist": ""},
			want: []string{"cni 10-calico.conflist: absent, was present"}},
		{name: "the network plugin comes after the node", rule: "{compare: network}", before: tree{kubeletConfig: "a: 1\n"}, change: network},

		{name: "kube-proxy's mode", rule: "{compare: proxy, keys: [kube-proxy mode]}", before: tree{proxyOfPod: "kind: KubeProxyConfiguration\nmode: ipvs\n"},
			change: tree{proxyOfPod: "kind: KubeProxyConfiguration\nmode: \"\"\nbindAddress: 0.0.0.0\n"}, want: []string{"kube-proxy mode: iptables, was ipvs"}},
		{name: "kube-proxy was replaced", rule: "{compare: proxy}", before: tree{proxyOfPod: "kind: KubeProxyConfiguration\nmode: ipvs\n"}, change: tree{proxyOfPod: ""}},

		{name: "values of files", rule: files + "}", before: settings, change: tree{
			"/opt/kubelet.yaml": "maxPods: 250\n", "/opt/kubelet": "# comment\nA=b\nARGS='--v=4'\n", "/opt/spec.json": `{"a": {"b": 2, "c": 3}}`,
		}, want: []string{
			"file /opt/kubelet --v: 4, was 2", "file /opt/kubelet.yaml maxPods: 250, was 110", "file /opt/spec.json a.b: 2, was 1", "file /opt/spec.json a.c: 3, was unset",
		}},
		{name: "keys that may differ", rule: files + ", allow: [maxPods, --v, a.*]}", before: settings, change: tree{
			"/opt/kubelet.yaml": "maxPods: 250\n", "/opt/kubelet": "A=b\nARGS='--v=4'\n", "/opt/spec.json": `{"a": {"b": 2}}`,
		}},
		{name: "files that went", rule: files + ", changes: gone}", before: settings, change: tree{"/opt/kubelet.yaml": "", "/opt/kubelet": "A=c\n"},
			want: []string{"file /opt/kubelet.yaml: absent, was present"}},
		{name: "files that came", rule: files + ", changes: gone}", before: tree{"/opt/kubelet": "A=b\n"}, change: tree{"/opt/kubelet.yaml": "a: 1\n"}},
		{name: "a malformed file, for a rule about files that went", rule: files + ", changes: gone}", before: settings, change: tree{"/opt/spec.json": "{"}},
		{name: "files that went, for a rule about values", rule: files + ", changes: values}", before: settings, change: tree{"/opt/kubelet.yaml": ""}},
		{name: "a file that a component reads", rule: "{compare: files, files: [/var/lib/kubelet/config.yaml]}", before: tree{kubeletConfig: "maxPods: 1\n"}, change: tree{kubeletConfig: "maxPods: 2\n"}},
		{name: "a malformed file", rule: files + "}", before: settings, change: tree{"/opt/spec.json": "{"}, gaps: 1},

		{name: "an insecure registry", rule: "{compare: registry}", before: tree{kubeadmFlags: containerdNode, containerdConfig: "version = 2\n"},
			change: tree{"/etc/containerd/certs.d/r.io/hosts.toml": "[host.\"https://r.io\"]\nskip_verify = true\n"}, want: []string{
				`registry r.io host."https://r.io".skip_verify: true, was unset`, `registry r.io mirror "https://r.io": present, was unset`,
			}},
		{name: "a malformed registry", rule: "{compare: registry}", before: tree{kubeadmFlags: containerdNode, containerdConfig: "version = 2\n"},
			change: tree{"/etc/containerd/certs.d/r.io/hosts.toml": "[host"}, gaps: 1},

		{name: "another runtime", rule: "{compare: runtime}", before: tree{kubeadmFlags: containerdNode, containerdConfig: "version = 2\n"},
			change: tree{kubeadmFlags: dockerNode, dockerConfig: "{}"}, want: []string{
				"runtime endpoint: /run/cri-dockerd.sock, was /run/containerd/containerd.sock", "runtime family: docker, was containerd",
			}},

		{name: "another package", rule: "{compare: packages, keys: ['package kube*']}", before: tree{packagesStatus: dpkg("kubelet=1.30.1", "vim=9", "containerd=1.7")},
			change: tree{packagesStatus: dpkg("kubelet=1.30.2", "vim=10", "emacs=30", "containerd=2.0")}, want: []string{"package kubelet: 1.30.2, was 1.30.1"}},
		{name: "packages that are none of the components'", rule: "{compare: packages}", before: tree{packagesStatus: dpkg("runc=1.1", "vim=9")},
			change: tree{packagesStatus: dpkg("runc=1.2", "vim=10", "emacs=30")}, want: []string{"package runc: 1.2, was 1.1"}},
		{name: "packages of rpm", rule: "{compare: packages}", before: tree{"/var/lib/rpm/rpmdb.sqlite": "x"}, change: tree{"/x": "y"}, gaps: 1},

		{name: "a kernel that was installed", rule: "{compare: kernel}", before: tree{"/proc/sys/kernel/osrelease": "5.10.1\n", "/lib/modules/5.10.1/modules.dep": "x"},
			change: tree{"/lib/modules/5.10.2/modules.dep": "x", "/lib/modules/5.10.2-headers/build": "x"}, want: []string{"kernel installed 5.10.2: present, was unset (pending)"}},
		{name: "another kernel", rule: "{compare: kernel}", before: tree{"/proc/sys/kernel/osrelease": "5.10.1\n"}, change: tree{"/proc/sys/kernel/osrelease": "5.10.2\n"},
			want: []string{"kernel running: 5.10.2, was 5.10.1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, root := plant(t, tt.before)
			rules := []drift.Bound[Rule]{{Operation: "x.compare", Rule: parsed(t, tt.rule)}}
			first := observe(root, rules, nil)
			recorded := baseline.ScopeOf(first.Facts, nil)
			if recorded == nil {
				recorded = baseline.Scope{}
			}
			if o := observe(root, rules, recorded); len(o.Findings) > 0 {
				t.Errorf("unchanged, but %v", said(o))
			}
			write(t, dir, tt.change)
			o := observe(root, rules, recorded)
			if diff := cmp.Diff(tt.want, said(o)); diff != "" {
				t.Errorf("findings: -want +got\n%s", diff)
			}
			if len(o.Gaps) != tt.gaps {
				t.Errorf("gaps %v", o.Gaps)
			}
			for _, f := range o.Findings {
				if !f.Baseline {
					t.Errorf("%+v is of no baseline", f)
				}
			}
			if accepted := baseline.ScopeOf(o.Facts, nil); tt.gaps == 0 {
				if again := observe(root, rules, accepted); len(again.Findings) > 0 {
					t.Errorf("accepted, but %v", said(again))
				}
			} else {
				for subject, was := range recorded {
					if accepted[subject] != was {
						t.Errorf("what could not be looked at is forgotten: %s", subject)
					}
				}
			}
		})
	}
}

// A directory that went takes its files along.
func TestDirectoryOfMattersGone(t *testing.T) {
	dir, root := plant(t, tree{"/etc/kubernetes/manifests/etcd.yaml": etcd, "/etc/cni/net.d/10-calico.conflist": calico})
	rules := []drift.Bound[Rule]{
		{Operation: "x", Rule: parsed(t, "{compare: manifests}")}, {Operation: "x", Rule: parsed(t, "{compare: network, keys: ['cni *']}")},
	}
	recorded := baseline.ScopeOf(observe(root, rules, nil).Facts, nil)
	must(t, os.RemoveAll(filepath.Join(dir, manifestsDir)))
	must(t, os.RemoveAll(filepath.Join(dir, cniDir)))
	want := []string{"cni 10-calico.conflist: absent, was present", "manifest etcd.yaml: absent, was present"}
	if diff := cmp.Diff(want, said(observe(root, rules, recorded))); diff != "" {
		t.Error(diff)
	}
}

// The Node tells what rpm would have to be asked for.
func TestPackagesOfRPMBesideANode(t *testing.T) {
	_, root := plant(t, tree{"/var/lib/rpm/rpmdb.sqlite": "x"})
	var source node.Source
	source.Set(node.Node{KubeletVersion: "v1.31.0"})
	rules := []drift.Bound[Rule]{{Operation: "x.compare", Rule: parsed(t, "{compare: packages}")}}
	if o := New(root, rules, nil).WithNode(&source, nil).Observe(t.Context(), nil); len(o.Gaps) > 0 {
		t.Errorf("%v", o.Gaps)
	}
}

// What is one master's own is in no digest that others accept.
func TestOwnFlagsAreLocal(t *testing.T) {
	_, root := plant(t, tree{"/etc/kubernetes/manifests/etcd.yaml": etcd})
	o := observe(root, []drift.Bound[Rule]{{Operation: "x", Rule: parsed(t, "{compare: manifests}")}}, nil)
	if f := o.Facts["manifest etcd.yaml etcd --name"]; !f.Local || f.Value != "n1" {
		t.Errorf("%+v", f)
	}
	if f := o.Facts["manifest etcd.yaml etcd --data-dir"]; f.Local || f.Value != "/var/lib/etcd" {
		t.Errorf("%+v", f)
	}
}

// Where rules look, changes are heard of.
func TestMattersAreWatched(t *testing.T) {
	_, root := plant(t, nil)
	var rules []drift.Bound[Rule]
	for _, text := range []string{"{compare: network}", "{compare: manifests}", "{compare: files, files: [/opt/x.yaml]}", "{policy: drivers, refused: [x]}"} {
		rules = append(rules, drift.Bound[Rule]{Operation: "x", Rule: parsed(t, text)})
	}
	watched := New(root, rules, nil).WatchedDirectories()
	for _, dir := range []string{cniDir, manifestsDir, "/opt", "/var/lib/kubelet/plugins_registry"} {
		if !slices.Contains(watched, dir) {
			t.Errorf("%s is not watched: %v", dir, watched)
		}
	}
}
