package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

// Annotations of nodeguard on a Node. The first two are read, the others are written.
const (
	AcceptBaseline   = "nodeguard.io/accept-baseline"
	MaintenanceUntil = "nodeguard.io/maintenance-until"
	IdentityDigest   = "nodeguard.io/identity"
	ProfileName      = "nodeguard.io/profile" // by which the agent judges
)

// ScaleDownTaint is what the cluster autoscaler puts on a Node that it is about to delete.
const ScaleDownTaint = "ToBeDeletedByClusterAutoscaler"

// conditionTypes are the conditions that nodeguard owns, in this release or any other.
var conditionTypes = [...]string{
	"KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift",
	"VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift", drift.NodeOutOfSupport, drift.NodeRebuildAdvised,
}

// ConditionTypes are the conditions that nodeguard owns; all others are somebody else's.
func ConditionTypes() []string { return conditionTypes[:] }

// Node is what the own Node tells the agent: its values, and how it stands.
type Node struct {
	node.Node
	Exists      bool // false: deleted, or not registered yet
	Ready       bool
	Deleting    bool              // its deletion has begun
	ScalingDown bool              // the cluster autoscaler is about to delete it
	Conditions  []drift.Condition // of nodeguard
}

// AcceptBaseline is the digest of the state that somebody accepts, or "".
func (n Node) AcceptBaseline() string { return n.Annotations[AcceptBaseline] }

// MaintenanceUntil is the end of the maintenance that somebody announced, as written, or "".
func (n Node) MaintenanceUntil() string { return n.Annotations[MaintenanceUntil] }

// Identity is the digest of the machine that the Node was when nodeguard last recorded
// it, or "".
func (n Node) Identity() string { return n.Annotations[IdentityDigest] }

// Ending tells whether the Node is about to go, and nothing about it is worth raising.
func (n Node) Ending() bool { return n.Deleting || n.ScalingDown }

func nodeOf(n *corev1.Node) Node {
	out := Node{Node: valuesOf(n), Exists: true, Deleting: n.DeletionTimestamp != nil}
	for _, taint := range n.Spec.Taints {
		out.ScalingDown = out.ScalingDown || taint.Key == ScaleDownTaint
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			out.Ready = c.Status == corev1.ConditionTrue
		}
		if owned(string(c.Type)) {
			out.Conditions = append(out.Conditions, conditionOf(c))
		}
	}
	return out
}

// valuesOf is what checks may read of the Node.
func valuesOf(n *corev1.Node) node.Node {
	out := node.Node{
		Name: n.Name, UID: string(n.UID), ProviderID: n.Spec.ProviderID, Created: n.CreationTimestamp.UTC(),
		Labels: maps.Clone(n.Labels), Annotations: map[string]string{}, PodCIDRs: slices.Clone(n.Spec.PodCIDRs),
		KubeletVersion: n.Status.NodeInfo.KubeletVersion, ContainerRuntimeVersion: n.Status.NodeInfo.ContainerRuntimeVersion,
		OSImage: n.Status.NodeInfo.OSImage, KernelVersion: n.Status.NodeInfo.KernelVersion,
		MaxPods:  n.Status.Capacity.Pods().Value(),
		Managers: managersOf(n.ObjectMeta), ProviderAnnotations: map[string]string{},
	}
	for key, value := range n.Annotations {
		switch {
		case strings.HasPrefix(key, "nodeguard.io/"):
			out.Annotations[key] = value
		case ofProvider(key):
			out.ProviderAnnotations[key] = value
		}
	}
	for _, taint := range n.Spec.Taints {
		out.Taints = append(out.Taints, taint.Key)
	}
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			out.InternalIPs = append(out.InternalIPs, a.Address)
		}
	}
	return out
}

func owned(condition string) bool {
	for _, o := range conditionTypes {
		if o == condition {
			return true
		}
	}
	return false
}

func conditionOf(c corev1.NodeCondition) drift.Condition {
	return drift.Condition{
		Type: string(c.Type), Status: drift.Status(c.Status), Reason: c.Reason, Message: c.Message,
		LastTransitionTime: c.LastTransitionTime.Truncate(time.Second).UTC(),
	}
}
