package sysctl

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/nodeguard/nodeguard/internal/bpf"
)

// The record of one write, as the program makes it.
const (
	recordPID  = 0 // of the process, in the agent's pid namespace; 0 where it has none
	recordName = 8
	nameSize   = 128 // longer than any parameter that a rule can name
	recordSize = recordName + nameSize
)

// writeRecord is a write that is about to happen.
type writeRecord struct {
	pid  int
	path string // below /proc/sys
}

func parseWrite(sample []byte) (writeRecord, error) {
	if len(sample) < recordSize {
		return writeRecord{}, errors.New("parse a BPF record: it is too short")
	}
	name, _, _ := bytes.Cut(sample[recordName:recordSize], []byte{0})
	return writeRecord{pid: int(binary.NativeEndian.Uint32(sample[recordPID:])), path: string(name)}, nil
}

// record is where the program has it on its stack, downwards from the frame pointer.
const record = bpf.Slot - recordSize

// The registers that calls leave alone.
const (
	write  = asm.R6 // what the program is called with
	task   = asm.R6 // after it
	leader = asm.R7
	at     = asm.R8
	depth  = asm.R9
)

// program tells ring of the writes that matter, counts in lost those that do not
// fit, and lets all of them pass: anything but 1 would deny the write.
func program(ring, lost *ebpf.Map, network uint32, o offsets) *ebpf.ProgramSpec {
	p := &builder{offsets: o}
	p.parameter()
	p.inNetwork(network)
	p.writer()
	p.tell(ring, lost)
	p.Add(asm.Mov.Imm(asm.R0, 1).WithSymbol("allow"), asm.Return())
	return &ebpf.ProgramSpec{Name: "nodeguard_sysctl", Type: ebpf.CGroupSysctl, AttachType: ebpf.AttachCGroupSysctl, License: "GPL", Instructions: p.Instructions}
}

type builder struct {
	bpf.Builder
	offsets
}

// parameter names what is written. Who only reads goes on.
func (p *builder) parameter() {
	p.Add(
		asm.Mov.Reg(write, asm.R1),
		asm.LoadMem(asm.R0, write, 0, asm.Word), // whether it writes
		asm.JEq.Imm(asm.R0, 0, "allow"),

		asm.Mov.Reg(asm.R1, write),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, record+recordName),
		asm.Mov.Imm(asm.R3, nameSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSysctlGetName.Call(),
		asm.FnGetCurrentTask.Call(),
		asm.Mov.Reg(task, asm.R0),
	)
}

// inNetwork is the end for what pods do in network namespaces of their own, which
// wakes nobody; a writer without a namespace counts as the host's.
func (p *builder) inNetwork(network uint32) {
	p.Add(
		asm.LoadMem(asm.R1, asm.RFP, record+recordName, asm.Word),
		asm.LoadImm(asm.R2, int64(binary.NativeEndian.Uint32([]byte("net/"))), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "the host's"),
	)
	p.Follow(at, task, p.proxy)
	p.Follow(at, at, p.network)
	p.Load(at, at, p.inode, asm.Word)
	p.Add(
		asm.JEq.Imm(at, 0, "the host's"),
		asm.LoadImm(asm.R2, int64(network), asm.DWord),
		asm.JNE.Reg(at, asm.R2, "allow"),
	)
	p.Mark("the host's")
}

func (p *builder) writer() {
	p.Zero(record+recordPID, recordName)
	if p.named {
		p.Follow(leader, task, p.pids.Leader)
		p.pids.Find(&p.Builder, leader, at, depth, record+recordPID, "nobody")
		p.Mark("nobody")
	}
}

func (p *builder) tell(ring, lost *ebpf.Map) {
	p.Add(
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, record),
		asm.Mov.Imm(asm.R3, recordSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, "allow"),
		asm.LoadMapValue(asm.R1, lost.FD(), 0),
		asm.Mov.Imm(asm.R2, 1),
		asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0),
	)
}
