package identity

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

var errForeignName = errors.New("the reader's host name is not that of the host's pid 1")

// hostnameItems are the name in force and the one of the next boot. In a tree they
// are one.
func (s *scene) hostnameItems() []item {
	const inForce, atBoot = "hostname", "/etc/hostname"
	i := item{aspect: Hostname, subject: inForce, value: drift.Printable(s.root.Hostname())}
	if was, recorded := s.before(inForce); recorded {
		i.args = map[string]string{"hostname": was}
	}
	if !s.root.Live() {
		i.blind = i.value == ""
		return []item{i}
	}
	if err := s.checkHostname(); err != nil {
		i = item{aspect: Hostname, subject: inForce, blind: true, why: err, hint: "run as root in the host's network namespace (hostNetwork: true in a pod), which brings its host name along"}
	}
	boot := item{aspect: Hostname, subject: atBoot, pending: true, value: drift.Printable(host.HostnameIn(text(s.root, atBoot)))}
	return []item{i, boot}
}

// firstUTS is the machine's own UTS namespace, whose number is fixed.
const firstUTS = "uts:[4026531838]"

// checkHostname tells why the kernel's answer is not about the host: a container may
// have a UTS namespace of its own.
func (s *scene) checkHostname() error {
	ours, err := ownUTS()
	if err != nil {
		return fmt.Errorf("compare UTS namespaces: %w", err)
	}
	theirs, err := s.root.Readlink("/proc/1/ns/uts")
	switch {
	case err != nil && ours == firstUTS:
		return nil
	case err != nil:
		return fmt.Errorf("compare UTS namespaces: %w", err)
	case ours != theirs:
		return errForeignName
	}
	return nil
}

const machineID = "machine-id"

// shownDigest is as much of a digest as tells two machines apart.
const shownDigest = len("sha256:") + 12

// installationItems tell installations of an operating system apart. The machine-id
// itself is confidential, as machine-id(5) asks.
func (s *scene) installationItems() []item {
	id := item{aspect: Installation, subject: machineID, value: shorten(s.machineDigest())}
	id.blind = id.value == ""
	fs := item{aspect: Installation, subject: "root file system", value: s.rootUUID()}
	fs.blind = fs.value == ""
	return []item{id, fs}
}

func (s *scene) machineDigest() string { return baseline.Machine{ID: s.root.MachineID()}.Digest() }

func shorten(digest string) string { return digest[:min(len(digest), shownDigest)] }

const byUUID = "/dev/disk/by-uuid"

// rootUUID is the UUID of the root file system; "" where nothing tells.
func (s *scene) rootUUID() string {
	mounts, err := s.root.Mounts()
	if err != nil {
		return ""
	}
	root := host.MountOf(mounts, "/")
	if root == nil || host.Remote(root.FSType) {
		return ""
	}
	device := s.device(root)
	names, _ := s.root.ReadDir(byUUID, maxInterfaces)
	for _, name := range names {
		if to, err := s.root.Readlink(byUUID + "/" + name); err == nil && path.Base(to) == device {
			return drift.Printable(name)
		}
	}
	return ""
}

// device is the kernel's name of what a file system lies on.
func (s *scene) device(m *mountinfo.Info) string {
	to, err := s.root.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", m.Major, m.Minor))
	if err != nil {
		return path.Base(m.Source)
	}
	return path.Base(to)
}

// release is what os-release says.
type release struct{ id, version string }

func (s *scene) release() (release, bool) {
	var r release
	for line := range strings.Lines(text(s.root, "/etc/os-release", "/usr/lib/os-release")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch name {
		case "ID":
			r.id = value
		case "VERSION_ID":
			r.version = value
		}
	}
	return r, r.id != ""
}

// distributionItems tell the distribution with its major version: what an update
// brings is no other system. Ubuntu's minor version is part of its name.
func (s *scene) distributionItems() []item {
	i := item{aspect: Distribution, subject: "operating system", common: true}
	r, ok := s.release()
	if !ok {
		i.blind = true
		if _, recorded := s.before(i.subject); recorded {
			i.why, i.hint = errors.New("no os-release can be read"), "look at /etc/os-release on the host"
		}
		return []item{i}
	}
	version := r.version
	if r.id != "ubuntu" {
		version, _, _ = strings.Cut(version, ".")
	}
	i.value = drift.Printable(strings.TrimSpace(r.id + " " + version))
	return []item{i}
}

// kernelItems are about the kernel that runs: one that was installed beside it is
// none yet.
func (s *scene) kernelItems() []item {
	i := item{aspect: Kernel, subject: "kernel", common: true, value: drift.Printable(firstLine(s.root, "/proc/sys/kernel/osrelease"))}
	i.blind = i.value == ""
	return []item{i}
}

const (
	kib          = " kB"
	memorySlack  = 5 // a fifth: what kernels keep to themselves differs
	virtioMemory = "/sys/bus/virtio/drivers/virtio_mem"
	acpiDevices  = "/sys/bus/acpi/devices"
	acpiMemory   = "PNP0C80:"
)

// capacityItems are the machine's size. CPUs that are switched off are there all the
// same, huge pages are memory, and memory that can be plugged in says nothing.
func (s *scene) capacityItems() []item {
	cpus := item{aspect: Capacity, subject: "cpus", common: true, value: cpuCount(firstLine(s.root, "/sys/devices/system/cpu/present"))}
	cpus.blind = cpus.value == ""
	memory := item{aspect: Capacity, subject: "memory", common: true, value: memTotal(text(s.root, "/proc/meminfo"))}
	memory.blind = memory.value == "" || s.pluggable()
	if was, ok := s.before(memory.subject); ok && alike(was, memory.value) {
		memory.value = was
	}
	return []item{cpus, memory}
}

// cpuCount counts a list like 0-3,8.
func cpuCount(list string) string {
	n := 0
	for span := range strings.SplitSeq(list, ",") {
		first, last, many := strings.Cut(span, "-")
		if !many {
			last = first
		}
		a, errA := strconv.Atoi(first)
		b, errB := strconv.Atoi(last)
		if errA != nil || errB != nil || b < a {
			return ""
		}
		n += b - a + 1
	}
	return strconv.Itoa(n)
}

func memTotal(meminfo string) string {
	for line := range strings.Lines(meminfo) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func alike(was, is string) bool {
	a, errA := strconv.ParseInt(strings.TrimSuffix(was, kib), 10, 64)
	b, errB := strconv.ParseInt(strings.TrimSuffix(is, kib), 10, 64)
	return errA == nil && errB == nil && max(a, b)-min(a, b) <= max(a, b)/memorySlack
}

// pluggable tells whether the machine has memory modules that come and go.
func (s *scene) pluggable() bool {
	devices, _ := s.root.ReadDir(virtioMemory, maxInterfaces)
	acpi, _ := s.root.ReadDir(acpiDevices, maxInterfaces)
	for _, d := range devices {
		if strings.HasPrefix(d, "virtio") {
			return true
		}
	}
	for _, d := range acpi {
		if strings.HasPrefix(d, acpiMemory) {
			return true
		}
	}
	return false
}
