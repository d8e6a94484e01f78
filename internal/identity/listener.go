package identity

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
)

const (
	// breath is the least time between two hints.
	breath = 50 * time.Millisecond
	// eventBuffer holds the events of some pods that start at once, and no more than are
	// worth to be read after a storm.
	eventBuffer = 256 << 10
)

// groups are what is listened to.
var groups = [...]uint32{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
}

// podInterfaces are how network plugins name the host's ends of pods. They come and
// go with pods and are nobody's identity.
var podInterfaces = [...]string{"veth", "cali", "lxc", "eni", "vlan.eth", "cilium_", "flannel", "cni", "docker", "nodelocaldns", "kube-"}

// listen hears of changes to interfaces, addresses and routes.
func listen(buffer int) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: armed.MessageSize})
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
	return conn, nil
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
		name, err := linkName(m)
		return err == nil && !slices.ContainsFunc(podInterfaces[:], func(p string) bool { return strings.HasPrefix(name, p) })
	default:
		return true
	}
}

// linkName is what a message about an interface says first.
func linkName(m netlink.Message) (string, error) {
	ad, err := attributes(m, unix.SizeofIfInfomsg)
	if err != nil {
		return "", err
	}
	for ad.Next() {
		if ad.Type() == unix.IFLA_IFNAME {
			return ad.String(), nil
		}
	}
	return "", errors.Join(errShort, ad.Err())
}

func directoriesOf(files []string) (dirs []string) {
	for _, f := range files {
		dirs = append(dirs, path.Dir(f))
	}
	return dirs
}
