package volumes

import (
	"path"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// allMounts is the subject of the finding that most of them are gone.
const allMounts = "mounts of the running pods"

// subjects are what findings can be about, by what is mounted or unmounted.
type subjects struct {
	at       map[string][]string // by mount point
	of       map[uint64][]string // volumes by their disk
	kubelets []string
}

// subjects of what was seen. A volume that no look has seen yet has none.
func (s *scene) subjects(rules []drift.Bound[Rule]) *subjects {
	out := &subjects{at: map[string][]string{}, of: map[uint64][]string{}, kubelets: s.kubelets}
	for _, p := range s.pods {
		for _, v := range p.volumes {
			out.add(v)
		}
	}
	for _, r := range rules {
		for _, name := range r.Rule.Directories {
			out.at[name] = append(out.at[name], drift.Printable(name))
		}
	}
	return out
}

func (s *subjects) add(v *volume) {
	names := []string{v.subject()}
	if v.kind != other {
		names = append(names, allMounts)
	}
	if v.lasting() {
		names = append(names, drift.Printable(v.name))
	}
	s.at[v.target()] = names
	if len(v.mounts) > 0 && v.kind == persistent && disk(v.mounts[0]) {
		dev := device(v.mounts[0])
		s.of[dev] = append(s.of[dev], v.subject())
	}
}

// about are the subjects that a mount or an unmount there can change.
func (s *subjects) about(m mounting) []string {
	if at := s.at[m.point]; at != nil {
		return at
	}
	if slices.ContainsFunc(s.kubelets, func(dir string) bool { return below(dir, m.point) }) {
		return nil // the kubelet's and its drivers' own mounts of the disk
	}
	var out []string
	for _, name := range s.of[m.device] {
		out = append(out, elsewhere(name, path.Clean(m.point)))
	}
	return out
}

// elsewhere is a volume whose disk is mounted there, too.
func elsewhere(subject, point string) string { return subject + " at " + drift.Printable(point) }
