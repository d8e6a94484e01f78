package hostconfig

import (
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
)

// bundles are where runtimes keep the OCI configuration of what runs: containerd,
// that of k3s and RKE2, and CRI-O.
var bundles = [...]string{
	"/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/*/config.json",
	"/run/containers/storage/overlay-containers/*/userdata/config.json",
}

// container is what the runtime was told of a container of a pod. Nothing of its
// environment or command is kept.
type container struct {
	namespace, pod string
	sandbox        bool
	memory         int64 // limit in bytes; 0 none
	traits         []string
	bundle         string // the file that tells this
}

// spec is the part of an OCI configuration that is looked at.
type spec struct {
	Process struct {
		Capabilities struct {
			Effective []string `json:"effective"`
		} `json:"capabilities"`
	} `json:"process"`
	Mounts []struct {
		Type    string   `json:"type"`
		Source  string   `json:"source"`
		Options []string `json:"options"`
	} `json:"mounts"`
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		Namespaces []struct {
			Type string `json:"type"`
		} `json:"namespaces"`
		MaskedPaths []string `json:"maskedPaths"`
		Resources   struct {
			Memory struct {
				Limit *int64 `json:"limit"`
			} `json:"memory"`
		} `json:"resources"`
	} `json:"linux"`
}

const (
	privileged  = "privileged"
	hostPID     = "hostPID"
	hostNetwork = "hostNetwork"
	hostPath    = "hostPath"
)

func traits() []string { return []string{privileged, hostPID, hostNetwork, hostPath} }

var errBundle = errors.New("not an OCI configuration")

func parseBundle(data []byte) (container, error) {
	var s spec
	if err := json.Unmarshal(data, &s); err != nil {
		return container{}, errBundle
	}
	annotation := func(names ...string) string {
		for _, n := range names {
			if v := s.Annotations[n]; v != "" {
				return v
			}
		}
		return ""
	}
	c := container{
		namespace: annotation("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"),
		pod:       annotation("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"),
		sandbox:   annotation("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType") == "sandbox",
	}
	if limit := s.Linux.Resources.Memory.Limit; limit != nil && *limit > 0 {
		c.memory = *limit
	}
	c.traits = s.traits(c.sandbox)
	return c, nil
}

// traits tell what the container can reach of the host: namespaces are the
// sandbox's, since its containers join them.
func (s spec) traits(sandbox bool) []string {
	var out []string
	if sandbox {
		for kind, trait := range map[string]string{"pid": hostPID, "network": hostNetwork} {
			if !s.hasNamespace(kind) {
				out = append(out, trait)
			}
		}
	} else if slices.Contains(s.Process.Capabilities.Effective, "CAP_SYS_ADMIN") && len(s.Linux.MaskedPaths) == 0 {
		out = append(out, privileged)
	}
	for _, m := range s.Mounts {
		if m.Type == "bind" && !slices.Contains(m.Options, "ro") && sensitive(m.Source) {
			out = append(out, hostPath+" "+path.Clean(m.Source))
		}
	}
	slices.Sort(out)
	return out
}

func (s spec) hasNamespace(kind string) bool {
	for _, n := range s.Linux.Namespaces {
		if n.Type == kind {
			return true
		}
	}
	return false
}

// sensitive tells whether who writes there changes the host.
func sensitive(source string) bool {
	source = path.Clean(source)
	switch source {
	case "/", "/var", "/var/lib", "/var/lib/kubelet", "/run", "/var/run", "/proc", "/sys",
		"/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock", "/run/docker.sock", "/var/run/docker.sock", "/run/crio/crio.sock", "/var/run/crio/crio.sock":
		return true
	}
	for _, top := range []string{"/etc", "/usr", "/boot", "/lib", "/bin", "/sbin", "/root", "/proc/sys"} {
		if source == top || strings.HasPrefix(source, top+"/") {
			return true
		}
	}
	return false
}
