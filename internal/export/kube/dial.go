package kube

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// giveUpUnanswered lets the kernel end a connection whose peer has not acknowledged
// anything for as long as a request may take, instead of after a quarter of an hour.
func giveUpUnanswered(_, _ string, conn syscall.RawConn) error {
	var err error
	failed := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(requestTimeout.Milliseconds()))
	})
	if failed != nil {
		return failed
	}
	return err
}
