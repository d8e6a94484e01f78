package volumes

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	sysBlock  = "/sys/dev/block"
	maxSysfs  = 4 << 10
	maxSlaves = 256
)

// withErrors is the tier of a file system that works and has recorded errors.
const withErrors = "errors"

// dead are the states of a SCSI disk or an NVMe controller that does nothing more.
var dead = []string{"offline", "transport-offline", "deleted", "deleting", "dead", "cancel"}

// detached finds volumes whose device is gone or fails. That of a pod that ends is
// unmounted first.
func (j *judge) detached() {
	for _, v := range j.lasting() {
		m := v.top()
		if m == nil || !disk(m) {
			continue
		}
		observed := j.failing(v.subject(), m)
		switch {
		case observed != "":
			if j.stillRuns(v.pod) {
				j.add("", v.subject(), observed, "a device that works", v.target())
			}
		case j.errors(m) > 0:
			j.add(withErrors, v.subject(), "the file system has recorded errors", "none", v.target())
		}
	}
}

// failing says what is wrong with the device or the file system on it; "" where
// nothing is.
func (j *judge) failing(subject string, m *mountinfo.Info) string {
	if why := j.lost(m); why != "" {
		return why
	}
	super := strings.Split(m.VFSOptions, ",")
	switch {
	case slices.Contains(super, "shutdown"):
		return "the file system has shut down"
	case slices.Contains(super, "emergency_ro"), slices.Contains(super, "ro") && slices.Contains(strings.Split(m.Options, ","), "rw"):
		return "the file system became read-only"
	case m.FSType == "xfs" && j.live:
		if errno, ok := j.asked(subject, m); ok && errno == unix.EIO {
			return "the file system answers with I/O errors"
		}
	}
	return ""
}

// lost says why the device under a mount is none any more.
func (j *judge) lost(m *mountinfo.Info) string {
	if !j.root.Exists(sysBlock) {
		return "" // a tree without devices
	}
	number := numbers(m)
	at := path.Join(sysBlock, number)
	if !j.root.Exists(at) {
		return "device " + number + " is gone"
	}
	slaves, err := j.root.ReadDir(path.Join(at, "slaves"), maxSlaves)
	if err == nil && strings.HasPrefix(j.blockName(number), "dm-") && !slices.ContainsFunc(slaves, func(name string) bool {
		return j.root.Exists(path.Join(at, "slaves", name))
	}) {
		return "device " + number + " has no disk under it"
	}
	for _, name := range []string{"device/state", "../device/state"} {
		if state := j.sysfs(at + "/" + name); slices.Contains(dead, state) {
			return "device " + number + " is " + state
		}
	}
	return ""
}

func numbers(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }

// sysfs is the first line of an attribute; "" where there is none.
func (s *scene) sysfs(name string) string {
	data, err := s.root.ReadFile(name, maxSysfs)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// blockName is the kernel's name of a block device: vdb, dm-3.
func (s *scene) blockName(number string) string {
	link, err := s.root.Readlink(path.Join(sysBlock, number))
	if err != nil {
		return ""
	}
	return path.Base(link)
}

// errors is how many errors ext4 has recorded, which outlive a mount.
func (s *scene) errors(m *mountinfo.Info) int {
	if !counts(m) {
		return 0
	}
	name := s.blockName(numbers(m))
	if name == "" {
		name = path.Base(m.Source)
	}
	n, err := strconv.Atoi(s.sysfs(path.Join("/sys/fs/ext4", name, "errors_count")))
	if err != nil {
		return 0
	}
	return n
}

// disksOf are the names of the whole disks under a device number, through
// partitions and device mapper; the number itself where sysfs does not tell.
func (s *scene) disksOf(number string, depth int) []string {
	link, err := s.root.Readlink(path.Join(sysBlock, number))
	if err != nil {
		return []string{number}
	}
	_, within, ok := strings.Cut(link, "/block/")
	if !ok {
		return []string{number}
	}
	name, _, _ := strings.Cut(within, "/")
	slaves, err := s.root.ReadDir(path.Join("/sys/block", name, "slaves"), maxSlaves)
	if err != nil || len(slaves) == 0 || depth > maxStacked {
		return []string{name}
	}
	var out []string
	for _, slave := range slaves {
		if number := s.sysfs(path.Join("/sys/class/block", slave, "dev")); number != "" {
			out = append(out, s.disksOf(number, depth+1)...)
		}
	}
	return out
}

// maxStacked is how many layers of device mapper are followed.
const maxStacked = 8

// onSystemDisk tells whether a mount lies on the disk of the operating system.
func (s *scene) onSystemDisk(m *mountinfo.Info) bool {
	on, known := s.onSystem[device(m)]
	if !known {
		on = s.sharesDisk(m, s.mountOf("/"))
		s.onSystem[device(m)] = on
	}
	return on
}

func (s *scene) sharesDisk(m, system *mountinfo.Info) bool {
	switch {
	case system == nil:
		return false
	case device(system) == device(m):
		return true
	case !disk(m) || !disk(system):
		return false
	}
	ours := s.disksOf(numbers(system), 0)
	return slices.ContainsFunc(s.disksOf(numbers(m), 0), func(name string) bool { return slices.Contains(ours, name) })
}

// udev is what udev's database says of a block device; nil where it says nothing.
func (s *scene) udev(m *mountinfo.Info) map[string]string {
	data, err := s.root.ReadFile("/run/udev/data/b"+numbers(m), maxVolume)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "E:"); ok {
			name, value, _ := strings.Cut(rest, "=")
			out[name] = drift.Printable(value)
		}
	}
	return out
}
