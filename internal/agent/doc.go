// Package agent is the loop: sources hint, checks look, Judge says what it means,
// and reporters are told when that changed. One goroutine owns all state. What is
// reported is always what was last seen, whole; a lost hint costs latency only.
package agent
