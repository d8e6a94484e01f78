package sysctl

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// From linux/netconf.h.
const (
	netconfIndex      = 1
	netconfForwarding = 2
	netconfRPFilter   = 3

	indexAll = -1 // every other one below 1 is "default"

	netconfHeader = 4 // the family, padded
	netconfQueue  = 128 << 10
)

// netconf is told of forwarding and rp_filter, scope by scope: indirect changes
// and writes from other mounts of procfs included, writers not. It also hears when
// a default route moves, where a rule goes by it.
type netconf struct {
	check *Check
	conn  *netlink.Conn
	moved chan struct{} // interfaces came or went, or messages were lost
	lost  atomic.Bool
	ended chan struct{}

	closing chan struct{}
}

func (c *Check) armNetconf(drift.Sink) (stream, error) {
	if err := c.reachable(); err != nil {
		return nil, err
	}
	groups := uint32(1 << (unix.RTNLGRP_IPV4_NETCONF - 1))
	if c.followsDefaultRoute() {
		groups |= 1 << (unix.RTNLGRP_IPV4_ROUTE - 1)
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: groups, MessageBufferSize: armed.MessageSize})
	if err != nil {
		return nil, fmt.Errorf("listen to rtnetlink: %w", err)
	}
	if err := onlyDefaultRoutes(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// A smaller queue overflows sooner, which is noticed.
	_ = conn.SetReadBuffer(netconfQueue)
	return &netconf{check: c, conn: conn, closing: make(chan struct{})}, nil
}

func (n *netconf) Close() error {
	close(n.closing)
	return n.conn.Close()
}

func (n *netconf) run(to drift.Sink) error {
	var reholding sync.WaitGroup
	defer reholding.Wait()
	n.moved, n.ended = make(chan struct{}, 1), make(chan struct{})
	defer close(n.ended)
	reholding.Go(func() { n.rehold(to) })
	var pace armed.Pace
	for {
		messages, err := n.conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			n.all(true)
		case err != nil:
			return fmt.Errorf("receive from rtnetlink: %w", err)
		}
		for _, m := range messages {
			n.take(m, to)
		}
		if rest := pace.Rest(time.Now()); rest > 0 {
			n.rest(rest)
		}
	}
}

func (n *netconf) rest(d time.Duration) {
	select {
	case <-n.closing:
	case <-time.After(d):
	}
}

const (
	// reholdShare is the part of the time, one in so many, that taking interfaces up takes
	// in the long run.
	reholdShare = 20
	// reholdBurst is how long it takes before that counts.
	reholdBurst = 4 * time.Millisecond
)

// rehold takes interfaces up anew as they come and go, and hints for everything then: at
// once where it is a few, and now and then where a thousand of them do.
func (n *netconf) rehold(to drift.Sink) {
	var spent time.Duration
	var last time.Time
	for {
		select {
		case <-n.ended:
			return
		case <-n.moved:
		}
		began := time.Now()
		n.check.rehold(netconfSource, to)
		lost := n.lost.Swap(false)
		to.Hint(drift.Hint{Source: netconfSource, Lost: lost, Armed: !lost, At: began})
		spent = max(0, spent-began.Sub(last)/reholdShare) + time.Since(began)
		if last = began; spent <= reholdBurst {
			continue
		}
		select {
		case <-n.ended:
			return
		case <-time.After(reholdShare * (spent - reholdBurst)):
		}
	}
}

// all has everything looked at.
func (n *netconf) all(lost bool) {
	if lost {
		n.lost.Store(true)
		n.check.held.interfaceGone()
	}
	select {
	case n.moved <- struct{}{}:
	default: // it will be
	}
}

func (n *netconf) take(m netlink.Message, to drift.Sink) {
	switch m.Header.Type {
	case unix.RTM_DELNETCONF:
		n.check.held.interfaceGone()
		n.all(false)
	case unix.RTM_NEWNETCONF:
		change, err := parseNetconf(m.Data)
		if err != nil {
			to.Failed(netconfSource, err)
			n.all(false)
			return
		}
		n.changed(change, to)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if isDefaultRoute(m.Data) {
			n.all(false)
		}
	}
}

func (n *netconf) changed(c netconfChange, to drift.Sink) {
	if c.newInterface() {
		n.all(false)
		return
	}
	var told []string
	for _, path := range c.paths(n.scope(c.index)) {
		if subject, named := subjectOf(n.check.rules, path); named && !slices.Contains(told, subject) {
			to.Hint(drift.Hint{Source: netconfSource, Subject: subject, At: time.Now()})
			told = append(told, subject)
		}
	}
}

// netconfChange is what one message says.
type netconfChange struct {
	index                int32
	forwarding, rpFilter bool
}

// newInterface tells a message about everything that an interface has from one
// about a value that changed.
func (c netconfChange) newInterface() bool { return c.forwarding && c.rpFilter }

// paths are the parameters that changed.
func (c netconfChange) paths(scope string) []string {
	var out []string
	if c.forwarding {
		if scope == scopeAll {
			out = append(out, "net/ipv4/ip_forward")
		}
		out = append(out, "net/ipv4/conf/"+scope+"/forwarding")
	}
	if c.rpFilter {
		out = append(out, "net/ipv4/conf/"+scope+"/rp_filter")
	}
	return out
}

// scope names what an index stands for. An interface that is already gone again
// may have been any, as after a change of "default".
func (n *netconf) scope(index int32) string {
	if index == indexAll {
		return scopeAll
	}
	if name, err := n.interfaceName(index); index > 0 && err == nil {
		return name
	}
	return scopeDefault
}

// interfaceName asks for the one interface, on the socket at hand: net.InterfaceByIndex
// lists them all, which takes milliseconds on a node full of pods.
func (n *netconf) interfaceName(index int32) (string, error) {
	raw, err := n.conn.SyscallConn()
	if err != nil {
		return "", err
	}
	request, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	request.SetUint32(uint32(index))
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, request) })
	return request.Name(), errorsOf(err, failed)
}

func parseNetconf(data []byte) (netconfChange, error) {
	var c netconfChange
	if len(data) < netconfHeader {
		return c, errors.New("parse netconf message: it is too short")
	}
	attributes, err := netlink.NewAttributeDecoder(data[netconfHeader:])
	if err != nil {
		return c, fmt.Errorf("parse netconf message: %w", err)
	}
	for attributes.Next() {
		switch attributes.Type() {
		case netconfIndex:
			c.index = attributes.Int32()
		case netconfForwarding:
			c.forwarding = true
		case netconfRPFilter:
			c.rpFilter = true
		}
	}
	return c, attributes.Err()
}
