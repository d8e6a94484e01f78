package paths

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// maxLinks is the kernel's own limit for a chain of links.
const maxLinks = 40

// identity is what the protected path itself is: its type, or the chain of links
// it consists of and what stands at their end.
func (l *look) identity(t *target) (value, host.Entry, error) {
	entry, err := l.root.Lstat(t.path)
	if err != nil {
		return value{}, entry, err
	}
	v := rootValue(entry)
	if entry.Type != host.Link {
		return v, entry, nil
	}
	chain, err := l.chain(t.path)
	if err != nil {
		return value{}, entry, err
	}
	v.add("to", chain)
	end, err := l.root.Stat(t.path)
	if err != nil {
		v.add("end", "nothing")
		return v, entry, nil
	}
	v.add("end", rootValue(end).String())
	return v, end, nil
}

// rootValue leaves out that something is mounted right here: the mount has a
// subject of its own.
func rootValue(e host.Entry) value {
	if e.Type == host.Directory {
		e.MountRoot = false
	}
	return describe(e)
}

// chain writes the links from a path to their end: "/a -> /b".
func (l *look) chain(name string) (string, error) {
	var chain string
	for range maxLinks {
		entry, err := l.root.Lstat(name)
		if err != nil || entry.Type != host.Link {
			break
		}
		to, err := l.root.Readlink(name)
		if err != nil {
			return "", err
		}
		if chain != "" {
			chain += " -> "
		}
		chain += drift.Printable(to)
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		name = to
	}
	return chain, nil
}

const (
	mountSuffix      = " (mount)"
	anotherDirectory = "another directory under the same name"
)

func mountSubject(subject string) string { return subject + mountSuffix }

// mount tells which mount the path lies on, and which inode it has there.
func (l *look) mount(t *target) (value, bool) {
	real, err := l.root.Resolve(t.path)
	if err != nil {
		return value{}, false
	}
	m := host.MountOf(l.mounts, real)
	if m == nil {
		return value{}, false
	}
	v := value{kind: m.FSType}
	v.add("point", drift.Printable(m.Mountpoint))
	v.add("subtree", drift.Printable(m.Root))
	if end, err := l.root.Stat(t.path); err == nil && end.Type == host.Directory {
		v.add("inode", strconv.FormatUint(end.Inode, 10))
	}
	v.add("device", fmt.Sprintf("%d:%d", m.Major, m.Minor))
	v.add("source", drift.Printable(m.Source))
	if uuid := l.uuid(m); uuid != "" {
		v.add("uuid", uuid)
	}
	v.add("boot", l.boot)
	return v, true
}

const maxDevice = 64 << 10

// uuid is the file system's own, which a format changes, as udev knows it.
func (l *look) uuid(m *mountinfo.Info) string {
	data, err := l.root.ReadFile(fmt.Sprintf("/run/udev/data/b%d:%d", m.Major, m.Minor), maxDevice)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if uuid, ok := strings.CutPrefix(strings.TrimSpace(line), "E:ID_FS_UUID="); ok {
			return drift.Printable(uuid)
		}
	}
	return ""
}

// mountDifference compares what lasts. Device numbers and names are handed out
// anew at every boot, and memory file systems start over, so those count only
// within one boot.
func mountDifference(recorded, now string) (observed, supported string) {
	was, is := parseValue(recorded), parseValue(now)
	if was.kind != is.kind || was.get("point") != is.get("point") || was.get("subtree") != is.get("subtree") {
		return onMount(is), onMount(was)
	}
	if a, b := was.get("uuid"), is.get("uuid"); a != b && a != "" && b != "" {
		return "on a file system with UUID " + b, "on the file system with UUID " + a
	}
	sameBoot := was.get("boot") == is.get("boot")
	if sameBoot && (was.get("device") != is.get("device") || was.get("source") != is.get("source")) {
		return onDevice(is), onDevice(was)
	}
	if was.get("inode") != is.get("inode") && (sameBoot || keepsInodes(is.kind)) {
		return anotherDirectory, "the directory that was recorded"
	}
	return "", ""
}

func onMount(v value) string {
	s := fmt.Sprintf("on %s mounted at %s", v.kind, v.get("point"))
	if subtree := v.get("subtree"); subtree != "/" {
		s += " (its " + subtree + ")"
	}
	return s
}

func onDevice(v value) string {
	return fmt.Sprintf("on device %s %s", v.get("device"), v.get("source"))
}

func keepsInodes(fstype string) bool {
	switch fstype {
	case "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs":
		return true
	default:
		return false
	}
}
