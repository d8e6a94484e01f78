package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// namespaces is how deep the agent's pid namespace may lie: below it a host that is
// a container, and one in it.
const namespaces = 4

// PIDs lead from a process to its id in the agent's pid namespace. The kernel has
// one for each namespace from the first to that of the process.
type PIDs struct {
	Leader uint32 // where a thread has the first one of its process

	namespace uint32 // its inode

	pid, level, numbers uint32 // what a process has
	number, ns, inum    uint32 // of which each belongs to a namespace
	numberSize          uint32
}

// OwnPIDs finds the way in this kernel, for the namespace of this very process.
func (t Types) OwnPIDs() (PIDs, error) {
	namespace, err := ownNamespace()
	if err != nil {
		return PIDs{}, err
	}
	p := PIDs{namespace: namespace}
	for _, m := range []struct {
		to       *uint32
		of, name string
		below    []string
	}{
		{&p.Leader, "task_struct", "group_leader", nil},
		{&p.pid, "task_struct", "thread_pid", nil},
		{&p.level, "pid", "level", nil},
		{&p.numbers, "pid", "numbers", nil},
		{&p.number, "upid", "nr", nil},
		{&p.ns, "upid", "ns", nil},
		{&p.inum, "pid_namespace", "ns", []string{"inum"}},
	} {
		if *m.to, err = t.Offset(m.of, []string{m.name}, m.below...); err != nil {
			return PIDs{}, err
		}
	}
	number, err := t.structure("upid")
	if err != nil {
		return PIDs{}, err
	}
	p.numberSize = number.Size
	return p, nil
}

func ownNamespace() (uint32, error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &s); err != nil {
		return 0, fmt.Errorf("look at the pid namespace: %w", err)
	}
	return uint32(s.Ino), nil
}

// Find stores on the stack the id of the process whose first thread is in leader,
// and goes on at none for one that has no id in the namespace. It uses at, and
// leaves in depth how deep the namespace lies.
func (p PIDs) Find(b *Builder, leader, at, depth asm.Register, to int32, none string) {
	b.Follow(at, leader, p.pid)
	b.Load(depth, at, p.level, asm.Word)
	for level := range uint32(namespaces) {
		b.Add(asm.JLT.Imm(depth, int32(level), none))
		b.Follow(asm.R0, at, p.numbers+level*p.numberSize+p.ns)
		b.Load(asm.R0, asm.R0, p.inum, asm.Word)
		next := fmt.Sprintf("below %d", level)
		b.Add(
			asm.LoadImm(asm.R1, int64(p.namespace), asm.DWord),
			asm.JNE.Reg(asm.R0, asm.R1, next),
			asm.Mov.Imm(depth, int32(level*p.numberSize)),
			asm.Ja.Label("inside"),
		)
		b.Mark(next)
	}
	b.Add(asm.Ja.Label(none))
	b.Mark("inside")
	b.Add(asm.Add.Reg(at, depth))
	b.Load(asm.R0, at, p.numbers+p.number, asm.Word)
	b.Store(to, asm.R0, asm.Word)
}

// FindAt loads the id of another process at the depth that Find left, and goes on
// at none for one that is not so deep. It uses at.
func (p PIDs) FindAt(b *Builder, leader, at, depth, to asm.Register, none string) {
	b.Follow(at, leader, p.pid)
	b.Load(to, at, p.level, asm.Word)
	b.Add(asm.Mul.Imm(to, int32(p.numberSize)), asm.JLT.Reg(to, depth, none))
	b.Add(asm.Add.Reg(at, depth))
	b.Load(to, at, p.numbers+p.number, asm.Word)
}
