package components

import (
	"path"
	"slices"
	"strings"
)

const manifestsDir = "/etc/kubernetes/manifests"

// controlPlane are the programs that make a machine a master.
var controlPlane = [...]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"}

// ownFlags are those whose values are the master's own.
var ownFlags = [...]string{
	"--advertise-address", "--bind-address", "--name", "--etcd-servers", "--initial-", "--listen-", "--advertise-client-urls",
}

// manifests are the static pods of a master, each with its images and flags. Other
// machines have none that count.
func (s *scene) manifests(Rule) []*area {
	dir := s.manifestsDirectory()
	names, err := s.names(dir, "manifest", func(name string) bool { return !strings.HasPrefix(name, ".") })
	if err != nil {
		return faulty("manifest", err, dir)
	}
	if !slices.ContainsFunc(names, isControlPlane) && !s.wasMaster() {
		return nil
	}
	areas := []*area{listing("manifest", dir, names)}
	for _, name := range names {
		areas = append(areas, s.manifest(dir, name)...)
	}
	return areas
}

func (s *scene) manifestsDirectory() string {
	dir := s.kubelet.flags.last("--pod-manifest-path")
	if dir == "" {
		dir = s.kubelet.config.values["staticPodPath"].text
	}
	if dir == "" || dir == `""` {
		dir = manifestsDir
	}
	return absolute(dir)
}

func isControlPlane(name string) bool {
	return slices.ContainsFunc(controlPlane[:], func(program string) bool { return strings.Contains(name, program) })
}

func (s *scene) wasMaster() bool {
	for subject := range s.recorded {
		if name, ok := strings.CutPrefix(subject, "manifest "); ok && isControlPlane(name) {
			return true
		}
	}
	return false
}

// manifest has the settings that are one master's own apart, since they are of no
// other one.
func (s *scene) manifest(dir, name string) []*area {
	place := path.Join(dir, name)
	prefix := "manifest " + oneWord(name)
	f, err := s.read(place, maxYAML)
	var tree map[string]any
	if err == nil {
		tree, err = parseYAML(f.data)
	}
	if err != nil {
		return faulty(prefix, &fileFault{place, err}, place)
	}
	shared, own := document(prefix, place), document(prefix, place)
	own.name, own.local = prefix+" own", true
	shared.owns = func(key string) bool { return !isOwn(key) && key != "own" }
	own.owns = isOwn
	for key, text := range podSettings(tree) {
		a := shared
		if isOwn(key) {
			a = own
		}
		a.values[key] = value{text, place, f.changed}
	}
	shared.state, own.state = present, present
	return []*area{shared, own}
}

func isOwn(key string) bool {
	_, flag, _ := strings.Cut(key, " ")
	return slices.ContainsFunc(ownFlags[:], func(own string) bool {
		return flag == own || strings.HasSuffix(own, "-") && strings.HasPrefix(flag, own)
	})
}

// podSettings are images and flags by container, and the host's directories by volume.
func podSettings(tree map[string]any) map[string]string {
	out := map[string]string{}
	spec, _ := below(tree, "spec")
	containers, _ := spec["containers"].([]any)
	for _, item := range containers {
		container, _ := item.(map[string]any)
		name := oneWord(shown(nil, container["name"]))
		if image, ok := container["image"].(string); ok {
			out[name+" image"] = bounded(image)
		}
		var args []string
		for _, list := range []string{"command", "args"} {
			words, _ := container[list].([]any)
			for _, word := range words {
				if text, ok := word.(string); ok {
					args = append(args, text)
				}
			}
		}
		for flag, text := range masterDialect().parse(args).texts() {
			out[name+" "+flag] = text
		}
	}
	volumes, _ := spec["volumes"].([]any)
	for _, item := range volumes {
		volume, _ := item.(map[string]any)
		if from, ok := below(volume, "hostPath"); ok {
			out["volume "+oneWord(shown(nil, volume["name"]))] = shown(nil, from["path"])
		}
	}
	return out
}

func masterDialect() dialect {
	return dialect{long: true, underscores: true, maps: []string{"feature-gates", "runtime-config"}, short: map[byte]string{'v': "v"}}
}
