package components

import (
	"path"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	proxySubject = "kube-proxy"
	podsDir      = "/var/lib/kubelet/pods"
	configMaps   = "volumes/kubernetes.io~configmap"
	maxPods      = 2000
)

// proxy is kube-proxy's configuration: of the process where the host runs it, else
// of its pod, as the kubelet has mounted it. Without either there is none.
func (s *scene) proxy(Rule) []*area {
	if s.root.Live() {
		if all, err := s.root.Processes("kube-proxy"); err == nil && len(all) > 0 {
			return s.proxyProcess(all[0])
		}
	}
	f, tree, err := s.proxyOfPod()
	if err != nil {
		return faulty(proxySubject, err, podsDir)
	}
	if tree == nil {
		return nil
	}
	return s.proxyArea(f, tree, nil, time.Time{})
}

func (s *scene) proxyProcess(p host.Process) []*area {
	set := dialectOf(Kubelet).parse(p.Args[1:])
	name := set.last("--config")
	if name == "" {
		return s.proxyArea(file{}, map[string]any{"mode": set.last("--proxy-mode")}, set, p.Started)
	}
	f, err := s.read(absolute(name), maxYAML)
	if err != nil {
		return faulty(proxySubject, &fileFault{absolute(name), err}, absolute(name))
	}
	tree, err := parseYAML(f.data)
	if err != nil {
		return faulty(proxySubject, &fileFault{f.path, err}, f.path)
	}
	return s.proxyArea(f, tree, set, p.Started)
}

// proxyArea: without a mode kube-proxy uses iptables.
func (s *scene) proxyArea(f file, tree map[string]any, set flags, started time.Time) []*area {
	a := document(proxySubject, f.path)
	a.changed, a.started, a.state = f.changed, started, present
	if mode, _ := tree["mode"].(string); mode == "" {
		tree["mode"] = "iptables"
	}
	keys, err := flatten(tree, plainKeys)
	if err != nil {
		return faulty(proxySubject, err, f.path)
	}
	for key, text := range keys {
		a.values[key] = value{text, f.path, f.changed}
	}
	for key, text := range set.texts() {
		a.values[key] = value{text: text}
	}
	return []*area{a}
}

// proxyOfPod is the configuration among the volumes of pods that was written last.
func (s *scene) proxyOfPod() (newest file, tree map[string]any, err error) {
	pods, err := s.root.ReadDir(podsDir, maxPods)
	if gone(err) {
		return file{}, nil, nil
	}
	if err != nil {
		return file{}, nil, &fileFault{podsDir, err}
	}
	for _, pod := range pods {
		volumes := path.Join(podsDir, pod, configMaps)
		names, _ := s.root.ReadDir(volumes, maxNames)
		for _, name := range names {
			if !strings.Contains(name, proxySubject) && name != "config" {
				continue
			}
			f, found := s.proxyVolume(path.Join(volumes, name))
			if found != nil && (tree == nil || f.changed.After(newest.changed)) {
				newest, tree = f, found
			}
		}
	}
	return newest, tree, nil
}

// proxyVolume finds the file of a volume that is kube-proxy's configuration.
func (s *scene) proxyVolume(dir string) (file, map[string]any) {
	names, _ := s.root.ReadDir(dir, maxNames)
	for _, base := range names {
		name := path.Join(dir, base)
		if strings.HasPrefix(base, ".") {
			continue
		}
		changed, err := s.changed(name)
		if err != nil {
			continue
		}
		data, err := s.root.ReadFile(name, maxYAML)
		if err != nil || !strings.Contains(string(data), "KubeProxyConfiguration") {
			continue
		}
		if tree, err := parseYAML(data); err == nil && tree["kind"] == "KubeProxyConfiguration" {
			return file{path: name, data: data, changed: changed}, tree
		}
	}
	return file{}, nil
}
