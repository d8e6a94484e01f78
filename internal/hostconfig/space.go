package hostconfig

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// space is what root can still write below a directory, in MiB. A server behind a
// network mount is not asked.
func (l *look) space(_ Rule, name string) *table {
	t := newTable("free space")
	t.area = "free space " + name
	at, err := l.root.Resolve(name)
	if gone(err) || !l.root.Live() {
		return skipped()
	}
	if err != nil {
		t.fault = faultOf(name, err)
		return t
	}
	mounts, err := l.root.Mounts()
	if err != nil {
		t.fault = &fault{drift.Printable(err.Error()), "run as root in the host's pid namespace (hostPID: true in a pod)"}
		return t
	}
	if m := host.MountOf(mounts, at); m != nil && host.Remote(m.FSType) {
		return skipped()
	}
	free, err := l.free(at)
	if err != nil {
		t.fault = faultOf(name, err)
		return t
	}
	t.entries[drift.Printable(name)] = entry{value: fmt.Sprintf("%.1f GiB", float64(free)/1024), number: free, args: pathArgs(name)}
	return t
}

func (l *look) free(name string) (int64, error) {
	at, release, err := l.root.SocketPath(name)
	if err != nil {
		return 0, err
	}
	defer release() //nolint:errcheck // nothing was written
	var s unix.Statfs_t
	if err := unix.Statfs(at, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", name, err)
	}
	return int64(s.Bavail) * s.Bsize >> 20, nil
}
