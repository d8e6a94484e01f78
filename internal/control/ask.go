package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Accept asks the host's agent. The error wraps ErrNoAgent where none answers.
func Accept(ctx context.Context, root *host.Root, ask AcceptRequest) (out AcceptResponse, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return AcceptResponse{}, fmt.Errorf("ask the agent: %w", err)
	}
	return out, send(ctx, root, http.MethodPost, acceptPath, body, maxBody, &out)
}

// Report asks the host's agent for its last report. The error wraps ErrNoAgent where
// none answers.
func Report(ctx context.Context, root *host.Root) (out drift.Report, err error) {
	return out, send(ctx, root, http.MethodGet, reportPath, nil, maxReport, &out)
}

func send(ctx context.Context, root *host.Root, method, path string, body []byte, limit int64, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, root) }}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, limit))
	if err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the agent: %s: %s", answer.Status, bytes.TrimSpace(data))
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("ask the agent: %w", err)
	}
	return nil
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
