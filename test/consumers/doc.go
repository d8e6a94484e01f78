// Package consumers holds what docs/consumers.md promises to those who act on the
// conditions of a Node against their real code: Karpenter's node repair and Cluster
// API's MachineHealthCheck, with a real agent and a real API server.
//
// It is a module of its own: their Kubernetes libraries are older than the agent's,
// so the agent takes part as the binary that it is in a cluster.
package consumers
