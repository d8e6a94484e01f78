// Package sysctl is the check behind KernelParameterDrift: kernel parameters as
// they are in force in the host's network namespace, and as the next boot would
// set them from sysctl.d.
package sysctl
