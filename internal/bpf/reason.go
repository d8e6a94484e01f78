package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Reason says in plain words why a program is not there: what it needs beside the
// capability BPF, and what of the kernel. The verifier comes first, as it refuses
// with EPERM or EACCES, too.
func Reason(err error, capabilities, features string) error {
	var refused *ebpf.VerifierError
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("the kernel refuses the BPF program, for want of the capability PERFMON or of a newer kernel (%w)", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("the capability SYS_ADMIN, or BPF with %s, is missing (%w)", capabilities, err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("the kernel lacks %s (Linux 5.8 has them): %w", features, err)
	default:
		return err
	}
}
