package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Where kubelets keep their pods when nobody says otherwise: everywhere, on Huawei
// Cloud CCE, k0s and MicroK8s.
var kubeletRoots = []string{"/var/lib/kubelet", "/mnt/paas/kubernetes/kubelet", "/var/lib/k0s/kubelet", "/var/snap/microk8s/common/var/lib/kubelet"}

const (
	podLogs   = "/var/log/pods"
	maxPods   = 10_000
	maxNames  = 4096
	maxVolume = 64 << 10 // of vol_data.json
)

// roots are the kubelet's directories, free of links. That of a running kubelet
// goes before where others have been.
func (s *scene) roots() []string {
	var out []string
	for _, name := range append(s.runningRoots(), kubeletRoots...) {
		at, err := s.root.Resolve(name)
		if err != nil || s.seen[at] {
			continue
		}
		s.seen[at] = true
		out = append(out, at)
	}
	return out
}

// runningRoots are the ones that kubelets which run now were told.
func (s *scene) runningRoots() []string {
	found, err := s.root.Processes("kubelet", "hyperkube")
	if err != nil {
		return nil // the lists of processes is said to be missing where it counts
	}
	var out []string
	for _, p := range found {
		for i, arg := range p.Args {
			name, value, ok := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			if name == "root-dir" && strings.HasPrefix(arg, "-") {
				if !ok && i+1 < len(p.Args) {
					value = p.Args[i+1]
				}
				out = append(out, path.Clean("/"+value))
			}
		}
	}
	return out
}

// lookAtPods lists pods with their volumes below each of the kubelet's directories.
func (s *scene) lookAtPods() {
	names := s.podNames()
	for _, root := range s.roots() {
		if m := s.mountOf(root); m != nil && host.Remote(m.FSType) {
			s.gap(drift.Printable(root), "it lies on a network or FUSE file system, which may never answer", "keep the kubelet's directory on a local disk")
			continue
		}
		s.kubelets = append(s.kubelets, root)
		if err := s.podsBelow(path.Join(root, "pods"), names); err != nil {
			s.failed(path.Join(root, "pods"), err)
		}
	}
}

// podNames are namespace and name by uid, from the names of the kubelet's log directories.
func (s *scene) podNames() map[string][2]string {
	out := map[string][2]string{}
	dirs, err := s.root.ReadDir(podLogs, maxPods)
	if err != nil {
		return out // names are for people: pods are told by uid then
	}
	for _, dir := range dirs {
		if parts := strings.Split(dir, "_"); len(parts) == 3 {
			out[parts[2]] = [2]string{parts[0], parts[1]}
		}
	}
	return out
}

func (s *scene) podsBelow(dir string, names map[string][2]string) error {
	d, err := s.root.OpenDir(dir)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	uids, err := d.Names(maxPods)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		p := &pod{uid: uid, namespace: names[uid][0], name: names[uid][1]}
		if err := s.volumesOf(p, d, path.Join(dir, uid)); err != nil {
			s.failed(path.Join(dir, uid), err)
		}
		s.pods[uid] = p
	}
	return nil
}

// volumesOf lists a pod's volumes. It looks at no mount point, only at the names
// beside it: what is mounted there may not answer.
func (s *scene) volumesOf(p *pod, pods *host.Dir, dir string) error {
	return each(pods, path.Join(p.uid, "volumes"), func(volumes *host.Dir, plugin string) error {
		return each(volumes, plugin, func(d *host.Dir, name string) error {
			driver, k := kindOf(plugin)
			v := &volume{pod: p, driver: driver, name: name, kind: k, dir: path.Join(dir, "volumes", plugin), base: name}
			if plugin == csi {
				return s.addCSI(v, d)
			}
			p.volumes = append(p.volumes, v)
			return nil
		})
	})
}

// addCSI adds a CSI volume that was published: its data and its mount point are there.
func (s *scene) addCSI(v *volume, plugin *host.Dir) error {
	there := false
	err := each(plugin, v.name, func(d *host.Dir, name string) error {
		switch name {
		case csiTarget:
			there = true
		case volumeData:
			data, err := d.ReadFile(name, maxVolume)
			if gone(err) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := v.decodeCSI(data); err != nil {
				return fmt.Errorf("%s is not what the kubelet writes", path.Join(v.name, name))
			}
		}
		return nil
	})
	if there && v.driver != ownVendor+"/csi" {
		v.dir, v.base = path.Join(v.dir, v.name), csiTarget
		v.pod.volumes = append(v.pod.volumes, v)
	}
	return err
}

// each visits the names in a subdirectory. One that is gone has none, and so has
// a file.
func each(d *host.Dir, sub string, visit func(d *host.Dir, name string) error) error {
	in, err := d.OpenDir(sub)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.Close()
	names, err := in.Names(maxNames)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		failed = append(failed, visit(in, name))
	}
	return errors.Join(failed...)
}

// stillThere tells whether the volume's directory was not taken away meanwhile, as
// the kubelet does after it has unmounted it.
func (s *scene) stillThere(v *volume) bool {
	names, err := s.root.ReadDir(v.dir, maxNames)
	if err != nil {
		return false
	}
	for _, name := range names {
		if name == v.base {
			return true
		}
	}
	return false
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDirectory)
}
