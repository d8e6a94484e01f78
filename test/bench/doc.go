// Package bench measures what nodeguard promises to cost, beside something that people
// know, in the same run: `make bench`, and `make bench-scale` for what takes long. What
// it measures is written to docs/benchmarks.md.
package bench
