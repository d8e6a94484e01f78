package volumes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// onHost is the tier of a volume that is missing on the host alone: the containers
// that run still have it, the next one to start will not.
const onHost = "host"

// ownDisk is what a program sees where a volume's mount is missing.
const ownDisk = "the node's own disk"

// unmounted finds volumes that are not mounted. What is decisive is what a
// container has: the bare directory below the mount point, on the node's own disk.
func (j *judge) unmounted() {
	for _, v := range j.lasting() {
		at, err := j.bareInside(v)
		switch {
		case err != nil:
			j.blind(v.subject(), "the mounts of its containers: "+reason(err), "run as root in the host's pid namespace (hostPID: true in a pod)")
		case at != "":
			j.add("", v.subject(), "a running container has "+ownDisk+" at "+drift.Printable(at), "the volume", v.target())
		case v.top() == nil:
			if j.stillThere(v) && j.stillRuns(v.pod) {
				j.add(onHost, v.subject(), "not mounted", "mounted", v.target())
			}
		case j.bare(v, v.top()) || matches(j.rule.Disks, v.driver) && j.onSystemDisk(v.top()):
			j.add(onHost, v.subject(), ownDisk+" is mounted", "the volume", v.target())
		}
	}
}

// bareInside is where a container of the pod has the directory of the volume
// without the volume; "" where none has.
func (j *judge) bareInside(v *volume) (string, error) {
	for _, c := range v.pod.containers {
		mounts, err := j.volumeMounts(v.pod, c)
		if err != nil {
			return "", err
		}
		if i := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool { return j.bare(v, m) }); i >= 0 {
			return mounts[i].Mountpoint, nil
		}
	}
	return "", nil
}

// volumeMounts are the container's mounts where any of them can come from the
// kubelet's directories of volumes. Most containers' need not be parsed.
func (j *judge) volumeMounts(p *pod, c *container) ([]*mountinfo.Info, error) {
	if c.mounts != nil || c.plain {
		return c.mounts, nil
	}
	data, err := j.readContainer(c)
	if err != nil {
		return nil, err
	}
	c.plain = !bytes.Contains(data, []byte("/pods/"+p.uid+"/volumes/")) && !bytes.Contains(data, []byte(globalMounts))
	if c.plain {
		return nil, nil
	}
	return j.containerMounts(p, c)
}

// bare tells whether a mount comes from the plain directory that a volume should be
// mounted on: in its pod, or where its driver first mounts it for all pods.
func (j *judge) bare(v *volume, m *mountinfo.Info) bool {
	dev, within, ok := j.place(v.dir)
	if !ok || device(m) != dev {
		return false
	}
	return below(path.Join(within, v.base), m.Root) || strings.Contains(m.Root, globalMounts) && v.stagedIn(m.Root)
}

// globalMounts is where kubelets have drivers mount a volume once for all pods.
const globalMounts = "/plugins/kubernetes.io/"

// stagedIn tells whether a directory below globalMounts is the volume's: it has
// the name of the volume in it, or since Kubernetes 1.24 the digest of the handle.
func (v *volume) stagedIn(dir string) bool {
	parts := strings.Split(dir, "/")
	digest := sha256.Sum256([]byte(v.handle))
	return slices.Contains(parts, v.name) || v.handle != "" && slices.Contains(parts, hex.EncodeToString(digest[:]))
}
