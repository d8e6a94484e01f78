package attribute

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/nodeguard/nodeguard/internal/bpf"
)

// The record of one exit, as the program makes it.
const (
	recordExited   = 0  // since boot
	recordStarted  = 8  // since boot
	recordBefore   = 16 // when the one that had the pid before exited
	recordCgroups  = 24 // keys of their names
	recordUID      = recordCgroups + cgroupKeys*cgroupKeySize
	recordLogin    = recordUID + 4
	recordComm     = recordLogin + 4
	recordParents  = recordComm + commSize
	recordArgsSize = recordParents + ancestors*parentSize // of which maxKept are kept
	recordArgs     = recordArgsSize + 4
	recordSize     = recordArgs + maxKept

	commSize   = 16
	parentComm = 4 // after the pid
	parentSize = parentComm + commSize
	maxKept    = 128
)

// The names of a control group and those above it.
const (
	cgroupKeys    = 2  // of the memory controller and of version 2
	cgroupKeySize = 16 // node and id: ids are those of one hierarchy
	cgroupName    = 88 // "cri-containerd-" and a container's id and ".scope"
	cgroupLevels  = 5  // three of a container's own below it and the pod
	cgroupSize    = cgroupLevels * cgroupName
)

// The stack of the program, downwards from the frame pointer. The names are gone
// when the record is made.
const (
	pidKey     = bpf.Slot - 8
	memoryKey  = pidKey - cgroupKeySize
	unifiedKey = memoryKey - cgroupKeySize
	area       = unifiedKey - cgroupSize
	record     = area
)

// The registers that calls leave alone.
const (
	task   = asm.R6
	leader = asm.R7
	at     = asm.R8
	depth  = asm.R9 // of the agent's namespace, in bytes
)

// exitProgram keeps in exits what a process of the agent's pid namespace was when
// its last thread ended, and in cgroups the names of its control groups. It reads
// only; what cannot be read is 0.
func exitProgram(exits, cgroups *ebpf.Map, o offsets) *ebpf.ProgramSpec {
	p := &exitBuilder{offsets: o}
	p.Add(asm.FnGetCurrentTask.Call(), asm.Mov.Reg(task, asm.R0))
	p.lastThread()
	p.Zero(pidKey, 8)
	p.pids.Find(&p.Builder, leader, at, depth, pidKey, "end")
	p.cgroup(cgroups)
	p.times(exits)
	p.who()
	p.parents()
	p.arguments()
	p.Update(exits, pidKey, record)
	p.Add(asm.Mov.Imm(asm.R0, 0).WithSymbol("end"), asm.Return())
	return &ebpf.ProgramSpec{Name: "nodeguard_exit", Type: ebpf.RawTracepoint, License: "GPL", Instructions: p.Instructions}
}

type exitBuilder struct {
	bpf.Builder
	offsets
}

// lastThread goes on for the last of a process's threads only.
func (p *exitBuilder) lastThread() {
	p.Follow(at, task, p.signal)
	p.Load(asm.R0, at, p.live, asm.Word)
	p.Add(asm.JNE.Imm(asm.R0, 0, "end"))
	p.Follow(leader, task, p.pids.Leader)
}

// cgroup names the control groups, once for all their processes: that of the memory
// controller, which every runtime uses, and where it is another one that of version 2.
func (p *exitBuilder) cgroup(cgroups *ebpf.Map) {
	p.Zero(unifiedKey, cgroupKeys*cgroupKeySize)
	if p.controlled {
		p.Follow(at, task, p.cgroups)
		p.Follow(at, at, p.memory)
		p.Follow(at, at, p.controller)
		p.Follow(at, at, p.node)
		p.nameGroup(cgroups, memoryKey, "unified")
	}
	p.Mark("unified")
	p.Follow(at, task, p.cgroups)
	p.Follow(at, at, p.unified)
	p.Follow(at, at, p.node)
	p.Add(asm.LoadMem(asm.R0, asm.RFP, memoryKey, asm.DWord), asm.JEq.Reg(at, asm.R0, "named"))
	p.nameGroup(cgroups, unifiedKey, "named")
	p.Mark("named")
}

// nameGroup names one, and goes on at the label for one that is known or the root.
func (p *exitBuilder) nameGroup(cgroups *ebpf.Map, key int32, known string) {
	p.Follow(asm.R0, at, p.above)
	p.Add(asm.JEq.Imm(asm.R0, 0, known))
	p.Store(key, at, asm.DWord)
	p.Follow(asm.R0, at, p.id)
	p.Store(key+8, asm.R0, asm.DWord)
	p.Lookup(cgroups, key)
	p.Add(asm.JNE.Imm(asm.R0, 0, known))
	p.Zero(area, cgroupSize)
	walked := "walked to " + known
	for level := range int32(cgroupLevels) {
		p.Follow(asm.R0, at, p.name)
		p.Read(asm.FnProbeReadKernelStr, area+level*cgroupName, cgroupName, asm.R0, 0)
		p.Follow(at, at, p.above)
		p.Add(asm.JEq.Imm(at, 0, walked))
	}
	p.Mark(walked)
	p.Update(cgroups, key, area)
}

// times are the process's own, and the end of the one that had its pid before.
func (p *exitBuilder) times(exits *ebpf.Map) {
	p.Zero(record, recordSize)
	p.Add(asm.FnKtimeGetBootNs.Call())
	p.Store(record+recordExited, asm.R0, asm.DWord)
	p.Follow(at, leader, p.started)
	p.Store(record+recordStarted, at, asm.DWord)
	p.Lookup(exits, pidKey)
	p.Add(
		asm.JEq.Imm(asm.R0, 0, "first"),
		asm.LoadMem(asm.R1, asm.R0, recordExited, asm.DWord),
		asm.LoadMem(asm.R2, asm.R0, recordStarted, asm.DWord),
		asm.JNE.Reg(asm.R2, at, "other"),
		asm.LoadMem(asm.R1, asm.R0, recordBefore, asm.DWord), // two threads were the last
	)
	p.Mark("other")
	p.Store(record+recordBefore, asm.R1, asm.DWord)
	p.Mark("first")
}

func (p *exitBuilder) who() {
	for i, key := range []int32{memoryKey, unifiedKey} {
		for half := int32(0); half < cgroupKeySize; half += 8 {
			p.Add(asm.LoadMem(asm.R0, asm.RFP, int16(key+half), asm.DWord))
			p.Store(record+recordCgroups+int32(i)*cgroupKeySize+half, asm.R0, asm.DWord)
		}
	}
	p.Follow(at, task, p.cred)
	p.Load(asm.R0, at, p.uid, asm.Word)
	p.Store(record+recordUID, asm.R0, asm.Word)
	if p.audited {
		p.Load(asm.R0, task, p.loginUID, asm.Word)
	} else {
		p.Add(asm.Mov.Imm32(asm.R0, -1))
	}
	p.Store(record+recordLogin, asm.R0, asm.Word)
	p.Read(asm.FnProbeReadKernel, record+recordComm, commSize, leader, p.comm)
}

// parents end with the first process or with the agent's namespace.
func (p *exitBuilder) parents() {
	const number = asm.R0
	p.Add(asm.Mov.Reg(at, leader))
	for n := range int32(ancestors) {
		to := record + recordParents + n*parentSize
		p.Follow(at, at, p.parent)
		p.Follow(at, at, p.pids.Leader)
		p.pids.FindAt(&p.Builder, at, leader, depth, number, "alone")
		p.Add(asm.JEq.Imm(number, 0, "alone"))
		p.Store(to, number, asm.Word)
		p.Read(asm.FnProbeReadKernel, to+parentComm, commSize, at, p.comm)
	}
	p.Mark("alone")
}

// arguments are those of a process that still has its memory (Linux 6.16) and has
// them in it.
func (p *exitBuilder) arguments() {
	const size = asm.R2
	p.Follow(at, task, p.mm)
	p.Add(asm.JEq.Imm(at, 0, "kept"))
	p.Follow(leader, at, p.argsTo)
	p.Follow(at, at, p.argsFrom)
	p.Add(
		asm.Mov.Reg(size, leader),
		asm.Sub.Reg(size, at),
		asm.JLE.Imm(size, maxKept, "short"),
		asm.Mov.Imm(size, maxKept),
	)
	p.Mark("short")
	p.Store(record+recordArgsSize, size, asm.Word)
	p.Add(
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, record+recordArgs),
		asm.Mov.Reg(asm.R3, at),
		asm.FnProbeReadUser.Call(),
	)
	p.Mark("kept")
}
