// Package monitoring tests deploy/monitoring and docs/runbooks: what is rendered,
// what Prometheus' and Alertmanager's own tools say of it, and, with real agents,
// what reaches a receiver of pages.
package monitoring
