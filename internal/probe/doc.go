// Package probe asks questions that may never be answered, or whose answer comes
// from input that nobody should parse with the agent's rights. A child process
// takes them: this program executed again, with few rights and little room. When
// it hangs it is left behind, and nobody but itself waits for it.
package probe
