package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// Types are the kernel's own. They take megabytes: nobody keeps them.
type Types struct{ *btf.Spec }

// LoadTypes reads them.
func LoadTypes() (Types, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return Types{}, fmt.Errorf("read the kernel's types (BTF): %w", err)
	}
	return Types{spec}, nil
}

// Offset is where a struct has a member, which kernels call by these names, the
// newest first; further names lead on within it.
func (t Types) Offset(of string, names []string, below ...string) (uint32, error) {
	s, err := t.structure(of)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		m, sum, ok := member(s, name)
		for _, next := range below {
			var offset uint32
			if ok {
				m, offset, ok = member(btf.UnderlyingType(m.Type), next)
				sum += offset
			}
		}
		if ok {
			return sum, nil
		}
	}
	return 0, fmt.Errorf("struct %s of this kernel has no member %s", of, names[0])
}

func (t Types) structure(name string) (*btf.Struct, error) {
	var s *btf.Struct
	if err := t.TypeByName(name, &s); err != nil {
		return nil, fmt.Errorf("find struct %s in the kernel's types: %w", name, err)
	}
	return s, nil
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
