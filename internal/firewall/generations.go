package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	// breath is the least time between two hints: what is committed meanwhile is one.
	breath = 2 * time.Millisecond
	// eventBuffer holds more than a thousand generations that wait to be read.
	eventBuffer = 1 << 20

	newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
)

// listener hears of every commit to the rule set of one network namespace.
type listener struct {
	conn *netlink.Conn
	pids bool // the kernel's pids are this process's
}

// commit is what was heard of one commit or of several.
type commit struct {
	pid  int // 0 where it is not known, or where there were several
	lost bool
}

// listen hears of the generations alone: the filter keeps the tens of thousands
// of rules of one commit out of the queue.
func listen(buffer int) (*listener, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := subscribe(conn, buffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &listener{conn, inFirstPIDNamespace()}, nil
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

// inFirstPIDNamespace tells whether the pids in generations, which are those of
// the machine's first pid namespace, mean anything here.
func inFirstPIDNamespace() bool {
	own, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && own == "pid:[4026531836]"
}

// follow hints of what is committed until ctx ends, which is no error, and closes
// the listener.
func (l *listener) follow(ctx context.Context, to drift.Sink) error {
	heard, failed := make(chan commit, 1), make(chan error, 1)
	go func() { failed <- l.read(heard) }()
	err := pass(ctx, heard, failed, to)
	_ = l.conn.Close()
	if ctx.Err() != nil {
		<-failed //nolint:errcheck // the end was asked for
		return nil
	}
	return err
}

// pass hints at once and then at most every breath, the last time after the last commit.
func pass(ctx context.Context, heard <-chan commit, failed <-chan error, to drift.Sink) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case c := <-heard:
			to.Hint(drift.Hint{Source: nftablesSource, PID: c.pid, At: time.Now(), Lost: c.lost})
		}
		select {
		case <-ctx.Done():
		case <-time.After(breath):
		}
	}
}

// read keeps the slot of heard filled with what nobody took yet.
func (l *listener) read(heard chan commit) error {
	for {
		next, err := l.next()
		if err != nil {
			return err
		}
		select {
		case before := <-heard:
			next = before.and(next)
		default:
		}
		heard <- next
	}
}

// and joins two commits. Of two people nobody can say who it was.
func (c commit) and(next commit) commit {
	if c.pid != next.pid {
		next.pid = 0
	}
	next.lost = next.lost || c.lost
	return next
}

func (l *listener) next() (commit, error) {
	messages, err := l.conn.Receive()
	if errors.Is(err, unix.ENOBUFS) {
		return commit{lost: true}, nil
	}
	if err != nil {
		return commit{}, fmt.Errorf("receive: %w", err)
	}
	var c commit
	for i, m := range messages {
		next := commit{pid: l.committer(m)}
		if i == 0 {
			c = next
		}
		c = c.and(next)
	}
	return c, nil
}

// committer is the pid that the message names; 0 where it does not, as before Linux 4.14.
func (l *listener) committer(m netlink.Message) int {
	if !l.pids || m.Header.Type != newGeneration {
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
