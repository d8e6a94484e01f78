package components

import (
	"path"
	"strings"
)

// gates are the feature gates that are set, the file's before the flag's.
func (s *scene) gates(Rule) []*area {
	config := s.kubelet.config
	if config.fault != nil {
		a := document("feature gate", config.place)
		a.fault = config.fault
		return []*area{a}
	}
	a := document("feature gate", config.place)
	a.component, a.state, a.changed, a.started = Kubelet, present, config.changed, config.started
	for flag := range s.kubelet.flags {
		if gate, ok := strings.CutPrefix(flag, "--feature-gates."); ok {
			a.values[gate] = value{text: s.gate(gate)}
		}
	}
	for key, v := range config.values {
		if gate, ok := strings.CutPrefix(key, "featureGates."); ok {
			a.values[gate] = v
		}
	}
	return []*area{a}
}

// nodeLabels are the labels of the Node.
func (s *scene) nodeLabels(Rule) []*area {
	return simple("label", s.labels())
}

// versions are those of the kubelet and of the container runtime.
func (s *scene) versions(Rule) []*area {
	areas := simple("kubelet", map[string]string{"release": s.kubeletVersion()})
	for _, r := range s.releases {
		if r.subject == runtimeRelease {
			areas = append(areas, simple("container runtime", map[string]string{"release": r.value})...)
		}
	}
	return areas
}

// sandboxImage is the image of which docker makes every pod. containerd keeps its
// images in a database that only it can read.
func (s *scene) sandboxImage(Rule) []*area {
	image := s.kubelet.flags.last("--pod-infra-container-image")
	if s.family() != string(Docker) || image == "" {
		return nil
	}
	place := path.Join(s.dataRoot(Docker), "image/overlay2/repositories.json")
	data, err := s.root.ReadFile(place, maxFile)
	var tree map[string]any
	if err == nil {
		tree, err = parseJSON(data)
	}
	if gone(err) {
		return nil
	}
	if err != nil {
		return faulty("sandbox image", &fileFault{place, err}, place)
	}
	state := "missing"
	repositories, _ := tree["Repositories"].(map[string]any)
	for _, repository := range repositories {
		references, _ := repository.(map[string]any)
		if _, ok := references[familiar(image)]; ok {
			state = string(present)
		}
	}
	return simple("sandbox image", map[string]string{oneWord(image): state})
}

// familiar is an image's name as docker keeps it.
func familiar(image string) string {
	return strings.TrimPrefix(strings.TrimPrefix(image, "docker.io/"), "library/")
}
