// Package web answers HTTP: metrics to Prometheus, probes to the kubelet, the
// report to whoever is on the node or authenticates. TLS and authentication are
// those of Prometheus' exporter-toolkit.
package web
