// Command nodeguard notices the operations on a Kubernetes node that its provider
// documents as out of support, and hands over the documented recovery.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

func main() {
	if code, child := probe.Child(os.Args, tasks()); child {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, arguments(os.Args), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// tasks are what this program does when it is executed again as a child.
func tasks() probe.Tasks {
	return probe.Tasks{probe.StatMounts: probe.Stat, rpm.Packages: rpm.Read}
}
