package consumers

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
)

// CloudProvider stands for one that offers node repair for nodeguard's condition.
type CloudProvider struct{}

// RepairPolicies is shown in docs/consumers.md.
func (CloudProvider) RepairPolicies() []cloudprovider.RepairPolicy {
	return []cloudprovider.RepairPolicy{{
		ConditionType:      "NodeRebuildAdvised",
		ConditionStatus:    corev1.ConditionTrue,
		TolerationDuration: 10 * time.Minute,
	}}
}
