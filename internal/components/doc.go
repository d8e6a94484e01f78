// Package components is the check ComponentConfigDrift: the flags that the kubelet,
// containerd and dockerd run with, the files that they read at their start, and
// the binaries that they run from. Configuration is compared key by key and value
// by value; order, comments and spelling do not count.
package components
