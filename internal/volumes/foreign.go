package volumes

import (
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Tiers of a disk that is used beside the kubelet.
const (
	mountedToo = "mounted" // it is mounted somewhere else, too
	covered    = "covered" // something else lies over it
	doubled    = "doubled" // it lies over itself
)

// foreign finds disks of volumes that are used beside the kubelet: mounted
// somewhere else, made anew under the mount, or covered in the pod's directory.
func (j *judge) foreign() {
	told := map[uint64]bool{}
	for _, v := range j.lasting() {
		m := v.top()
		if m == nil || v.kind == local {
			continue
		}
		j.stacked(v)
		if dev := device(v.mounts[0]); !told[dev] && j.whole(v.mounts[0]) {
			told[dev] = true
			j.elsewhere(v, dev)
			j.madeAnew(v, v.mounts[0])
		}
	}
}

// whole tells whether a mount is a disk of the volume's own and not a directory of
// some disk that the node has anyway.
func (j *judge) whole(m *mountinfo.Info) bool {
	return disk(m) && m.Root == "/" && !j.onSystemDisk(m) && !slices.ContainsFunc(j.kubelets, func(dir string) bool {
		dev, _, ok := j.place(dir)
		return ok && dev == device(m)
	})
}

func (j *judge) elsewhere(v *volume, dev uint64) {
	for _, m := range j.byDevice[dev] {
		if j.ofKubelet(m.Mountpoint) || matches(j.rule.Except, m.Mountpoint) {
			continue
		}
		at := drift.Printable(m.Mountpoint)
		j.add(mountedToo, elsewhere(v.subject(), m.Mountpoint), "also mounted at "+at, "mounted by the kubelet alone", m.Mountpoint)
	}
}

// madeAnew compares what udev found on the device last with what is mounted of it.
func (j *judge) madeAnew(v *volume, m *mountinfo.Info) {
	found := j.udev(m)
	now, there := found["ID_FS_TYPE"]
	switch {
	case there && family(now) != family(m.FSType):
		now = "the device has " + now + " on it"
	case !there && found["ID_PART_TABLE_TYPE"] != "":
		now = "the device has a partition table on it"
	default:
		return
	}
	j.add("", v.subject(), now, m.FSType, v.target())
}

// family of a file system: the driver of ext4 mounts all of its generations.
func family(fstype string) string {
	if strings.HasPrefix(fstype, "ext") {
		return "ext"
	}
	return fstype
}

// stacked finds what was mounted over a volume.
func (j *judge) stacked(v *volume) {
	if len(v.mounts) < 2 {
		return
	}
	first, top := v.mounts[0], v.top()
	if device(first) == device(top) && first.Root == top.Root {
		j.add(doubled, v.subject(), "mounted twice", "mounted once", v.target())
		return
	}
	j.add(covered, v.subject(), "covered by another mount", "the volume", v.target())
}
