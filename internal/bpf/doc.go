// Package bpf is what nodeguard's BPF programs have in common: where the running
// kernel keeps what they read, the instructions to read it, the id of a process in
// the agent's pid namespace, and why there is no program.
package bpf
