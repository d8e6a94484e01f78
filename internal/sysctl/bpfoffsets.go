package sysctl

import (
	"github.com/nodeguard/nodeguard/internal/bpf"
	"github.com/nodeguard/nodeguard/internal/host"
)

// offsets say where this kernel keeps what the program reads.
type offsets struct {
	proxy, network, inode uint32 // from a task to its network namespace

	named bool // writers have ids that mean something
	pids  bpf.PIDs
}

func findOffsets(root *host.Root) (offsets, error) {
	types, err := bpf.LoadTypes()
	if err != nil {
		return offsets{}, err
	}
	at, err := offsetsIn(types)
	at.named = at.named && root.OwnPIDs()
	return at, err
}

// offsetsIn needs the network namespace: without the ids nobody is named.
func offsetsIn(types bpf.Types) (at offsets, err error) {
	for _, m := range []struct {
		to       *uint32
		of, name string
		below    []string
	}{
		{&at.proxy, "task_struct", "nsproxy", nil},
		{&at.network, "nsproxy", "net_ns", nil},
		{&at.inode, "net", "ns", []string{"inum"}},
	} {
		if *m.to, err = types.Offset(m.of, []string{m.name}, m.below...); err != nil {
			return offsets{}, err
		}
	}
	at.pids, err = types.OwnPIDs()
	at.named = err == nil
	return at, nil
}
