package kube

import (
	"context"
	"errors"
	"fmt"
)

// Prune takes nodeguard's conditions and annotations off the named Nodes. It goes on
// after a Node that failed.
func Prune(ctx context.Context, client *Client, nodes ...string) error {
	patch := traces()
	var failed []error
	for _, node := range nodes {
		if _, err := client.patchStatus(ctx, node, patch.json()); err != nil {
			failed = append(failed, fmt.Errorf("prune node %s: %w", node, err))
		}
	}
	return errors.Join(failed...)
}

// PruneAll does the same to every Node of the cluster that has a trace of nodeguard,
// and returns their names.
func PruneAll(ctx context.Context, client *Client) (pruned []string, err error) {
	marked, err := markedNodes(ctx, client)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, node := range marked {
		if err := Prune(ctx, client, node); err != nil {
			failed = append(failed, err)
			continue
		}
		pruned = append(pruned, node)
	}
	return pruned, errors.Join(failed...)
}

func markedNodes(ctx context.Context, client *Client) ([]string, error) {
	var marked []string
	for from, more := "", true; more; {
		page, err := client.page(ctx, from)
		if err != nil {
			return nil, fmt.Errorf("list the nodes: %w", err)
		}
		for i := range page.Items {
			if n := nodeOf(&page.Items[i]); len(n.Conditions) > 0 || len(n.Annotations) > 0 {
				marked = append(marked, page.Items[i].Name)
			}
		}
		from = page.Continue
		more = from != ""
	}
	return marked, nil
}

// traces removes all that any release of nodeguard writes to a Node or reads there.
func traces() statusPatch {
	p := statusPatch{Metadata: &metadataPatch{Annotations: map[string]*string{
		AcceptBaseline: nil, MaintenanceUntil: nil, IdentityDigest: nil, ProfileName: nil,
	}}}
	for _, condition := range conditionTypes {
		p.remove(condition)
	}
	return p
}
