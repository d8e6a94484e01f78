// Package node is the own Node as plain values: what the API says of the machine
// that nodeguard runs on. It knows no client and imports the standard library only.
package node

import "time"

// Node is the own Node as last seen.
type Node struct {
	Name       string
	UID        string
	ProviderID string
	Created    time.Time

	Labels      map[string]string
	Annotations map[string]string // of nodeguard
	Taints      []string          // their keys
	// ProviderAnnotations are those of a provider's own domain.
	ProviderAnnotations map[string]string
	// Managers are the field managers that own labels and annotations now, the last one
	// to write each, by "label KEY" and "annotation KEY".
	Managers map[string]string

	Deleted bool // the object is gone; the rest is as it was last seen

	KubeletVersion          string // "v1.31.2-aliyun.1"
	ContainerRuntimeVersion string // "containerd://1.7.22"
	OSImage                 string // "Ubuntu 22.04.5 LTS"
	KernelVersion           string

	APIServerVersion string // "v1.31.2", of the server that the Node came from; "": it has not said yet

	InternalIPs []string
	PodCIDRs    []string
	MaxPods     int64 // pods that the kubelet takes; 0: it has not said yet
}
