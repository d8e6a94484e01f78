package components

import (
	"bytes"
	"cmp"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

// What the versions of the node's software are called. None begins like a key of a
// component's configuration.
const (
	kubeletRelease  = "kubelet release"
	runtimeRelease  = "container runtime release"
	operatingSystem = "operating system"
)

// release is the version of a part of the node's software.
type release struct {
	subject string
	value   string // "" where nobody tells it, which changes nothing
	fault   *fault
}

// lookAtReleases takes the versions from the Node, which only the kubelet writes, and
// the operating system's name from the host, which knows it at once and without a
// cluster. What the Node does not tell, or not yet, is what it told last.
func (s *scene) lookAtReleases(source *node.Source, last map[string]string) {
	n, _ := source.Get()
	os, err := s.operatingSystem()
	system := release{subject: operatingSystem, value: os}
	switch {
	case gone(err):
		system.value = n.OSImage
	case err != nil:
		system.fault = faultOf(osRelease, err)
	}
	s.releases = []release{{subject: kubeletRelease, value: n.KubeletVersion}, {subject: runtimeRelease, value: runtimeVersion(n)}, system}
	for i, r := range s.releases {
		s.releases[i].value = cmp.Or(bounded(r.value), last[r.subject])
	}
}

// runtimeVersion is "" while the kubelet does not reach the runtime: it says Unknown
// then, which is no version.
func runtimeVersion(n node.Node) string {
	if strings.HasSuffix(n.ContainerRuntimeVersion, "://Unknown") {
		return ""
	}
	return n.ContainerRuntimeVersion
}

const (
	osRelease       = "/etc/os-release"
	vendorOSRelease = "/usr/lib/os-release"
	maxOSRelease    = 64 << 10
)

// operatingSystem is the name by which os-release(5) shows the system with its version.
func (s *scene) operatingSystem() (string, error) {
	data, err := s.root.ReadFile(osRelease, maxOSRelease)
	if gone(err) {
		data, err = s.root.ReadFile(vendorOSRelease, maxOSRelease)
	}
	if err != nil {
		return "", err
	}
	name := "Linux" // what os-release(5) says of a system that does not name itself
	for line := range bytes.Lines(data) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "PRETTY_NAME="); ok {
			name = unquoted(value) // the last one counts, as in a shell
		}
	}
	return name, nil
}

// unquoted takes the quotes of a shell off.
func unquoted(value string) string {
	if len(value) < 2 || value[0] != value[len(value)-1] || value[0] != '"' && value[0] != '\'' {
		return value
	}
	quote, value := value[0], value[1:len(value)-1]
	if quote == '\'' {
		return value
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(value)
}

// upgraded returns the versions that are not the recorded ones.
func (s *scene) upgraded(operation string, absorb bool) (findings []drift.Finding, gaps []drift.Gap) {
	for _, r := range s.releases {
		was, recorded := s.recorded[r.subject]
		switch {
		case r.fault != nil:
			gaps = append(gaps, drift.Gap{Operation: operation, Subject: r.subject, Reason: r.fault.reason, Hint: r.fault.hint})
		case r.value != "" && recorded && was != baseline.Unread && was != r.value:
			findings = append(findings, drift.Finding{
				Operation: operation, Subject: r.subject, Observed: r.value, Supported: was, State: drift.Active,
				Baseline: true, Explains: true, Absorb: absorb,
			})
		}
	}
	changed, blind := s.transactions(operation, absorb)
	return append(findings, changed...), append(gaps, blind...)
}

// releaseFacts adds the versions to what a baseline would record. One that nobody
// tells now stays as it was recorded.
func (s *scene) releaseFacts(facts map[string]drift.Fact) {
	for _, r := range s.releases {
		was, recorded := s.recorded[r.subject]
		known := recorded && was != baseline.Unread
		switch {
		case r.value != "" && r.fault == nil:
			facts[r.subject] = drift.Fact{Value: r.value, Fresh: !known}
		case known:
			facts[r.subject] = drift.Fact{Value: was}
		}
	}
}
