package volumes

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// pod is a pod that the kubelet has a directory for.
type pod struct {
	uid             string
	namespace, name string // "" where the kubelet's logs do not tell
	volumes         []*volume
	containers      []*container
}

// volume is one of its volumes that a file system is mounted for.
type volume struct {
	pod    *pod
	driver string // of CSI; else VENDOR/DRIVER, kubernetes.io/nfs
	name   string // of the PersistentVolume, or in the pod
	handle string // the CSI driver's own name for it
	kind   kind
	dir    string            // that the mount point lies in
	base   string            // the mount point's last component
	mounts []*mountinfo.Info // right there, oldest first: the last is the visible one
}

// kind says what is expected of a volume's directory.
type kind int

const (
	other      kind = iota // nothing: a plain directory will do
	persistent             // a mount, of data that outlives the pod
	local                  // a mount of a directory of the node
	memory                 // a mount of a tmpfs
)

func (v *volume) target() string { return path.Join(v.dir, v.base) }

// top is the mount that programs see there; nil where there is none.
func (v *volume) top() *mountinfo.Info {
	if len(v.mounts) == 0 {
		return nil
	}
	return v.mounts[len(v.mounts)-1]
}

// subject names the volume for people: namespace/pod volume.
func (v *volume) subject() string { return drift.Printable(v.pod.title() + " " + v.name) }

func (p *pod) title() string {
	if p.name == "" {
		return "pod " + p.uid
	}
	return p.namespace + "/" + p.name
}

func (v *volume) lasting() bool { return v.kind == persistent || v.kind == local }

const (
	csi        = "kubernetes.io~csi"
	ownVendor  = "kubernetes.io"
	volumeData = "vol_data.json"
	csiTarget  = "mount"
)

// The kubelet's own plugins that mount something, as of all its releases. What is
// in no list is a plain directory.
var (
	mounted = []string{
		"nfs", "cephfs", "rbd", "glusterfs", "iscsi", "fc", "aws-ebs", "gce-pd", "azure-disk", "azure-file", "cinder",
		"vsphere-volume", "photon-pd", "portworx-volume", "quobyte", "storageos", "scaleio", "flocker",
	}
	inMemory = []string{"secret", "projected", "downward-api"}
)

// kindOf is what is expected of a volume of the plugin's directory.
func kindOf(plugin string) (driver string, k kind) {
	vendor, name, ok := strings.Cut(plugin, "~")
	driver = vendor + "/" + name
	switch {
	case !ok:
		return plugin, other
	case vendor != ownVendor:
		return driver, persistent // a flexvolume
	case name == "local-volume":
		return driver, local
	case slices.Contains(mounted, name):
		return driver, persistent
	case slices.Contains(inMemory, name):
		return driver, memory
	default:
		return driver, other
	}
}

// csiData is what the kubelet keeps beside a CSI volume's mount point.
type csiData struct {
	Driver    string `json:"driverName"`
	Handle    string `json:"volumeHandle"`
	Lifecycle string `json:"volumeLifecycleMode"`
}

// decodeCSI takes what the kubelet keeps. A volume that lives with its pod may be
// no mount at all.
func (v *volume) decodeCSI(data []byte) error {
	var d csiData
	if err := json.Unmarshal(data, &d); err != nil {
		return err
	}
	v.driver, v.handle = d.Driver, d.Handle
	if d.Lifecycle != "Ephemeral" {
		v.kind = persistent
	}
	return nil
}
