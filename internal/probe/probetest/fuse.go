// Package probetest mounts file systems whose server does not answer, or is gone.
package probetest

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Of the protocol of /dev/fuse, as linux/fuse.h has it.
const (
	opInit      = 26
	inHeader    = 40
	outHeader   = 16
	initOut     = 64
	majorNumber = 7
	minorNumber = 31
	maxRequest  = 1 << 20
)

// Silent mounts a file system on a directory, whose server takes every request and
// answers none but the first, and returns its device. release lets the server die,
// which ends all waiting.
func Silent(tb testing.TB, dir string) (device uint64, release func()) {
	tb.Helper()
	fd, device := mount(tb, dir)
	over := make(chan struct{})
	go func() {
		defer close(over)
		serve(fd)
	}()
	release = sync.OnceFunc(func() {
		_ = unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE)
		<-over
		_ = unix.Close(fd)
	})
	tb.Cleanup(release)
	return device, release
}

// Dead mounts a file system whose server is gone: every request fails at once.
func Dead(tb testing.TB, dir string) (device uint64) {
	tb.Helper()
	fd, device := mount(tb, dir)
	_ = unix.Close(fd)
	tb.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return device
}

// mount returns the server's end of a file system.
func mount(tb testing.TB, dir string) (fd int, device uint64) {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		tb.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		tb.Skipf("no FUSE in this kernel: %v", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)
	if err := unix.Mount("server", dir, "fuse.test", 0, options); err != nil {
		tb.Fatalf("mount FUSE: %v", err)
	}
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &s); err != nil {
		tb.Fatal(err)
	}
	return fd, unix.Mkdev(s.Dev_major, s.Dev_minor)
}

// serve answers the first request, as the kernel waits for it, and only takes the others.
func serve(fd int) {
	request := make([]byte, maxRequest)
	for {
		n, err := unix.Read(fd, request)
		if err == unix.EINTR || err == unix.ENOENT {
			continue
		}
		if err != nil || n < inHeader {
			return
		}
		if binary.NativeEndian.Uint32(request[4:]) == opInit {
			answer := make([]byte, outHeader+initOut)
			binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
			copy(answer[8:16], request[8:16]) // which request it answers
			binary.NativeEndian.PutUint32(answer[outHeader:], majorNumber)
			binary.NativeEndian.PutUint32(answer[outHeader+4:], minorNumber)
			if _, err := unix.Write(fd, answer); err != nil {
				return
			}
		}
	}
}
