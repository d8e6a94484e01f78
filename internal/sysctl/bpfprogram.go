package sysctl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// The record of one write, as the program makes it.
const (
	recordProcess = 0 // thread group and thread
	recordName    = 8
	nameSize      = 128 // longer than any parameter that a rule can name
	recordSize    = recordName + nameSize
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
	return writeRecord{pid: int(binary.NativeEndian.Uint64(sample[recordProcess:]) >> 32), path: string(name)}, nil
}

// The stack of the program, downwards from the frame pointer.
const (
	slot   = -8
	record = slot - recordSize
)

// program tells ring of the writes that matter, counts in lost those that do not
// fit, and lets all of them pass: anything but 1 would deny the write. What pods
// do in network namespaces of their own ends here and wakes nobody; a writer
// without a namespace counts as the host's.
func program(ring, lost *ebpf.Map, network uint32, at networkOffsets) *ebpf.ProgramSpec {
	const context, pointer = asm.R6, asm.R8
	ins := asm.Instructions{
		asm.Mov.Reg(context, asm.R1),
		asm.LoadMem(asm.R0, context, 0, asm.Word), // whether it writes
		asm.JEq.Imm(asm.R0, 0, "allow"),

		asm.Mov.Reg(asm.R1, context),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, record+recordName),
		asm.Mov.Imm(asm.R3, nameSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnSysctlGetName.Call(),
		asm.LoadMem(asm.R1, asm.RFP, record+recordName, asm.Word),
		asm.LoadImm(asm.R2, int64(binary.NativeEndian.Uint32([]byte("net/"))), asm.DWord),
		asm.JNE.Reg(asm.R1, asm.R2, "tell"),

		asm.FnGetCurrentTask.Call(),
		asm.Mov.Reg(pointer, asm.R0),
	}
	for _, offset := range []uint32{at.proxy, at.network} {
		ins = append(ins, follow(pointer, offset, 8)...)
	}
	ins = append(ins, follow(pointer, at.inode, 4)...)
	ins = append(ins,
		asm.JEq.Imm(pointer, 0, "tell"),
		asm.LoadImm(asm.R2, int64(network), asm.DWord),
		asm.JNE.Reg(pointer, asm.R2, "allow"),

		asm.FnGetCurrentPidTgid.Call().WithSymbol("tell"),
		asm.StoreMem(asm.RFP, record+recordProcess, asm.R0, asm.DWord),
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

		asm.Mov.Imm(asm.R0, 1).WithSymbol("allow"),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{Name: "nodeguard_sysctl", Type: ebpf.CGroupSysctl, AttachType: ebpf.AttachCGroupSysctl, License: "GPL", Instructions: ins}
}

// follow replaces a kernel pointer by what it points at, 0 where it points nowhere.
func follow(pointer asm.Register, offset uint32, size int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, slot, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, slot),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, pointer),
		asm.Add.Imm(asm.R3, int32(offset)),
		asm.FnProbeReadKernel.Call(),
		asm.LoadMem(pointer, asm.RFP, slot, map[int32]asm.Size{4: asm.Word, 8: asm.DWord}[size]),
	}
}

// networkOffsets lead from a task to the inode of its network namespace.
type networkOffsets struct{ proxy, network, inode uint32 }

// findNetworkOffsets asks the kernel's own types, which are dropped again: they
// take megabytes.
func findNetworkOffsets() (networkOffsets, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return networkOffsets{}, fmt.Errorf("read the kernel's types (BTF): %w", err)
	}
	var at networkOffsets
	for _, m := range []struct {
		to      *uint32
		of      string
		members []string
	}{
		{&at.proxy, "task_struct", []string{"nsproxy"}},
		{&at.network, "nsproxy", []string{"net_ns"}},
		{&at.inode, "net", []string{"ns", "inum"}},
	} {
		if *m.to, err = offsetOf(spec, m.of, m.members...); err != nil {
			return networkOffsets{}, err
		}
	}
	return at, nil
}

func offsetOf(spec *btf.Spec, of string, members ...string) (uint32, error) {
	var s *btf.Struct
	if err := spec.TypeByName(of, &s); err != nil {
		return 0, fmt.Errorf("find struct %s in the kernel's types: %w", of, err)
	}
	var t btf.Type = s
	var sum uint32
	for _, name := range members {
		m, offset, ok := member(t, name)
		if !ok {
			return 0, fmt.Errorf("struct %s of this kernel has no member %s", of, name)
		}
		t, sum = btf.UnderlyingType(m.Type), sum+offset
	}
	return sum, nil
}

// member finds a member, also in the nameless structs and unions within.
func member(t btf.Type, name string) (btf.Member, uint32, bool) {
	var members []btf.Member
	switch t := t.(type) {
	case *btf.Struct:
		members = t.Members
	case *btf.Union:
		members = t.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, m.Offset.Bytes(), true
		}
		if m.Name == "" {
			if inner, offset, ok := member(btf.UnderlyingType(m.Type), name); ok {
				return inner, m.Offset.Bytes() + offset, true
			}
		}
	}
	return btf.Member{}, 0, false
}
