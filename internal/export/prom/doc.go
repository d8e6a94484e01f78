// Package prom makes Prometheus metrics of what the agent knows. Nothing is
// remembered between scrapes: each one emits constant metrics from a snapshot, so
// what is gone is gone from the output, too. No other package imports client_golang.
package prom
