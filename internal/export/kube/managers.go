package kube

import (
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// providerDomains are those in which providers annotate Nodes.
var providerDomains = [...]string{"kubernetes.azure.com", "alibabacloud.com", "aliyun.com"}

// ofProvider tells whether an annotation is in a provider's domain or below it.
func ofProvider(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return slices.ContainsFunc(providerDomains[:], func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) })
}

// managersOf are the field managers that own labels and annotations, by "label KEY"
// and "annotation KEY". Of several owners the last one to write counts.
func managersOf(n metav1.ObjectMeta) map[string]string {
	entries := slices.Clone(n.ManagedFields)
	slices.SortStableFunc(entries, func(a, b metav1.ManagedFieldsEntry) int {
		switch {
		case a.Time.Before(b.Time):
			return -1
		case b.Time.Before(a.Time):
			return 1
		}
		return 0
	})
	var out map[string]string
	for _, e := range entries {
		for _, key := range ownedKeys(e) {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = e.Manager
		}
	}
	return out
}

// ownedKeys reads the fields of one manager, which the API server writes as nested
// objects whose keys begin with "f:".
func ownedKeys(e metav1.ManagedFieldsEntry) (keys []string) {
	if e.FieldsV1 == nil {
		return nil
	}
	var fields struct {
		Metadata struct {
			Labels      map[string]json.RawMessage `json:"f:labels"`
			Annotations map[string]json.RawMessage `json:"f:annotations"`
		} `json:"f:metadata"`
	}
	if json.Unmarshal(e.FieldsV1.GetRawBytes(), &fields) != nil {
		return nil // a hint that cannot be read is none
	}
	for key := range fields.Metadata.Labels {
		if name, ok := strings.CutPrefix(key, "f:"); ok {
			keys = append(keys, "label "+name)
		}
	}
	for key := range fields.Metadata.Annotations {
		if name, ok := strings.CutPrefix(key, "f:"); ok {
			keys = append(keys, "annotation "+name)
		}
	}
	return keys
}
