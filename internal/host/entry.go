package host

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Type is the kind of a directory entry.
type Type string

const (
	File        Type = "file"
	Directory   Type = "dir"
	Link        Type = "link"
	FIFO        Type = "fifo"
	Socket      Type = "socket"
	CharDevice  Type = "char"
	BlockDevice Type = "block"
)

// Entry is what stat tells of a directory entry.
type Entry struct {
	Type      Type
	Mode      uint16 // permission bits with setuid, setgid and sticky
	UID, GID  uint32
	Links     uint32
	Size      uint64
	Inode     uint64
	Device    uint64 // as unix.Mkdev numbers it
	Modified  time.Time
	Changed   time.Time
	MountRoot bool // something is mounted right here (Linux 5.8)
}

// statx asks for cached attributes, so that a dead server behind a network mount
// does not hang the reader.
func statx(dir int, name string, flags int) (Entry, error) {
	var s unix.Statx_t
	flags |= unix.AT_STATX_DONT_SYNC | unix.AT_NO_AUTOMOUNT | unix.AT_SYMLINK_NOFOLLOW
	if err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS, &s); err != nil {
		return Entry{}, fmt.Errorf("stat %s: %w", name, err)
	}
	return Entry{
		Type: typeOf(uint32(s.Mode)), Mode: s.Mode &^ unix.S_IFMT, UID: s.Uid, GID: s.Gid,
		Links: s.Nlink, Size: s.Size, Inode: s.Ino,
		Device:    unix.Mkdev(s.Dev_major, s.Dev_minor),
		Modified:  time.Unix(s.Mtime.Sec, int64(s.Mtime.Nsec)),
		Changed:   time.Unix(s.Ctime.Sec, int64(s.Ctime.Nsec)),
		MountRoot: s.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0,
	}, nil
}

func typeOf(mode uint32) Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return Directory
	case unix.S_IFLNK:
		return Link
	case unix.S_IFIFO:
		return FIFO
	case unix.S_IFSOCK:
		return Socket
	case unix.S_IFCHR:
		return CharDevice
	case unix.S_IFBLK:
		return BlockDevice
	default:
		return File
	}
}
