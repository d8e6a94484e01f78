// Package control is the agent's socket for the commands of its own host: what
// only the holder of the state can do is asked of it. The socket lies in the state
// directory, which is root's alone.
package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	socketName = "agent.sock"
	acceptPath = "/v1/accept"
	maxBody    = 1 << 20
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

// Accepter accepts.
type Accepter func(context.Context, AcceptRequest) AcceptResponse

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

// Serve answers until ctx ends.
func Serve(ctx context.Context, l net.Listener, accept Accepter) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+acceptPath, func(w http.ResponseWriter, r *http.Request) {
		var asked AcceptRequest
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&asked); err != nil {
			http.Error(w, "the request cannot be read", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(accept(r.Context(), asked))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control socket: %w", err)
	}
	return nil
}

// Accept asks the host's agent. The error wraps ErrNoAgent where none answers.
func Accept(ctx context.Context, root *host.Root, ask AcceptRequest) (AcceptResponse, error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://agent"+acceptPath, bytes.NewReader(body))
	if err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, root) }}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %s: %s", answer.Status, bytes.TrimSpace(data))
	}
	var out AcceptResponse
	if err := json.Unmarshal(data, &out); err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	return out, nil
}

func dial(ctx context.Context, root *host.Root) (net.Conn, error) {
	at, release, err := root.SocketPath(host.StateDir + "/" + socketName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	defer release() //nolint:errcheck // nothing was written
	conn, err := new(net.Dialer).DialContext(ctx, "unix", at)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, errnoOf(err))
	}
	return conn, nil
}
