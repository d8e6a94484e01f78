package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Slot is the word of the stack that Load uses. A program has what is below it.
const Slot = -8

// Builder writes a program. Only R6 to R9 outlive what reads, loads or calls.
type Builder struct {
	Instructions asm.Instructions
	label        string // of the next instruction
}

// Add appends instructions.
func (b *Builder) Add(ins ...asm.Instruction) {
	if b.label != "" {
		ins[0], b.label = ins[0].WithSymbol(b.label), ""
	}
	b.Instructions = append(b.Instructions, ins...)
}

// Mark gives the next instruction a label to jump to.
func (b *Builder) Mark(label string) { b.label = label }

// Read copies memory of the kernel to the stack.
func (b *Builder) Read(with asm.BuiltinFunc, to, size int32, from asm.Register, offset uint32) {
	b.Add(
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, to),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, from),
		asm.Add.Imm(asm.R3, int32(offset)),
		with.Call(),
	)
}

// Load copies a number of the kernel to a register, 0 where it cannot be read.
func (b *Builder) Load(to, from asm.Register, offset uint32, size asm.Size) {
	b.Add(asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, Slot, asm.R1, asm.DWord))
	b.Read(asm.FnProbeReadKernel, Slot, int32(size.Sizeof()), from, offset)
	b.Add(asm.LoadMem(to, asm.RFP, Slot, size))
}

// Follow loads a pointer.
func (b *Builder) Follow(to, from asm.Register, offset uint32) { b.Load(to, from, offset, asm.DWord) }

// Zero clears words of the stack.
func (b *Builder) Zero(from, size int32) {
	b.Add(asm.Mov.Imm(asm.R1, 0))
	for at := from; at < from+size; at += 8 {
		b.Add(asm.StoreMem(asm.RFP, int16(at), asm.R1, asm.DWord))
	}
}

// Store copies a register to the stack.
func (b *Builder) Store(to int32, from asm.Register, size asm.Size) {
	b.Add(asm.StoreMem(asm.RFP, int16(to), from, size))
}

// Lookup points R0 at what a map has for a key on the stack.
func (b *Builder) Lookup(m *ebpf.Map, key int32) {
	b.Add(asm.LoadMapPtr(asm.R1, m.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key), asm.FnMapLookupElem.Call())
}

// Update gives a map a key and its value, both on the stack.
func (b *Builder) Update(m *ebpf.Map, key, value int32) {
	b.Add(
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, key),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, value),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
	)
}
