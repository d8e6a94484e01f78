package firewall

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// standard is an entry with a verdict.
func standard(l layout, verdict int32) []byte {
	b := make([]byte, l.header+40)
	l.sizes(b)
	binary.NativeEndian.PutUint32(b[l.header+targetData:], uint32(verdict))
	return b
}

// named is an entry with a target of its own, such as REJECT, or ERROR with the
// name of the chain that starts after it.
func named(l layout, target, chain string) []byte {
	b := make([]byte, l.header+64)
	l.sizes(b)
	copy(b[l.header+targetName:], target)
	copy(b[l.header+targetData:], chain)
	return b
}

func (l layout) sizes(b []byte) {
	binary.NativeEndian.PutUint16(b[l.offsets:], uint16(l.header))
	binary.NativeEndian.PutUint16(b[l.offsets+2:], uint16(len(b)))
}

// blob joins entries and the answer of IPT_SO_GET_INFO that goes with them: an
// INPUT chain from the first entry to that with the index of its policy.
func blob(policy int, entries ...[]byte) (info, data []byte) {
	info = make([]byte, infoSize)
	binary.NativeEndian.PutUint32(info[infoValid:], 1<<1)
	for i, e := range entries {
		if i == policy {
			binary.NativeEndian.PutUint32(info[infoUnderflow+4:], uint32(len(data)))
		}
		data = append(data, e...)
	}
	return info, data
}

func TestParseLegacy(t *testing.T) {
	for name, l := range map[string]layout{"ip": layout4, "ip6": layout6} {
		t.Run(name, func(t *testing.T) {
			one := standard(l, verdictDrop)
			want := netip.AddrFrom4([4]byte{10, 0, 0, 1})
			if l.address == 16 {
				want = netip.MustParseAddr("fd00::1")
			}
			copy(one[l.destination:], want.AsSlice())
			network, inverted := append([]byte(nil), one...), append([]byte(nil), one...)
			for i := range l.address {
				one[l.mask+i], inverted[l.mask+i] = 0xff, 0xff
			}
			copy(network[l.mask:], []byte{0xff, 0xff, 0xff, 0xf0})
			inverted[l.inverted] = invertedDest

			size := len(standard(l, 0))
			start := 7*size + len(named(l, "REJECT", "")) // where mine starts
			info, data := blob(7,
				standard(l, int32(start+len(named(l, "ERROR", "mine")))), // jump to mine
				standard(l, int32(2*size)),                               // no target
				standard(l, -2),                                          // accept
				one, network, inverted,
				named(l, "REJECT", ""),
				standard(l, verdictDrop), // the policy
				named(l, "ERROR", "mine"), standard(l, verdictDrop), standard(l, -5),
				named(l, "ERROR", "ERROR"),
			)
			got, err := l.parse(info, data)
			if err != nil {
				t.Fatal(err)
			}
			drop := rule{drop: true}
			wanted := []chain{
				{name: "INPUT", hook: "input", drops: true, rules: []rule{{to: []string{"mine"}}, {}, {}, {drop: true, destination: want}, drop, drop, drop}},
				{name: "mine", rules: []rule{drop, {}}},
				{name: "ERROR"},
			}
			if d := cmp.Diff(wanted, got, compare); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			for cut := 1; cut < len(data); cut++ {
				if _, err := l.entries(data[:cut:cut]); err != nil && !errors.Is(err, errTruncated) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
			}
			if _, err := l.parse(info[:infoSize-1], data); !errors.Is(err, errTruncated) {
				t.Errorf("a short info gives %v", err)
			}
		})
	}
}

func TestParseLegacyRefusesSizes(t *testing.T) {
	for name, sizes := range map[string][2]uint16{
		"no size":            {112, 0},
		"target in the head": {111, 152},
		"target too short":   {112, 147},
		"beyond the end":     {112, 153},
	} {
		b := standard(layout4, 0)
		binary.NativeEndian.PutUint16(b[layout4.offsets:], sizes[0])
		binary.NativeEndian.PutUint16(b[layout4.offsets+2:], sizes[1])
		if _, err := layout4.entries(b); !errors.Is(err, errTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseLegacy(f *testing.F) {
	for six, l := range map[bool]layout{false: layout4, true: layout6} {
		info, data := blob(1, standard(l, verdictDrop), standard(l, -2), named(l, "ERROR", "mine"), named(l, "REJECT", ""))
		f.Add(six, info, data)
	}
	r := ack(f)
	f.Fuzz(func(t *testing.T, six bool, info, data []byte) {
		l := layout4
		if six {
			l = layout6
		}
		if chains, err := l.parse(info, data); err == nil {
			r.drop(table{backend: legacy, family: "ip", name: "filter", chains: chains})
		}
	})
}
