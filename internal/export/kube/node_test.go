package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/node"
)

func TestValuesOf(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: "n1", UID: "u1", CreationTimestamp: metav1.NewTime(created.In(time.FixedZone("x", 3600))),
			Labels: map[string]string{"pool": "a"}, Annotations: map[string]string{"nodeguard.io/identity": "i", "example.com/x": "y", "node.alibabacloud.com/x": "z"},
			ManagedFields: []metav1.ManagedFieldsEntry{
				managed("kubectl-label", created.Add(2*time.Minute), `{"f:metadata":{"f:labels":{"f:pool":{}}}}`),
				managed("kubelet", created, `{"f:metadata":{"f:annotations":{".":{},"f:node.alibabacloud.com/x":{}},"f:labels":{".":{},"f:pool":{},"f:kubernetes.io/os":{}}}}`),
				managed("somebody", created.Add(time.Minute), `{"f:metadata":`),
				{Manager: "nobody"},
			},
		},
		Spec: corev1.NodeSpec{ProviderID: "cn.i-1", PodCIDRs: []string{"10.0.0.0/24"}, Taints: []corev1.Taint{{Key: "k", Value: "v", Effect: "NoSchedule"}}},
		Status: corev1.NodeStatus{
			Addresses: []corev1.NodeAddress{{Type: "InternalIP", Address: "192.0.2.1"}, {Type: "Hostname", Address: "n1"}, {Type: "InternalIP", Address: "2001:db8::1"}},
			Capacity:  corev1.ResourceList{corev1.ResourcePods: resource.MustParse("110")},
			NodeInfo:  corev1.NodeSystemInfo{KubeletVersion: "v1.31.2", ContainerRuntimeVersion: "containerd://1.7.22", OSImage: "Ubuntu", KernelVersion: "6.8"},
		},
	}
	want := node.Node{
		Name: "n1", UID: "u1", ProviderID: "cn.i-1", Created: created,
		Labels: map[string]string{"pool": "a"}, Annotations: map[string]string{"nodeguard.io/identity": "i"}, Taints: []string{"k"},
		KubeletVersion: "v1.31.2", ContainerRuntimeVersion: "containerd://1.7.22", OSImage: "Ubuntu", KernelVersion: "6.8",
		ProviderAnnotations: map[string]string{"node.alibabacloud.com/x": "z"},
		Managers:            map[string]string{"label pool": "kubectl-label", "label kubernetes.io/os": "kubelet", "annotation node.alibabacloud.com/x": "kubelet"},
		InternalIPs:         []string{"192.0.2.1", "2001:db8::1"}, PodCIDRs: []string{"10.0.0.0/24"}, MaxPods: 110,
	}
	if diff := cmp.Diff(want, nodeOf(n).Node); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func managed(by string, at time.Time, fields string) metav1.ManagedFieldsEntry {
	time := metav1.NewTime(at)
	return metav1.ManagedFieldsEntry{Manager: by, Time: &time, FieldsV1: metav1.NewFieldsV1(fields)}
}
