package catalog_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

const vendor = "sys/class/dmi/id/sys_vendor"

func labelled(labels ...string) *node.Node {
	n := &node.Node{Labels: map[string]string{"kubernetes.io/hostname": "n1"}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		n.Labels[key] = value
	}
	return n
}

func TestDetect(t *testing.T) {
	const (
		ackFile  = "etc/kubernetes/kubelet-customized-args.conf"
		master   = "etc/kubernetes/manifests/kube-apiserver.yaml"
		aksFile  = "opt/azure/containers/aks-log-collector.sh"
		nodepool = "alibabacloud.com/nodepool-id=np1"
	)
	for _, c := range []struct {
		name   string
		files  map[string]string
		node   *node.Node
		want   string
		reason string
	}{
		{"nothing", nil, nil, "upstream", "no provider's own file is on this host"},
		{"nothing on the Node either", nil, labelled(), "upstream", "no provider's own file is on this host and none of its labels is on the Node"},

		{"the machine alone", map[string]string{vendor: "Alibaba Cloud\n"}, nil, "upstream", "the machine is of Alibaba Cloud, which a cluster of one's own there has too: for ack use --profile ack"},
		{"EC2 alone", map[string]string{vendor: "Amazon EC2"}, labelled(), "upstream", "for eks use --profile eks"},
		{"aws:/// alone", nil, &node.Node{ProviderID: "aws:///eu-west-1a/i-0abc"}, "upstream", "the Node's providerID is of that cloud"},
		{"azure:/// alone", nil, &node.Node{ProviderID: "azure:///subscriptions/x/virtualMachines/1"}, "upstream", "for aks"},
		{"gce:// alone", nil, &node.Node{ProviderID: "gce://p/z/n", OSImage: "Container-Optimized OS from Google"}, "upstream", "for gke"},
		{"the cloud controller of Alibaba Cloud alone", nil, &node.Node{ProviderID: "cn-hangzhou.i-bp1"}, "upstream", "for ack use --profile ack"},
		{"a CSI driver's labels", nil, labelled("topology.disk.csi.qingcloud.com/zone=ap2a"), "upstream", "none of its labels"},

		{"ack by file", map[string]string{ackFile: ""}, nil, "ack", "found /etc/kubernetes/kubelet-customized-args.conf"},
		{"ack by label", nil, labelled(nodepool), "ack", "the Node has the label alibabacloud.com/nodepool-id"},
		{"a registered cluster is self-managed", nil, labelled(nodepool, "alibabacloud.com/external=true"), "upstream", "none of its labels"},
		{"a master of a dedicated cluster", map[string]string{ackFile: "", master: ""}, nil, "ack-dedicated", "found /etc/kubernetes/kubelet-customized-args.conf, and found /etc/kubernetes/manifests/kube-apiserver.yaml"},
		{"a master of one's own", map[string]string{master: ""}, nil, "upstream", "no provider's own file"},
		{"aks by file", map[string]string{aksFile: ""}, labelled(), "aks", "found /opt/azure"},
		{"aks by label", nil, labelled("kubernetes.azure.com/cluster=MC_x"), "aks", "kubernetes.azure.com/cluster"},
		{"baidu-cce", nil, labelled("instance-group-id=cce-ig-dvej1d3y"), "baidu-cce", "instance-group-id"},
		{"another's instance group", nil, labelled("instance-group-id=mine"), "upstream", "none of its labels"},
		{"cce by directory", map[string]string{"opt/cloud/cce/x": ""}, nil, "cce", "found /opt/cloud/cce"},
		{"cce by label", nil, labelled("cce.cloud.com/cce-nodepool=p"), "cce", "cce.cloud.com/cce-nodepool"},
		{"eks by file", map[string]string{"etc/eks/bootstrap.sh": ""}, nil, "eks", "found /etc/eks/bootstrap.sh"},
		{"eks by label", nil, labelled("eks.amazonaws.com/nodegroup=ng"), "eks", "eks.amazonaws.com/nodegroup"},
		{"gke", nil, labelled("cloud.google.com/gke-nodepool=p"), "gke", "cloud.google.com/gke-nodepool"},
		{"qke", map[string]string{"opt/app/current/conf/k8s/x": ""}, nil, "qke", "found /opt/app/current/conf/k8s"},
		{"tke", nil, labelled("cloud.tencent.com/node-instance-id=ins-1"), "tke", "cloud.tencent.com/node-instance-id"},
		{"uk8s", nil, labelled("node.uk8s.ucloud.cn/machine_type=O"), "uk8s", "node.uk8s.ucloud.cn/machine_type"},
		{"vke", nil, labelled("cluster.vke.volcengine.com/machinepool-name=p"), "vke", "cluster.vke.volcengine.com/machinepool-name"},

		{"two providers", map[string]string{ackFile: "", aksFile: ""}, nil, "upstream", "marks of several providers are on this node (ack: found /etc/kubernetes/kubelet-customized-args.conf; aks: found /opt/azure/containers/aks-log-collector.sh): choose with --profile"},
		{"two providers, and the machine of one", map[string]string{ackFile: "", aksFile: "", vendor: "Microsoft Corporation"}, nil, "aks", ", and the machine is of Microsoft Corporation"},
		{"two providers on another's machine", map[string]string{ackFile: "", aksFile: "", vendor: "Google"}, nil, "upstream", "choose with --profile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range slices.Sorted(maps.Keys(c.files)) {
				hosttest.Write(t, dir, file, c.files[file])
			}
			root, err := host.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			name, reason, err := load(t).Detect(root, c.node)
			if err != nil || name != c.want || !strings.Contains(reason, c.reason) {
				t.Errorf("%s because %s, %v; want %s because %s", name, reason, err, c.want, c.reason)
			}
		})
	}
}

// Every profile can be detected, or is known not to be.
func TestEveryProfileHasMarks(t *testing.T) {
	marked := catalog.MarkedForTest(t)
	for _, name := range load(t).Names() {
		if name != catalog.Upstream && name != "ccse" && !slices.Contains(marked, name) {
			t.Errorf("%s has no marks", name)
		}
	}
	for _, name := range marked {
		if _, err := load(t).Profile(name); err != nil {
			t.Errorf("marks of what is no profile: %v", err)
		}
	}
}
