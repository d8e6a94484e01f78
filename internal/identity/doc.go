// Package identity tells whether the node is still the one that was accepted: its
// address, network interface and default route, host name, operating system and
// size, and what its Node object says of it.
package identity
