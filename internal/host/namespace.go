package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrForeignNetwork means that the reader's network namespace is not the host's,
// so that every net sysctl, table and interface that it sees is another's.
var ErrForeignNetwork = errors.New("the reader's network namespace is not that of the host's pid 1")

// HostNetworkHint is what to do about ErrForeignNetwork.
const HostNetworkHint = "run in the host's network namespace (hostNetwork: true in a pod)"

// CheckNetwork returns nil where the answers of the kernel about the network are
// the host's: the inode of /proc/PID/net/dev is the namespace's own, and looking
// at it needs no capability. A tree that is not live has no namespace to differ.
func (r *Root) CheckNetwork() error {
	if !r.live {
		return nil
	}
	theirs, err := r.netInode("1")
	if err != nil {
		return fmt.Errorf("compare network namespaces: %w", err)
	}
	ours, err := r.ownNetInode()
	if err != nil {
		return fmt.Errorf("compare network namespaces: %w", err)
	}
	if theirs != ours {
		return ErrForeignNetwork
	}
	return nil
}

func (r *Root) netInode(pid string) (uint64, error) {
	e, err := statx(int(r.proc.Fd()), pid+"/net/dev", 0)
	return e.Inode, err
}

func (r *Root) ownNetInode() (uint64, error) {
	e, err := statx(unix.AT_FDCWD, "/proc/thread-self/net/dev", 0)
	return e.Inode, err
}
