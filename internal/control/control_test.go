package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/control"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

func open(t *testing.T) (*host.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, filepath.Join(dir, host.StateDir, "agent.sock")
}

func serve(t *testing.T, root *host.Root, accept func(context.Context, control.AcceptRequest) control.AcceptResponse) (stop func()) {
	t.Helper()
	l, err := control.Listen(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, l, control.Answers{Accept: accept, Report: func() (drift.Report, bool) { return drift.Report{Node: "n1"}, true }})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestTheAgentAccepts(t *testing.T) {
	root, socket := open(t)
	var asked control.AcceptRequest
	stop := serve(t, root, func(_ context.Context, r control.AcceptRequest) control.AcceptResponse {
		asked = r
		return control.AcceptResponse{Changed: 3}
	})
	want := control.AcceptRequest{Subjects: []string{"/etc/a\nb"}, Reason: "CHG-1"}
	got, err := control.Accept(t.Context(), root, want)
	if err != nil || got.Changed != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Lstat(socket); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket is %v, %v: root's alone", info.Mode(), err)
	}
	stop()
	if _, err := control.Accept(t.Context(), root, want); !errors.Is(err, control.ErrNoAgent) {
		t.Errorf("after its end: %v", err)
	}
	defer serve(t, root, func(context.Context, control.AcceptRequest) control.AcceptResponse {
		return control.AcceptResponse{Error: "no"}
	})() // over what the first one left behind
	if got, err := control.Accept(t.Context(), root, want); err != nil || got.Error != "no" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWithoutAnAgent(t *testing.T) {
	root, _ := open(t)
	if _, err := control.Accept(t.Context(), root, control.AcceptRequest{}); !errors.Is(err, control.ErrNoAgent) {
		t.Errorf("got %v", err)
	}
}

// What lies in the socket's place is replaced, never followed.
func TestALinkInTheSocketsPlace(t *testing.T) {
	root, socket := open(t)
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Symlink(target, socket); err != nil {
		t.Fatal(err)
	}
	defer serve(t, root, nil)()
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was followed: %v", err)
	}
}

func TestTheAgentReports(t *testing.T) {
	root, _ := open(t)
	if _, err := control.Report(t.Context(), root); !errors.Is(err, control.ErrNoAgent) {
		t.Errorf("without an agent: %v", err)
	}
	defer serve(t, root, nil)()
	if r, err := control.Report(t.Context(), root); err != nil || r.Node != "n1" {
		t.Errorf("%+v, %v", r, err)
	}
}
