// Package baseline keeps what this node looked like when it was accepted: it
// records, loads, merges and survives a loss of power.
package baseline
