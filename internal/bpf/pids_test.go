package bpf

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// found is the id of who asks and of its parent, as a program finds them.
type found struct{ own, parent uint32 }

// ask runs a program that looks for the ids of the process that runs it.
func ask(t *testing.T, types Types, p PIDs) found {
	t.Helper()
	parent, err := types.Offset("task_struct", []string{"real_parent"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("the kernel lacks BPF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const (
		key, value        = Slot - 8, Slot - 16
		task, leader      = asm.R6, asm.R7
		at, depth         = asm.R8, asm.R9
		own, ofItsParents = value, value + 4
	)
	b := &Builder{}
	b.Add(asm.FnGetCurrentTask.Call(), asm.Mov.Reg(task, asm.R0))
	b.Zero(value, 16)
	b.Follow(leader, task, p.Leader)
	p.Find(b, leader, at, depth, own, "end")
	b.Follow(leader, leader, parent)
	b.Follow(leader, leader, p.Leader)
	p.FindAt(b, leader, at, depth, asm.R0, "end")
	b.Store(ofItsParents, asm.R0, asm.Word)
	b.Mark("end")
	b.Update(m, key, value)
	b.Add(asm.Mov.Imm(asm.R0, 0), asm.Return())
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.RawTracepoint, License: "GPL", Instructions: b.Instructions})
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if _, err := program.Run(&ebpf.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	var out struct{ Own, Parent uint32 }
	if err := m.Lookup(uint32(0), &out); err != nil {
		t.Fatal(err)
	}
	return found{out.Own, out.Parent}
}

func ownPIDs(t *testing.T) (Types, PIDs) {
	t.Helper()
	types, err := LoadTypes()
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("the kernel lacks BTF: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := types.OwnPIDs()
	if err != nil {
		t.Fatal(err)
	}
	return types, p
}

func TestIDs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading a BPF program needs root; make test runs as root where it can")
	}
	types, p := ownPIDs(t)
	if got, want := ask(t, types, p), (found{uint32(os.Getpid()), uint32(os.Getppid())}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
}

// The first process of a pid namespace has a parent that is not in it.
func TestIDsOfANamespace(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	types, p := ownPIDs(t)
	if got, want := ask(t, types, p), (found{own: 1}); got != want {
		t.Errorf("found %+v, want %+v", got, want)
	}
	p.namespace = 1 // of nobody
	if got := ask(t, types, p); got != (found{}) {
		t.Errorf("found %+v in a namespace that it is not in", got)
	}
}
