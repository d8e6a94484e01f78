package attribute

import (
	"bytes"
	"encoding/binary"
	"path"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/nodeguard/nodeguard/internal/bpf"
)

const (
	maxExits   = 8192
	maxCgroups = 1024
)

// exitMap is what the kernel keeps of processes that ended.
type exitMap struct {
	exits, cgroups *ebpf.Map
	program        *ebpf.Program
	attached       link.Link
}

func armExitMap() (*exitMap, error) {
	// Kernels before 5.11 count BPF memory as locked memory.
	_ = rlimit.RemoveMemlock()
	m := &exitMap{}
	if err := m.load(); err != nil {
		m.Close()
		return nil, bpf.Reason(err, "PERFMON", "BPF or BTF")
	}
	return m, nil
}

func (m *exitMap) load() (err error) {
	if m.exits, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "nodeguard_exits", Type: ebpf.LRUHash, KeySize: 4, ValueSize: recordSize, MaxEntries: maxExits,
	}); err != nil {
		return err
	}
	if m.cgroups, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "nodeguard_groups", Type: ebpf.LRUHash, KeySize: cgroupKeySize, ValueSize: cgroupSize, MaxEntries: maxCgroups,
	}); err != nil {
		return err
	}
	o, err := findOffsets()
	if err != nil {
		return err
	}
	if m.program, err = ebpf.NewProgram(exitProgram(m.exits, m.cgroups, o)); err != nil {
		return err
	}
	m.attached, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: m.program})
	return err
}

// Close ends the keeping.
func (m *exitMap) Close() {
	if m.attached != nil {
		_ = m.attached.Close()
	}
	_ = m.program.Close()
	_ = m.cgroups.Close()
	_ = m.exits.Close()
}

// exit is the end of a process.
type exit struct {
	process
	exited time.Duration
	before time.Duration // end of the process that had the pid before; 0 where none is known
}

// at is the process, if it was the one at that time and no other can be meant.
func (e exit) at(at time.Duration) (process, error) {
	if e.started > at || e.before > at-lag && e.before > 0 {
		return process{}, errReused
	}
	return e.process, nil
}

func (m *exitMap) lookup(pid int) (exit, bool) {
	data, err := m.exits.LookupBytes(uint32(pid))
	if err != nil || len(data) != recordSize {
		return exit{}, false
	}
	e := parseExit(pid, data)
	for i := range cgroupKeys {
		key := data[recordCgroups+i*cgroupKeySize:][:cgroupKeySize]
		if names, err := m.cgroups.LookupBytes(key); err == nil && len(names) == cgroupSize {
			e.cgroups = append(e.cgroups, parseNames(names))
		}
	}
	return e, true
}

func parseExit(pid int, data []byte) exit {
	word := func(at int) uint32 { return binary.NativeEndian.Uint32(data[at:]) }
	since := func(at int) time.Duration { return time.Duration(binary.NativeEndian.Uint64(data[at:])) }
	e := exit{
		process: process{
			pid: pid, comm: text(data[recordComm : recordComm+commSize]), uid: word(recordUID), loginUID: word(recordLogin),
			started: since(recordStarted),
		},
		exited: since(recordExited), before: since(recordBefore),
	}
	for at := recordParents; at < recordArgsSize && word(at) != 0; at += parentSize {
		e.parents = append(e.parents, parent{int(word(at)), text(data[at+parentComm : at+parentSize])})
	}
	size := min(word(recordArgsSize), maxKept)
	e.args = arguments{text: data[recordArgs : recordArgs+size], cut: size == maxKept}
	return e
}

// parseNames makes a path of the names of a control group and those above it.
func parseNames(data []byte) string {
	var out string
	for at := 0; at < len(data); at += cgroupName {
		out = path.Join(text(data[at:at+cgroupName]), out)
	}
	return out
}

func text(data []byte) string {
	s, _, _ := bytes.Cut(data, []byte{0})
	return string(s)
}
