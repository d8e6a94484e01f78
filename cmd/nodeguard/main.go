// Command nodeguard notices the operations on a Kubernetes node that its provider
// documents as out of support, and hands over the documented recovery.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nodeguard/nodeguard/internal/probe"
)

func main() {
	if code, child := probe.Child(os.Args, probe.Tasks{probe.StatMounts: probe.Stat}); child {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
