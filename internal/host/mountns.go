package host

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenMountNamespace opens the mount namespace of the host's pid 1, for system
// calls that take one by its descriptor.
func (r *Root) OpenMountNamespace() (*os.File, error) {
	if !r.live {
		return nil, errors.New("this is no running host")
	}
	fd, err := unix.Openat(int(r.proc.Fd()), "1/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the host's mount namespace: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount namespace"), nil
}
