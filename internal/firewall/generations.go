package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
)

const (
	// breath is the least time between two hints: what is committed meanwhile is one.
	breath = 2 * time.Millisecond
	// eventBuffer holds more than a thousand generations that wait to be read.
	eventBuffer = 1 << 20

	newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
)

// listen hears of the generations alone: the filter keeps the tens of thousands
// of rules of one commit out of the queue.
func listen(buffer int) (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: armed.MessageSize})
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := subscribe(conn, buffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func subscribe(conn *netlink.Conn, buffer int) error {
	if err := conn.SetReadBuffer(buffer); err != nil {
		return fmt.Errorf("set the buffer: %w", err)
	}
	filter, err := bpf.Assemble(generationsOnly())
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	if err := conn.SetBPF(filter); err != nil {
		return fmt.Errorf("set the filter: %w", err)
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("join the group: %w", err)
	}
	return nil
}

// generationsOnly compares the type of the message, which the kernel writes in
// its own order and the filter reads in the network's.
func generationsOnly() []bpf.Instruction {
	var kind [2]byte
	binary.NativeEndian.PutUint16(kind[:], newGeneration)
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(kind[:])), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	}
}

// generations are the stream of what is committed. The pids in them are the
// kernel's own, which may mean nothing on this host.
func generations(conn *netlink.Conn, kernelPIDs bool) *armed.Netlink {
	return &armed.Netlink{
		Conn: conn, Name: nftablesSource, Breath: breath,
		Matters: func(messages []netlink.Message) (int, bool) {
			if !kernelPIDs {
				return 0, true
			}
			return committer(messages), true
		},
	}
}

// committer is the pid that all of the messages name; 0 where they do not.
func committer(messages []netlink.Message) (pid int) {
	for i, m := range messages {
		if named := committerOf(m); i == 0 {
			pid = named
		} else if named != pid {
			return 0
		}
	}
	return pid
}

// committerOf is the pid that a generation names; 0 where it does not, as before Linux 4.14.
func committerOf(m netlink.Message) int {
	if m.Header.Type != newGeneration {
		return 0
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[min(4, len(m.Data)):]) // after struct nfgenmsg
	if err != nil {
		return 0
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		if ad.Type() == unix.NFTA_GEN_PROC_PID {
			return int(ad.Uint32())
		}
	}
	return 0
}
