// Package host is the host as a root directory. Every path is resolved as if
// chrooted into it, so an absolute link of the host stays on the host, and no
// read blocks on a FIFO, a device or a hung network mount. No other package joins
// host paths.
package host
