package bpf

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestReason(t *testing.T) {
	other := errors.New("no cgroup2 hierarchy is mounted")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{unix.EPERM, "the capability SYS_ADMIN, or BPF with PERFMON and NET_ADMIN, is missing"},
		{unix.EACCES, "the capability SYS_ADMIN, or BPF with PERFMON and NET_ADMIN, is missing"},
		{&ebpf.VerifierError{Cause: unix.EPERM}, "the kernel refuses the BPF program"},
		{&ebpf.VerifierError{Cause: unix.EACCES}, "the kernel refuses the BPF program"},
		{ebpf.ErrNotSupported, "the kernel lacks ring buffers (Linux 5.8 has them)"},
		{other, other.Error()},
	} {
		err := fmt.Errorf("load: %w", tt.err)
		got := Reason(err, "PERFMON and NET_ADMIN", "ring buffers")
		if !strings.Contains(got.Error(), tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("%v: %v, want %s", err, got, tt.want)
		}
	}
}
