// Package kube tells a Kubernetes API server what the reports say of a node: one
// condition a family and the two aggregates, and events when they turn. It also
// follows the own Node, and nothing else of the cluster.
//
// Three loops share nothing but one-slot mailboxes. The follower watches the Node;
// the conditions loop makes the Node's conditions equal to the last report, whatever
// happened to either; the events loop says what changed. Each waits for a server that
// is away and needs no more memory for it than the last report.
package kube
