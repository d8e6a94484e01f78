package firewall

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// cause is an error in words that are the same at every look: no descriptor
// numbers, no pids, nothing out of a file.
func cause(err error) string {
	var errno syscall.Errno
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &errno):
		return errno.Error()
	default:
		return err.Error()
	}
}

func kernelHint(err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return "run as root with CAP_NET_ADMIN"
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOPROTOOPT), errors.Is(err, syscall.EPROTONOSUPPORT):
		return "this kernel does not offer them to a program of this kind; look with iptables-save on the host"
	default:
		return "look with nft list ruleset and iptables-save on the host"
	}
}
