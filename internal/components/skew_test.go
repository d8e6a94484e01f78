package components

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

func TestSkew(t *testing.T) {
	for _, c := range []struct{ name, kubelet, server, want string }{
		{"the same", "v1.31.2", "v1.31.2", ""},
		{"an older patch of the server", "v1.31.9", "v1.31.2", ""},
		{"the control plane was upgraded first", "v1.30.4", "v1.31.2", ""},
		{"the oldest", "v1.28.0", "v1.31.2", ""},
		{"newer", "v1.32.0", "v1.31.9", "kubelet v1.32.0, API server v1.31.9, was kubelet 1.28 to 1.31"},
		{"too old", "v1.27.16", "v1.31.2", "kubelet v1.27.16, API server v1.31.2, was kubelet 1.28 to 1.31"},
		{"an old one, the oldest", "v1.24.9", "v1.26.3", ""},
		{"an old one, three behind", "v1.24.9", "v1.27.3", "kubelet v1.24.9, API server v1.27.3, was kubelet 1.25 to 1.27"},
		{"the first that may be three behind", "v1.25.0", "v1.28.1", ""},
		{"an old one with an old server", "v1.20.1", "v1.23.1", "kubelet v1.20.1, API server v1.23.1, was kubelet 1.21 to 1.23"},

		{"suffixes of GKE", "v1.30.4-gke.1348000", "v1.33.1-gke.01", ""},
		{"suffixes of GKE, newer", "v1.30.4-gke.1348000", "v1.29.9-gke.1", "kubelet v1.30.4-gke.1348000, API server v1.29.9-gke.1, was kubelet 1.26 to 1.29"},
		{"suffixes of ACK", "v1.28.3-aliyun.1", "v1.32.1-aliyun.1", "kubelet v1.28.3-aliyun.1, API server v1.32.1-aliyun.1, was kubelet 1.29 to 1.32"},
		{"suffixes of EKS", "v1.28.13-eks-a737599", "v1.29.1-eks-abc", ""},
		{"suffixes of CCE", "v1.28.5-r0-28.0.5.4", "v1.27.2-r0-CCE23.9.1", "kubelet v1.28.5-r0-28.0.5.4, API server v1.27.2-r0-CCE23.9.1, was kubelet 1.25 to 1.27"},
		{"build metadata", "v1.27.3+k3s1", "v1.27+", ""},

		{"nobody knows the server's", "v1.31.2", "", ""},
		{"nobody knows the kubelet's", "", "v1.31.2", ""},
		{"no version", "v1.31.2", "unknown", ""},
		{"no version of the kubelet", "1", "v1.31.2", ""},
		{"another Kubernetes", "v1.31.2", "v2.0.0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, root := plant(t, tree{"/var/lib/dpkg/status": "Package: kubelet\nStatus: install ok installed\nVersion: 1.99.0\n"})
			var source node.Source
			source.Set(node.Node{KubeletVersion: c.kubelet, APIServerVersion: c.server})
			o := New(root, []drift.Bound[Rule]{{Operation: "x.skew", Rule: parsed(t, "{skew: supported}")}}, nil).WithNode(&source, nil).Observe(t.Context(), nil)
			var want []string
			if c.want != "" {
				want = []string{versionSkew + ": " + c.want}
			}
			if diff := cmp.Diff(want, said(o)); diff != "" || len(o.Gaps)+len(o.Facts) > 0 {
				t.Errorf("%s%v %v", diff, o.Gaps, o.Facts)
			}
			for _, f := range o.Findings {
				if f.Baseline || f.Explains || f.Tier != Skewed || f.Operation != "x.skew" {
					t.Errorf("%+v", f)
				}
			}
		})
	}
}

func TestSkewWithoutACluster(t *testing.T) {
	_, root := plant(t, tree{kubeadmFlags: containerdNode})
	o := observe(root, []drift.Bound[Rule]{{Operation: "x.skew", Rule: parsed(t, "{skew: supported}")}}, nil)
	if len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%v %v", o.Findings, o.Gaps)
	}
}
