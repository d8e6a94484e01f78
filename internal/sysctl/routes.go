package sysctl

import (
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// From linux/rtnetlink.h: where a route message, and in it the netlink message,
// says what it is about.
const (
	nlmsgType  = 4
	nlmsgData  = 16
	routeBits  = 1 // of the destination: a default route has none
	routeTable = 4
)

// followsDefaultRoute tells whether a rule goes by where the default routes lead.
func (c *Check) followsDefaultRoute() bool {
	for _, r := range c.rules {
		if slices.Contains(r.Rule.Interfaces, defaultRoute) {
			return true
		}
	}
	return false
}

// onlyDefaultRoutes has the kernel keep all other routes from us: a node full of
// pods changes them all the time. What is no route passes.
func onlyDefaultRoutes(conn *netlink.Conn) error {
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: nlmsgType, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.RTM_NEWROUTE, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.RTM_DELROUTE, SkipTrue: 4},
		bpf.LoadAbsolute{Off: nlmsgData + routeBits, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		bpf.LoadAbsolute{Off: nlmsgData + routeTable, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.RT_TABLE_MAIN, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 20},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return fmt.Errorf("assemble the filter of routes: %w", err)
	}
	if err := conn.SetBPF(filter); err != nil {
		return fmt.Errorf("filter routes: %w", err)
	}
	return nil
}

// isDefaultRoute tells whether a route message is about a default route of the main
// table, the one that the rules go by.
func isDefaultRoute(data []byte) bool {
	return len(data) > routeTable && data[routeBits] == 0 && data[routeTable] == unix.RT_TABLE_MAIN
}
