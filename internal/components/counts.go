package components

import (
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSnapshots = 100_000
	usualMaxPods = 110
	withinLimit  = "within the limit"
	md5Size      = 16
)

// cgroupRoots are where the kubelet's cgroups of pods begin, by driver and version.
var cgroupRoots = [...]string{
	"/sys/fs/cgroup/kubepods.slice", "/sys/fs/cgroup/kubepods",
	"/sys/fs/cgroup/pids/kubepods.slice", "/sys/fs/cgroup/pids/kubepods",
}

// pods compares how many pods run with how many the kubelet takes. A pod that has
// completed has no cgroup any more, or an empty one, and does not count; neither does a
// static one, for which the kubelet makes room.
func (s *scene) pods(Rule) []*area {
	for _, root := range cgroupRoots {
		names, err := s.root.ReadDir(root, maxNames)
		if err != nil {
			continue
		}
		n := s.countPods(root, names)
		for _, class := range names {
			if strings.Contains(class, "burstable") || strings.Contains(class, "besteffort") {
				dir := path.Join(root, class)
				below, _ := s.root.ReadDir(dir, maxNames)
				n += s.countPods(dir, below)
			}
		}
		text := withinLimit
		if limit := s.podLimit(); n > limit {
			text = fmt.Sprintf("%d, %d are allowed", n, limit)
		}
		return simple("pods", map[string]string{"running": text})
	}
	return nil
}

func (s *scene) countPods(dir string, names []string) int {
	n := 0
	for _, name := range names {
		i := strings.LastIndex(name, "pod")
		if i < 0 || i > 0 && name[i-1] != '-' || staticPod(strings.TrimSuffix(name[i+len("pod"):], ".slice")) {
			continue
		}
		if !s.emptied(path.Join(dir, name)) {
			n++
		}
	}
	return n
}

// emptied tells whether nothing runs in a cgroup any more. That of a pod stays until its
// volumes are torn down.
func (s *scene) emptied(cgroup string) bool {
	events, err := s.root.ReadFile(path.Join(cgroup, "cgroup.events"), maxFile)
	return err == nil && slices.Contains(strings.Split(string(events), "\n"), "populated 0")
}

// staticPod tells whether the uid is the MD5 sum that the kubelet gives to a pod of its
// own files; others have UUIDs.
func staticPod(uid string) bool {
	sum, err := hex.DecodeString(uid)
	return err == nil && len(sum) == md5Size
}

// podLimit is that of the kubelet.
func (s *scene) podLimit() int {
	for _, text := range []string{s.setting(Kubelet, "max-pods"), s.setting(Kubelet, "maxPods"), strconv.FormatInt(s.own.MaxPods, 10)} {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			return n
		}
	}
	return usualMaxPods
}

// imageLayers is how many layers of images and containers are unpacked, in hundreds.
func (s *scene) imageLayers(Rule) []*area {
	settings := map[string]string{}
	for c, dir := range map[Component]string{
		Containerd: "io.containerd.snapshotter.v1.overlayfs/snapshots", Docker: "overlay2/l",
	} {
		names, err := s.root.ReadDir(path.Join(s.dataRoot(c), dir), maxSnapshots)
		if err == nil {
			settings[string(c)] = strconv.Itoa((len(names) + 99) / 100 * 100)
		}
	}
	return simple("image layers", settings)
}

// dataRoot is where a runtime keeps its data.
func (s *scene) dataRoot(c Component) string {
	key, usual := "root", "/var/lib/containerd"
	if c == Docker {
		key, usual = "data-root", "/var/lib/docker"
	}
	name, _ := s.runtimes[c].tree[key].(string)
	if flag := s.runtimes[c].flags.last("--" + key); flag != "" {
		name = flag
	}
	if name == "" {
		name = usual
	}
	return absolute(name)
}
