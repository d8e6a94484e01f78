package hostconfig

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// directory is a directory that somebody keeps state in.
func (l *look) directory(r Rule, name string) *table {
	t := newTable("")
	t.area = name
	t.owns = func(subject string) bool { return subject == name }
	l.noteFile(name)
	e, err := l.root.Stat(name)
	switch {
	case gone(err):
		t.entries[name] = entry{value: missing, local: true}
	case err != nil:
		t.fault = faultOf(name, err)
	case e.Type != host.Directory:
		t.entries[name] = entry{value: string(e.Type), local: true}
	default:
		t.entries[name] = entry{value: l.identity(name, e), local: true}
	}
	return t
}

// identity tells one directory from another of the same name: by its inode, and by
// when it was made, since a free inode is used again at once. In a file system of
// memory both start over at every boot.
func (l *look) identity(name string, e host.Entry) string {
	value := fmt.Sprintf("dir inode=%d", e.Inode)
	if born, ok := l.born(name); ok {
		value += fmt.Sprintf(" born=%d", born)
	}
	mounts, err := l.root.Mounts()
	if err != nil {
		return value
	}
	if real, err := l.root.Resolve(name); err == nil {
		if m := host.MountOf(mounts, real); m != nil && (m.FSType == "tmpfs" || m.FSType == "ramfs" || m.FSType == "overlay") {
			value += " boot=" + l.root.BootID()
		}
	}
	return value
}

// born is when it was made, in nanoseconds, where the file system keeps that.
func (l *look) born(name string) (int64, bool) {
	at, release, err := l.root.SocketPath(name)
	if err != nil {
		return 0, false
	}
	defer release() //nolint:errcheck // nothing was written
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, at, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_BTIME, &s); err != nil {
		return 0, false
	}
	return s.Btime.Sec*1e9 + int64(s.Btime.Nsec), s.Mask&unix.STATX_BTIME != 0
}

// directoryFindings: it is missing where it was, or where its owner is; or it is
// another one, so that what was in the first is lost.
func (l *look) directoryFindings(r Rule, t *table) []drift.Finding {
	now := t.entries[t.area]
	was, known := l.recordedDirectory(t)
	f := entry{args: pathArgs(t.area)}.finding(t.area)
	f.Supported, f.Baseline = present, true
	switch {
	case !isDir(now.value):
		if !known && !l.ownerThere(r) {
			return nil
		}
		f.Observed, f.Baseline = now.value, known
	case known && isDir(was) && differs(was, now.value):
		f.Observed, f.Supported = "another directory under the same name", "the directory that was recorded"
		f.Tier = r.ReplacedTier
	default:
		return nil
	}
	return []drift.Finding{f}
}

func (l *look) recordedDirectory(t *table) (string, bool) {
	was, known := l.recorded[t.area]
	return was, known && was != baseline.Unread
}

// directoryFact is what a baseline keeps: of one that is missing nothing, so that
// its coming is an addition.
func (l *look) directoryFact(t *table) (drift.Fact, bool) {
	now := t.entries[t.area]
	_, known := l.recordedDirectory(t)
	return drift.Fact{Value: now.value, Local: true, Fresh: !known}, isDir(now.value)
}

func (l *look) ownerThere(r Rule) bool {
	for _, glob := range r.Owner {
		if found, err := l.expand(glob); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

func isDir(value string) bool { return strings.HasPrefix(value, "dir ") }

// differs compares within one boot, and over boots where inodes last.
func differs(was, now string) bool {
	before, is := identityOf(was), identityOf(now)
	if before["boot"] != is["boot"] {
		return false
	}
	known := before["born"] != "" && is["born"] != ""
	return before["inode"] != is["inode"] || known && before["born"] != is["born"]
}

func identityOf(value string) map[string]string {
	out := map[string]string{}
	for word := range strings.FieldsSeq(value) {
		name, text, _ := strings.Cut(word, "=")
		out[name] = text
	}
	return out
}
