package attribute

import (
	"github.com/cilium/ebpf/btf"

	"github.com/nodeguard/nodeguard/internal/bpf"
)

// offsets say where this kernel keeps what the program reads.
type offsets struct {
	signal, live           uint32 // threads that are left
	pids                   bpf.PIDs
	started, comm, parent  uint32
	cred, uid              uint32
	cgroups, unified, node uint32 // the control group of version 2
	id, name, above        uint32
	mm, argsFrom, argsTo   uint32

	audited  bool // the kernel keeps login uids
	loginUID uint32

	controlled bool // the kernel has a memory controller
	memory     uint32
	controller uint32
}

// findOffsets asks the kernel's own types, which are dropped again: they take
// megabytes.
func findOffsets() (offsets, error) {
	types, err := bpf.LoadTypes()
	if err != nil {
		return offsets{}, err
	}
	var at offsets
	if at.pids, err = types.OwnPIDs(); err != nil {
		return offsets{}, err
	}
	for _, m := range []struct {
		to    *uint32
		of    string
		names []string // as kernels call it, the newest first
		below []string // in what is named
	}{
		{&at.signal, "task_struct", []string{"signal"}, nil},
		{&at.live, "signal_struct", []string{"live"}, []string{"counter"}},
		{&at.started, "task_struct", []string{"start_boottime", "real_start_time"}, nil},
		{&at.comm, "task_struct", []string{"comm"}, nil},
		{&at.parent, "task_struct", []string{"real_parent"}, nil},
		{&at.cred, "task_struct", []string{"cred"}, nil},
		{&at.uid, "cred", []string{"euid"}, []string{"val"}},
		{&at.cgroups, "task_struct", []string{"cgroups"}, nil},
		{&at.unified, "css_set", []string{"dfl_cgrp"}, nil},
		{&at.node, "cgroup", []string{"kn"}, nil},
		{&at.id, "kernfs_node", []string{"id"}, nil},
		{&at.name, "kernfs_node", []string{"name"}, nil},
		{&at.above, "kernfs_node", []string{"__parent", "parent"}, nil},
		{&at.mm, "task_struct", []string{"mm"}, nil},
		{&at.argsFrom, "mm_struct", []string{"arg_start"}, nil},
		{&at.argsTo, "mm_struct", []string{"arg_end"}, nil},
	} {
		if *m.to, err = types.Offset(m.of, m.names, m.below...); err != nil {
			return offsets{}, err
		}
	}
	at.loginUID, err = types.Offset("task_struct", []string{"loginuid"}, "val")
	at.audited = err == nil
	at.memory, at.controller, at.controlled = memoryController(types)
	return at, nil
}

// memoryController leads from a set of control groups to that of the memory controller.
func memoryController(types bpf.Types) (state, cgroup uint32, ok bool) {
	var ids *btf.Enum
	if types.TypeByName("cgroup_subsys_id", &ids) != nil {
		return 0, 0, false
	}
	states, err := types.Offset("css_set", []string{"subsys"})
	if err != nil {
		return 0, 0, false
	}
	if cgroup, err = types.Offset("cgroup_subsys_state", []string{"cgroup"}); err != nil {
		return 0, 0, false
	}
	for _, id := range ids.Values {
		if id.Name == "memory_cgrp_id" {
			return states + uint32(id.Value)*pointerSize, cgroup, true
		}
	}
	return 0, 0, false
}

const pointerSize = 8
