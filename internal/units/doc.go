// Package units is the way to the host's systemd: one place that dials the bus,
// and one connection over which the checks hear that their units changed.
package units
