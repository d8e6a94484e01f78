// Package control is the agent's socket for the commands of its own host: what
// only the holder of the state can do is asked of it. The socket lies in the state
// directory, which is root's alone.
package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	socketName = "agent.sock"
	acceptPath = "/v1/accept"
	reportPath = "/v1/report"
	maxBody    = 1 << 20
	maxReport  = 64 << 20
)

// ErrNoAgent means that no agent answers on this host.
var ErrNoAgent = errors.New("no agent answers on this host")

// AcceptRequest asks for the node as it is now to be what is recorded: all of it, or
// only the named subjects.
type AcceptRequest struct {
	Subjects []string `json:"subjects"`
	Reason   string   `json:"reason"`
}

// AcceptResponse is what became of it.
type AcceptResponse struct {
	Changed int    `json:"changed"`
	Error   string `json:"error,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Answers are the agent's.
type Answers struct {
	Accept func(context.Context, AcceptRequest) AcceptResponse
	// Report is the last one; none before the first full pass.
	Report func() (drift.Report, bool)
}

// Listen takes the socket's place, whatever an agent that was killed left there.
// The caller holds the state.
func Listen(ctx context.Context, root *host.Root) (net.Listener, error) {
	dir, err := root.State("", true)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	defer dir.Close()
	if err := dir.Remove(socketName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	at, err := dir.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	defer at.Close()
	l, err := new(net.ListenConfig).Listen(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", at.Fd(), socketName))
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", errnoOf(err))
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // its name does not outlive this function
	if err := dir.Chmod(socketName, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("open the control socket: %w", err), l.Close())
	}
	return l, nil
}

// errnoOf leaves out the descriptor that the path is made of.
func errnoOf(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
