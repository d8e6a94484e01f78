package bpf

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// someTypes have a member of every kind that is looked for.
func someTypes(t *testing.T) Types {
	t.Helper()
	word := &btf.Int{Name: "int", Size: 4}
	inner := &btf.Struct{Name: "inner", Size: 8, Members: []btf.Member{{Name: "a", Type: word}, {Name: "b", Type: word, Offset: 32}}}
	nameless := &btf.Union{Size: 4, Members: []btf.Member{{Name: "either", Type: word}, {Name: "or", Type: word}}}
	outer := &btf.Struct{Name: "outer", Size: 24, Members: []btf.Member{
		{Name: "first", Type: word},
		{Type: &btf.Struct{Size: 8, Members: []btf.Member{{Name: "second", Type: word}, {Type: nameless, Offset: 32}}}, Offset: 32},
		{Name: "third", Type: &btf.Const{Type: &btf.Typedef{Name: "inner_t", Type: inner}}, Offset: 96},
	}}
	b, err := btf.NewBuilder([]btf.Type{outer}, nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return Types{spec}
}

func TestOffset(t *testing.T) {
	types := someTypes(t)
	for _, tt := range []struct {
		of          string
		names       []string
		below       []string
		want        uint32
		wantProblem string
	}{
		{of: "outer", names: []string{"first"}, want: 0},
		{of: "outer", names: []string{"second"}, want: 4},
		{of: "outer", names: []string{"or"}, want: 8},
		{of: "outer", names: []string{"third"}, want: 12},
		{of: "outer", names: []string{"third"}, below: []string{"b"}, want: 16},
		{of: "outer", names: []string{"newer", "third"}, below: []string{"b"}, want: 16},
		{of: "outer", names: []string{"second", "third"}, want: 4},
		{of: "outer", names: []string{"newer", "older"}, wantProblem: "struct outer of this kernel has no member newer"},
		{of: "outer", names: []string{"third"}, below: []string{"c"}, wantProblem: "struct outer of this kernel has no member third"},
		{of: "other", names: []string{"first"}, wantProblem: "find struct other in the kernel's types"},
	} {
		got, err := types.Offset(tt.of, tt.names, tt.below...)
		switch {
		case tt.wantProblem == "" && (err != nil || got != tt.want):
			t.Errorf("%s.%v.%v is at %d (%v), want %d", tt.of, tt.names, tt.below, got, err, tt.want)
		case tt.wantProblem != "" && (err == nil || !strings.Contains(err.Error(), tt.wantProblem)):
			t.Errorf("%s.%v.%v: %v, want %s", tt.of, tt.names, tt.below, err, tt.wantProblem)
		}
	}
}

func TestIDsOfAnotherKernel(t *testing.T) {
	if p, err := someTypes(t).OwnPIDs(); err == nil {
		t.Errorf("it has process ids: %+v", p)
	}
}
