package components

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	cgroupSubject = "cgroup driver"
	systemd       = "systemd"
	cgroupfs      = "cgroupfs"
	driverGate    = "KubeletCgroupDriverFromCRI"
)

// driver is the cgroup driver that a component's configuration comes to; "" where
// it does not tell.
type driver struct {
	component Component
	name      string
	pending   bool
}

// cgroupDrivers compares the kubelet's driver with that of the runtime it uses.
func (s *scene) cgroupDrivers(operation string) ([]drift.Finding, []drift.Gap) {
	runtime, ok := s.runtimes[s.kubeletUses()]
	if !s.kubeletHere() || !ok || !s.judged(runtime.config) {
		return nil, nil
	}
	for _, a := range []*area{s.kubelet.config, runtime.config} {
		if a.fault != nil {
			return nil, []drift.Gap{{Operation: operation, Subject: cgroupSubject, Reason: a.fault.reason, Hint: a.fault.hint}}
		}
	}
	kubelet, theirs := s.kubeletDriver(), s.runtimeDriver(runtime)
	if kubelet.name == "" || theirs.name == "" || kubelet.name == theirs.name {
		return nil, nil
	}
	f := drift.Finding{
		Operation: operation, Subject: cgroupSubject, State: drift.Active,
		Observed:  fmt.Sprintf("%s %s, %s %s", kubelet.component, kubelet.name, theirs.component, theirs.name),
		Supported: "the same in both",
		Args:      map[string]string{"file": drift.Printable(runtime.config.place), "unit": string(theirs.component)},
	}
	if kubelet.pending || theirs.pending {
		f.State = drift.Pending
	}
	return []drift.Finding{f}, nil
}

// kubeletHere tells whether a kubelet runs here, or left its configuration.
func (s *scene) kubeletHere() bool {
	return s.processes[Kubelet] != nil || len(s.kubelet.flags) > 0 || s.kubelet.config.state == present || s.kubelet.config.fault != nil
}

// judged tells whether the runtime is here: it runs, or left its configuration.
func (s *scene) judged(a *area) bool {
	return a != nil && (s.processes[a.component] != nil || a.state == present || a.fault != nil)
}

// kubeletDriver is the one that the kubelet names. What it takes where it names
// none is known only of one that cannot ask the runtime for it.
func (s *scene) kubeletDriver() driver {
	config := s.kubelet.config
	key := "cgroupDriver"
	inFile, inConfig := config.values[key]
	flag := s.kubelet.flags.last("--cgroup-driver")
	switch {
	case s.gate(driverGate) == "true" || s.gate("AllAlpha") == "true" || s.gate("AllBeta") == "true":
		return driver{}
	case flag != "":
		return driver{component: Kubelet, name: flag}
	case inConfig:
		return driver{Kubelet, inFile.text, config.pending(key, inFile, true)}
	case s.gate(driverGate) == "false" || s.beforeGate():
		return driver{component: Kubelet, name: cgroupfs}
	default:
		return driver{}
	}
}

// gate is what a feature gate is set to; the file goes before the flag.
func (s *scene) gate(name string) string {
	text := s.kubelet.flags.last("--feature-gates." + name)
	if v, ok := s.kubelet.config.values["featureGates."+name]; ok {
		text = v.text
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return ""
	}
	return strconv.FormatBool(on)
}

// beforeGate tells whether the kubelet takes flags that were gone before the gate came.
func (s *scene) beforeGate() bool {
	return s.kubelet.flags.has("--container-runtime") || s.kubelet.flags.has("--network-plugin")
}

// endpoint is the socket of the runtime that the kubelet names; "" where it names none.
func (s *scene) endpoint() string {
	name := s.kubelet.flags.last("--container-runtime-endpoint")
	if name == "" && s.kubelet.config != nil {
		name = s.kubelet.config.values["containerRuntimeEndpoint"].text
	}
	name = strings.TrimPrefix(name, "unix://")
	if name == "" || name == `""` {
		return ""
	}
	return withoutVar(absolute(name))
}

func withoutVar(name string) string {
	if rest, ok := strings.CutPrefix(name, "/var/run/"); ok {
		return "/run/" + rest
	}
	return name
}

// kubeletUses is the runtime behind the kubelet's endpoint; "" for one that is not
// looked at, or where it cannot be told.
func (s *scene) kubeletUses() Component {
	endpoint := s.endpoint()
	switch {
	case s.kubeletNamesDocker():
		return Docker
	case endpoint != "" && endpoint == s.containerdAddress():
		return Containerd
	case endpoint != "":
		return ""
	case s.containerdWithoutCRI(), !s.judged(s.runtimes[Containerd].config):
		return Docker
	default:
		return Containerd
	}
}

// kubeletNamesDocker tells whether the kubelet was told to use Docker. Of one that was
// told nothing only the runtimes' own configuration tells.
func (s *scene) kubeletNamesDocker() bool {
	base := path.Base(s.endpoint())
	return s.kubelet.flags.last("--container-runtime") == "docker" || base == "cri-dockerd.sock" || base == "dockershim.sock"
}

func (s *scene) containerdAddress() string {
	seen := s.runtimes[Containerd]
	name := seen.flags.last("--address")
	if grpc, ok := below(seen.tree, "grpc"); ok && name == "" {
		name, _ = grpc["address"].(string)
	}
	if name == "" {
		return containerdSocket
	}
	return withoutVar(absolute(name))
}

// containerdWithoutCRI tells whether containerd runs for docker alone, as docker's
// packages set it up.
func (s *scene) containerdWithoutCRI() bool {
	disabled, _ := s.runtimes[Containerd].tree["disabled_plugins"].([]any)
	for _, name := range disabled {
		switch name {
		case "cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime":
			return true
		}
	}
	return false
}
