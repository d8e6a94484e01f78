package host_test

import (
	"errors"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// Kernels before 5.6 have no openat2: the same answers come from pathrs-lite.
func TestWithoutOpenat2(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	outside, dir := t.TempDir(), t.TempDir()
	hosttest.Write(t, outside, "secret", "outside")
	hosttest.Write(t, dir, "etc/real/file", "inside")
	link(t, "/etc/real", dir+"/etc/absolute")
	link(t, "../../../../etc/real", dir+"/etc/upwards")
	link(t, outside, dir+"/etc/out")
	refuseOpenat2(t)

	r := open(t, dir)
	for _, name := range []string{"/etc/absolute/file", "/etc/upwards/file"} {
		if data, err := r.ReadFile(name, 100); err != nil || string(data) != "inside" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if data, err := r.ReadFile("/etc/out/secret", 100); err == nil {
		t.Errorf("read %q outside of the root", data)
	}
	d, err := r.OpenDir("/etc")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.OpenDir("absolute"); err == nil {
		t.Error("a link was followed")
	}
	if names, err := d.Names(10); err != nil || len(names) != 4 {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := d.ReadFile("real", 100); !errors.Is(err, host.ErrNotRegular) {
		t.Errorf("a directory was read: %v", err)
	}
}

// refuseOpenat2 lets the system call fail as if the kernel did not have it, for
// the whole process.
func refuseOpenat2(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_OPENAT2, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		t.Fatal(errno)
	}
	if _, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH}); !errors.Is(err, unix.ENOSYS) {
		t.Fatalf("openat2 still works: %v", err)
	}
}
