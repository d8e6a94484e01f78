package identity

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// breath is the least time between two hints.
	breath = 50 * time.Millisecond
	// eventBuffer holds the events of a node that starts all its pods.
	eventBuffer = 1 << 20
)

// groups are what is listened to.
var groups = [...]uint32{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
}

// podInterfaces are how network plugins name the host's ends of pods. They come and
// go with pods and are nobody's identity.
var podInterfaces = [...]string{"veth", "cali", "lxc", "eni", "vlan.eth", "cilium_", "flannel", "cni", "docker", "nodelocaldns", "kube-"}

// listener hears of changes to interfaces, addresses and routes.
type listener struct{ conn *netlink.Conn }

func listen(buffer int) (*listener, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("listen to rtnetlink: %w", err)
	}
	// A smaller queue overflows sooner, which is noticed.
	_ = conn.SetReadBuffer(buffer)
	for _, group := range groups {
		if err := conn.JoinGroup(group); err != nil {
			return nil, errors.Join(fmt.Errorf("listen to rtnetlink: %w", err), conn.Close())
		}
	}
	return &listener{conn}, nil
}

// heard is what was heard since the last hint.
type heard struct{ lost bool }

// follow hints of what changes until ctx ends, which is no error, and closes the
// listener.
func (l *listener) follow(ctx context.Context, to drift.Sink) error {
	events, failed := make(chan heard, 1), make(chan error, 1)
	go func() { failed <- l.read(events) }()
	err := pass(ctx, events, failed, to)
	_ = l.conn.Close()
	if ctx.Err() != nil {
		<-failed //nolint:errcheck // the end was asked for
		return nil
	}
	return err
}

// pass hints at once and then at most every breath, the last time after the last event.
func pass(ctx context.Context, events <-chan heard, failed <-chan error, to drift.Sink) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case h := <-events:
			to.Hint(drift.Hint{Source: netlinkSource, At: time.Now(), Lost: h.lost})
		}
		wait(ctx, breath)
	}
}

// read keeps the slot of events filled with what nobody took yet.
func (l *listener) read(events chan heard) error {
	for {
		messages, err := l.conn.Receive()
		next := heard{lost: errors.Is(err, unix.ENOBUFS)}
		if err != nil && !next.lost {
			return fmt.Errorf("receive from rtnetlink: %w", err)
		}
		if !next.lost && !slices.ContainsFunc(messages, matters) {
			continue
		}
		select {
		case before := <-events:
			next.lost = next.lost || before.lost
		default:
		}
		events <- next
	}
}

// matters tells of a message that can be about the node's own network: pods come and
// go without.
func matters(m netlink.Message) bool {
	switch m.Header.Type {
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return len(m.Data) >= unix.SizeofRtMsg && m.Data[1] == 0
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return len(m.Data) >= unix.SizeofIfAddrmsg && m.Data[3] != unix.RT_SCOPE_LINK
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		var n network
		as := m
		as.Header.Type = unix.RTM_NEWLINK
		return n.takeLink(as) == nil && !slices.ContainsFunc(podInterfaces[:], func(p string) bool { return strings.HasPrefix(n.links[0].name, p) })
	default:
		return true
	}
}

func directoriesOf(files []string) (dirs []string) {
	for _, f := range files {
		dirs = append(dirs, path.Dir(f))
	}
	return dirs
}
