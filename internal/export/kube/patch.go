package kube

import (
	"encoding/json"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// statusPatch is a strategic-merge patch: conditions merge by type, so that it
// touches those that it names and no other.
type statusPatch struct {
	Metadata *metadataPatch `json:"metadata,omitempty"`
	Status   struct {
		Conditions []any `json:"conditions,omitempty"` // entry or removal
	} `json:"status"`
}

type metadataPatch struct {
	Annotations map[string]*string `json:"annotations"`
}

// entry spells out every field: what a merge patch leaves out would stay.
type entry struct {
	Type               string       `json:"type"`
	Status             drift.Status `json:"status"`
	Reason             string       `json:"reason"`
	Message            string       `json:"message"`
	LastHeartbeatTime  metav1.Time  `json:"lastHeartbeatTime"`
	LastTransitionTime metav1.Time  `json:"lastTransitionTime"`
}

type removal struct {
	Patch string `json:"$patch"`
	Type  string `json:"type"`
}

func (p *statusPatch) set(c drift.Condition, now time.Time) {
	p.Status.Conditions = append(p.Status.Conditions, entry{
		Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message,
		LastHeartbeatTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(c.LastTransitionTime),
	})
}

func (p *statusPatch) remove(condition string) {
	p.Status.Conditions = append(p.Status.Conditions, removal{Patch: "delete", Type: condition})
}

// annotate sets an annotation that differs from what stands; an empty value leaves it.
func (p *statusPatch) annotate(stands map[string]string, name, value string) {
	if value == "" || stands[name] == value {
		return
	}
	if p.Metadata == nil {
		p.Metadata = &metadataPatch{Annotations: map[string]*string{}}
	}
	p.Metadata.Annotations[name] = &value
}

func (p *statusPatch) empty() bool { return p.Metadata == nil && len(p.Status.Conditions) == 0 }

func (p *statusPatch) json() []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and times
	}
	return body
}
