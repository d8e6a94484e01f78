// Package paths is the check behind KubernetesPathDrift: the identity of the
// protected paths (type, links, mount, owner, mode) and the content of what is
// static below them, against the baseline. What kubelet and the runtime write in
// the ordinary course of things does not count; the rules say what that is.
package paths
