package apiserver_test

import (
	"context"
	"testing"

	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// A Node that is not there is told as missing, by the watch alone and without a request
// for it; nothing is written for it.
func TestMissingNode(t *testing.T) {
	name := "missingnode"
	e, proxy := audited(t, name)
	e.Publish(report(raised(kernel, "there is no Node to write it to")))
	if n := e.sees(t, "that there is no Node", func(n kube.Node) bool { return !n.Exists }); n.UID != "" || n.APIServerVersion != "" {
		t.Errorf("told %+v", n)
	}
	if writes := proxy.Count("PATCH") + proxy.Count("POST"); writes > 0 {
		t.Errorf("%d writes about a Node that is not there", writes)
	}
	register(t, name)
	t.Cleanup(func() { _ = admin.DeleteNode(context.Background(), name) })
	e.seesNode(t)
	await(t, name, "the report on the Node that was registered", is(kernel, "True", "no Node to write"))
}

// Nobody tells of a deletion while the API server is out of reach.
func TestDeletedWhileAway(t *testing.T) {
	const name = "deletedwhileaway"
	register(t, name)
	wire, err := server.NewWire()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	e := export(t, name, server.ConfigAt(wire.Address, apiserver.AgentToken))
	e.seesNode(t)
	wire.Cut()
	if err := admin.DeleteNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	wire.Mend()
	e.sees(t, "the Node go", func(n kube.Node) bool { return !n.Exists })
}
