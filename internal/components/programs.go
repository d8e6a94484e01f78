package components

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
)

const (
	osReleaseFile = "/proc/sys/kernel/osrelease"
	modulesDir    = "/lib/modules"
)

// installed are the versions of packages, which the rule's keys choose from. On a host
// whose database is not read the versions that the Node tells have to do.
func (s *scene) installed(Rule) []*area {
	s.noteFile(packages.DpkgStatus)
	versions, err := s.packages.Installed(s.root)
	switch {
	case errors.Is(err, packages.ErrRPM) && s.own.KubeletVersion != "":
		return nil
	case err != nil:
		a := document("package", packages.DpkgStatus)
		a.fault = &fault{"packages: " + err.Error(), "compare the versions with a node of the same image"}
		if !errors.Is(err, packages.ErrRPM) {
			a.fault = faultOf(packages.DpkgStatus, err)
		}
		return []*area{a}
	}
	a := document("package", "")
	a.state = present
	for name, version := range versions {
		if componentPackage(name) {
			a.values[oneWord(name)] = value{text: bounded(version)}
		}
	}
	if len(a.values) == 0 {
		return nil
	}
	return []*area{a}
}

// componentPackage leaves out what is no part of the components, which comes and goes.
func componentPackage(name string) bool {
	for _, prefix := range []string{"kube", "containerd", "docker", "runc", "cri-", "crictl", "openvswitch", "moby-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// kernels are the running kernel and those that are installed, which the next boot
// may start.
func (s *scene) kernels(Rule) []*area {
	a := document("kernel", modulesDir)
	a.state = present
	if data, err := s.root.ReadFile(osReleaseFile, maxEnv); err == nil {
		a.values["running"] = value{text: bounded(strings.TrimSpace(string(data)))}
	} else if !gone(err) {
		return faulty("kernel", &fileFault{osReleaseFile, err}, osReleaseFile)
	}
	s.noteDir(modulesDir)
	names, err := s.root.ReadDir(modulesDir, maxNames)
	if err != nil && !gone(err) {
		return faulty("kernel", &fileFault{modulesDir, err}, modulesDir)
	}
	for _, name := range names {
		dir := path.Join(modulesDir, name)
		if e, err := s.root.Stat(path.Join(dir, "modules.dep")); err == nil {
			a.values["installed "+oneWord(name)] = value{text: string(present), changed: e.Changed}
		}
	}
	if len(a.values) == 0 {
		return nil
	}
	// What is installed now runs only after a boot, and a boot is what ends the wait.
	a.started = time.Unix(1, 0)
	return []*area{a}
}

// drivers are the CSI drivers that are registered with the kubelet.
func (s *scene) drivers(Rule) []*area {
	base := s.kubelet.flags.last("--root-dir")
	if base == "" {
		base = "/var/lib/kubelet"
	}
	settings := map[string]string{}
	for _, name := range s.entries(path.Join(base, "plugins_registry")) {
		if driver, ok := strings.CutSuffix(name, "-reg.sock"); ok {
			settings[oneWord(driver)] = drift.Printable(driver)
		}
	}
	for _, name := range s.entries(path.Join(base, "plugins")) {
		if _, err := s.root.Lstat(path.Join(base, "plugins", name, "csi.sock")); err == nil {
			settings[oneWord(name)] = drift.Printable(name)
		}
	}
	return simple("csi driver", settings)
}

func (s *scene) entries(dir string) []string {
	s.noteDir(dir)
	names, err := s.root.ReadDir(dir, maxNames)
	if err != nil {
		return nil
	}
	return names
}
