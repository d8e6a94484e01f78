// Package firewall notices firewalls: services that enforce rules, will enforce
// them after the next boot or are merely installed, and rule sets in the kernel
// that no such service explains. What a unit says of itself is not believed:
// enforcing is what has rules in the kernel that drop packets.
//
// What the host shows is gathered first, by systemd.go, files.go, nftables.go
// and legacy.go, each of which can fail alone; judge.go then judges it, purely.
package firewall
