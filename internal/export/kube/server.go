package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// askAgain is how long the server's version is believed while the watch goes on: one
	// that is upgraded restarts, and ends it. Of several servers another one may answer.
	askAgain = 6 * time.Hour
	// askLater is when a server that did not tell is asked again.
	askLater = 10 * time.Minute
	// askFor is how long the Node waits for the answer.
	askFor = 2 * time.Second
	// askSpread is within which a server that is back is asked: it has a fleet to attend to.
	askSpread  = 10 * time.Second
	maxVersion = 64
)

// server is what is known of the API server.
type server struct {
	version string // "": it has not said yet
	silent  bool
}

// ask asks the server of which version it is, and returns when to ask again. While it
// does not tell, what it told last holds.
func (f *following) ask(ctx context.Context) (again time.Duration) {
	version, err := f.api.version(ctx)
	if ctx.Err() != nil {
		return askLater
	}
	f.said("ask the API server for its version", &f.server.silent, err)
	if err != nil {
		return askLater
	}
	f.server.version = version
	return askAgain + rand.N(askAgain/10) //nolint:gosec // a fleet does not ask at once
}

// askFirst asks as a watch begins, or later where the answer is known already.
func (f *following) askFirst(ctx context.Context) (again time.Duration) {
	if f.server.version == "" {
		return f.ask(ctx)
	}
	return rand.N(askSpread) //nolint:gosec // jitter
}

// upgraded tells whether the kubelet is of another version than before.
func (f *following) upgraded(n *corev1.Node) bool {
	is := n.Status.NodeInfo.KubeletVersion
	return f.told != nil && f.told.Exists && f.told.KubeletVersion != "" && is != f.told.KubeletVersion
}

// tellServer gives the agent a Node that is there with the server's version as it is now.
func (f *following) tellServer() {
	if f.told != nil && f.told.Exists {
		n := *f.told
		n.APIServerVersion = f.server.version
		f.tell(n)
	}
}

// version is what the server says of its build. Whoever is authenticated may ask.
func (c *Client) version(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	data, err := c.nodes.Get().AbsPath("/version").MaxRetries(0).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var info struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return "", fmt.Errorf("decode the version: %w", err)
	}
	if info.GitVersion == "" || len(info.GitVersion) > maxVersion {
		return "", errors.New("the answer has no version")
	}
	return drift.Printable(info.GitVersion), nil
}
