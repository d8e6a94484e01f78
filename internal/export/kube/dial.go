package kube

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// unacknowledged is when a connection is of no use any more: a peer that is slow
// acknowledges all the same, one that is gone, or was reached from an address that
// this host no longer has, does not.
const unacknowledged = 4 * time.Second

// giveUpUnanswered lets the kernel end a connection whose peer acknowledges nothing,
// instead of after a quarter of an hour.
func giveUpUnanswered(_, _ string, conn syscall.RawConn) error {
	var err error
	failed := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged.Milliseconds()))
	})
	if failed != nil {
		return failed
	}
	return err
}
