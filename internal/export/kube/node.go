package kube

import (
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Annotations of nodeguard on a Node. The first two are read, the last is written.
const (
	AcceptBaseline   = "nodeguard.io/accept-baseline"
	MaintenanceUntil = "nodeguard.io/maintenance-until"
	IdentityDigest   = "nodeguard.io/identity"
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

// Node is what the own Node tells the agent.
type Node struct {
	Exists      bool // false: deleted, or not registered yet
	UID         string
	ProviderID  string
	Ready       bool
	Labels      map[string]string
	Taints      []string          // their keys
	Annotations map[string]string // of nodeguard
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
	out := Node{
		Exists: true, UID: string(n.UID), ProviderID: n.Spec.ProviderID, Labels: maps.Clone(n.Labels),
		Annotations: map[string]string{}, Deleting: n.DeletionTimestamp != nil,
	}
	for key, value := range n.Annotations {
		if strings.HasPrefix(key, "nodeguard.io/") {
			out.Annotations[key] = value
		}
	}
	for _, taint := range n.Spec.Taints {
		out.Taints = append(out.Taints, taint.Key)
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
