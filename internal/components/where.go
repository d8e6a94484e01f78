package components

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func (r Rule) validateWhere() error {
	switch {
	case r.From != "" && !minorVersion(r.From):
		return fmt.Errorf("from: %q is no minor version like 1.24", r.From)
	case r.Runtime != "" && r.Runtime != Containerd && r.Runtime != Docker:
		return fmt.Errorf("runtime: %q is neither %s nor %s", r.Runtime, Containerd, Docker)
	case len(r.When) > 0 && r.Component == "":
		return errors.New("when: whose settings? component is missing")
	case r.Compare == "" && r.Policy == "" && (r.Runtime != "" || r.From != "" || len(r.UnlessLabels)+len(r.When) > 0):
		return errors.New("runtime, from, unlessLabels and when belong to compare and policy")
	default:
		return nil
	}
}

func minorVersion(s string) bool { return semver.IsValid("v"+s) && semver.MajorMinor("v"+s) == "v"+s }

// holds tells whether the rule is about this node.
func (s *scene) holds(r Rule) bool {
	switch {
	case r.Runtime != "" && s.family() != string(r.Runtime):
		return false
	case r.From != "" && !s.kubeletFrom(r.From):
		return false
	case len(r.UnlessLabels) > 0 && s.excepted(r.UnlessLabels):
		return false
	}
	for key, values := range r.When {
		if !matchesAny(values, s.setting(r.Component, key)) {
			return false
		}
	}
	return true
}

func (s *scene) kubeletFrom(minor string) bool {
	v := s.kubeletVersion()
	return v != "" && semver.Compare(semver.MajorMinor(v), "v"+minor) >= 0
}

// kubeletVersion is "v1.31.2-aliyun.1": the Node's, or that of the host's package,
// which nobody needs a cluster for. "" where neither tells.
func (s *scene) kubeletVersion() string {
	for _, r := range s.releases {
		if r.subject == kubeletRelease && r.value != "" {
			return r.value
		}
	}
	installed, err := s.packages.Installed(s.root)
	if err != nil {
		return ""
	}
	version := installed[string(Kubelet)]
	if _, after, epoch := strings.Cut(version, ":"); epoch {
		version = after
	}
	if upstream, _, revised := strings.Cut(version, "-"); revised && !semver.IsValid("v"+version) {
		version = upstream // "1.24.1-00" is a revision of the package, not a version
	}
	if version = "v" + version; !semver.IsValid(version) {
		return ""
	}
	return version
}

// excepted tells whether a label of the Node is one of these, or nobody knows.
func (s *scene) excepted(globs []string) bool {
	labels := s.labels()
	if labels == nil {
		return true
	}
	for key, value := range labels {
		if matchesAny(globs, key+"="+value) {
			return true
		}
	}
	return false
}

// labels are those of the Node, or those that the kubelet gives it; nil where
// neither tells.
func (s *scene) labels() map[string]string {
	if s.own.Labels != nil {
		return s.own.Labels
	}
	var out map[string]string
	for flag, values := range s.kubelet.flags {
		if key, ok := strings.CutPrefix(flag, "--node-labels."); ok && len(values) > 0 {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = values[len(values)-1]
		}
	}
	return out
}

// setting is what a component's flag or configuration sets.
func (s *scene) setting(c Component, key string) string {
	for _, a := range s.areas {
		if v, ok := a.values["--"+key]; ok && a.component == c && a.place == "" {
			return v.text
		}
	}
	for _, a := range s.areas {
		if v, ok := a.values[key]; ok && a.component == c {
			return v.text
		}
	}
	return unset
}

func matchesAny(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return drift.Glob(glob, s) })
}
