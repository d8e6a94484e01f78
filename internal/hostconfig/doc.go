// Package hostconfig checks what else of a host's configuration a document asks
// for: resolver, time, swap, remote login, log-collector directories and the like.
// Every rule looks at one table of settings of the host, and either says which
// values are supported or compares them with the baseline.
package hostconfig
