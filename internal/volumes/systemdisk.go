package volumes

import (
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Tiers of data on the system disk.
const (
	singleDisk = "single-disk" // there is no other disk to put it on
	runtimeDir = "runtime"     // a directory of the node itself
)

// systemDisk finds data that pods keep on the disk of the operating system: in
// directories of the node and in local volumes.
func (j *judge) systemDisk() {
	tier := singleDisk
	if j.hasDataDisk() {
		tier = ""
		j.directories()
	}
	for _, p := range j.sortedPods() {
		if p.name == "" || matches(j.rule.ExceptNamespaces, p.namespace) || !p.runs() {
			continue
		}
		for _, v := range p.volumes {
			if m := v.top(); v.kind == local && m != nil && j.onSystemDisk(m) {
				j.add(tier, v.subject(), "on the system disk", "a data disk", v.target())
			}
		}
		for _, name := range j.hostPaths(p) {
			j.add(tier, drift.Printable(p.title()+" "+name), "on the system disk", "a data disk", name)
		}
	}
}

func (j *judge) directories() {
	for _, name := range j.rule.Directories {
		at, err := j.root.Resolve(name)
		if err != nil {
			continue
		}
		if m := j.mountOf(at); m != nil && j.onSystemDisk(m) {
			j.add(runtimeDir, drift.Printable(name), "on the system disk", "a data disk", name)
		}
	}
}

// hasDataDisk tells whether the host has mounted a disk besides that of the system.
func (j *judge) hasDataDisk() bool {
	return slices.ContainsFunc(j.mounts, func(m *mountinfo.Info) bool {
		return disk(m) && m.Major != loopMajor && m.FSType != "iso9660" && !j.volumeDisk(m) && !j.onSystemDisk(m)
	})
}

// loopMajor is that of loop devices, which are files.
const loopMajor = 7

// volumeDisk tells whether a mount is a volume of the kubelet's. Its directory as a
// whole may well be a data disk.
func (j *judge) volumeDisk(m *mountinfo.Info) bool {
	return j.ofKubelet(m.Mountpoint) && (strings.Contains(m.Mountpoint, "/pods/") || strings.Contains(m.Mountpoint, "/plugins/"))
}

// hostPaths are directories of the node on the system disk that containers of the
// pod can write to.
func (j *judge) hostPaths(p *pod) []string {
	var out []string
	for _, c := range p.containers {
		mounts, err := j.containerMounts(p, c)
		if err != nil {
			j.blind(drift.Printable(p.title()), "the mounts of its containers: "+reason(err), "run as root in the host's pid namespace (hostPID: true in a pod)")
			continue
		}
		for _, m := range mounts {
			if readOnly(m) || !j.onSystemDisk(m) {
				continue
			}
			if name, ok := j.onHost(m); ok && !j.ofKubelet(name) && !matches(j.rule.Except, name) && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// onHost is where the host has what a container's mount shows.
func (j *judge) onHost(m *mountinfo.Info) (string, bool) {
	var best *mountinfo.Info
	for _, of := range j.byDevice[device(m)] {
		if below(of.Root, m.Root) && (best == nil || len(of.Root) > len(best.Root)) {
			best = of
		}
	}
	if best == nil {
		return "", false
	}
	return path.Join(best.Mountpoint, strings.TrimPrefix(m.Root, strings.TrimSuffix(best.Root, "/"))), true
}
