// Package drift is nodeguard's vocabulary: what a check sees (Observation), what
// is documented about it (Policy) and what is said about both (Report). Judge is
// the one way from the first two to the third. The package knows neither the
// host, the catalogue nor Kubernetes, and imports the standard library only.
package drift
