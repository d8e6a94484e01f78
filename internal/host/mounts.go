package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// maxMountinfo holds tens of thousands of mounts.
const maxMountinfo = 32 << 20

// Mounts are the mounts of pid 1, in mount order; a tree without them has none.
func (r *Root) Mounts() ([]*mountinfo.Info, error) {
	data, err := r.ReadFile("/proc/1/mountinfo", maxMountinfo)
	if errors.Is(err, fs.ErrNotExist) && !r.live {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the mounts of pid 1: %w", err)
	}
	mounts, err := mountinfo.GetMountsFromReader(bytes.NewReader(data), nil)
	if err != nil {
		return nil, fmt.Errorf("parse the mounts of pid 1: %w", err)
	}
	return mounts, nil
}

// MountOf returns the mount that the path, free of links, lies on; nil where none
// is known. The last of several on one point is the visible one.
func MountOf(mounts []*mountinfo.Info, name string) *mountinfo.Info {
	var found *mountinfo.Info
	for _, m := range mounts {
		if contains(m.Mountpoint, name) && (found == nil || len(m.Mountpoint) >= len(found.Mountpoint)) {
			found = m
		}
	}
	return found
}

func contains(dir, name string) bool {
	return dir == "/" || name == dir || strings.HasPrefix(name, path.Clean(dir)+"/")
}

// Remote tells whether a file system of this type asks a server or a process
// that may never answer.
func Remote(fstype string) bool {
	switch kind, _, _ := strings.Cut(fstype, "."); kind {
	case "nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs", "lustre", "gpfs", "glusterfs", "ocfs2", "fuse", "fuseblk":
		return true
	default:
		return false
	}
}
