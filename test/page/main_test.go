//go:build e2e

// Package page opens the status page of real agents in headless Chromium: what a
// browser says of it, who can use it, and that it asks for nothing else.
package page

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	for _, name := range []string{"NODEGUARD_E2E_BINARY", "NODEGUARD_E2E_AXE"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "$%s is not set: run these tests with make e2e\n", name)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
