package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// layout is where things are in struct ipt_entry and struct ip6t_entry of a
// 64-bit kernel.
type layout struct {
	destination, mask, address int // offsets, and the size of an address
	inverted                   int // offset of the flags that invert matches
	offsets                    int // of target_offset and next_offset
	header                     int // the size of the entry without matches and target
}

var (
	layout4 = layout{destination: 4, mask: 12, address: 4, inverted: 83, offsets: 88, header: 112}
	layout6 = layout{destination: 16, mask: 48, address: 16, inverted: 132, offsets: 140, header: 168}

	errTruncated = errors.New("the kernel's answer is cut off or not understood")
)

const (
	targetName       = 2 // in struct xt_entry_target
	targetNameSize   = 29
	targetData       = 32 // the verdict, or the name of the chain that starts here
	invertedDest     = 0x10
	verdictDrop      = -1
	infoValid        = nameSize
	infoHookEntry    = infoValid + 4
	infoUnderflow    = infoHookEntry + 5*4
	maxLegacyEntries = 1 << 20
)

// entry is one rule as the kernel keeps it.
type entry struct {
	at, next    int
	target      string // "" is a plain verdict
	verdict     int32
	chain       string // which it starts, if target is ERROR
	destination netip.Addr
	ports       []ports // destination ports
}

// parse turns the answers of IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES into chains.
func (l layout) parse(info, data []byte) ([]chain, error) {
	if len(info) < infoSize {
		return nil, errTruncated
	}
	entries, err := l.entries(data)
	if err != nil {
		return nil, err
	}
	starts, policies := map[int]string{}, map[int]bool{}
	for hook, name := range builtin {
		if binary.NativeEndian.Uint32(info[infoValid:])&(1<<hook) != 0 {
			starts[int(binary.NativeEndian.Uint32(info[infoHookEntry+4*hook:]))] = name
			policies[int(binary.NativeEndian.Uint32(info[infoUnderflow+4*hook:]))] = true
		}
	}
	return assemble(entries, starts, policies), nil
}

// assemble puts the entries into chains. A base chain starts where its hook
// enters and ends with its policy; another starts with an entry that names it.
func assemble(entries []entry, starts map[int]string, policies map[int]bool) []chain {
	byOffset := map[int]string{} // of a chain's first rule
	for _, e := range entries {
		if e.target == "ERROR" {
			byOffset[e.next] = e.chain
		}
	}
	var out []chain
	for _, e := range entries {
		if name, ok := starts[e.at]; ok {
			out = append(out, chain{name: name, hook: strings.ToLower(name)})
		}
		switch {
		case e.target == "ERROR":
			out = append(out, chain{name: e.chain})
		case len(out) == 0:
		case policies[e.at]:
			out[len(out)-1].drops = e.target == "" && e.verdict == verdictDrop
		default:
			c := &out[len(out)-1]
			c.rules = append(c.rules, e.rule(byOffset))
		}
	}
	return out
}

func (e entry) rule(byOffset map[int]string) rule {
	out := rule{destination: e.destination}
	switch {
	case e.target == "DNAT" || e.target == "REDIRECT":
		out.redirects = e.ports
	case e.target == "REJECT" || e.target == "" && e.verdict == verdictDrop:
		out.drop = true
	case e.target == "" && e.verdict >= 0: // without a target, to the next rule
		if name, ok := byOffset[int(e.verdict)]; ok {
			out.to = []string{name}
		}
	}
	return out
}

func (l layout) entries(data []byte) ([]entry, error) {
	var out []entry
	for at := 0; at < len(data); {
		e, err := l.entry(data, at)
		if err != nil {
			return nil, err
		}
		if out = append(out, e); len(out) > maxLegacyEntries {
			return nil, errTruncated
		}
		at = e.next
	}
	return out, nil
}

func (l layout) entry(data []byte, at int) (entry, error) {
	if len(data)-at < l.header {
		return entry{}, errTruncated
	}
	raw := data[at:]
	target := int(binary.NativeEndian.Uint16(raw[l.offsets:]))
	size := int(binary.NativeEndian.Uint16(raw[l.offsets+2:]))
	if target < l.header || size < target+targetData+4 || size > len(raw) {
		return entry{}, errTruncated
	}
	body := raw[target:size]
	e := entry{at: at, next: at + size, target: text(body[targetName : targetName+targetNameSize]), destination: l.to(raw), ports: legacyPorts(raw[l.header:target])}
	switch e.target {
	case "":
		e.verdict = int32(binary.NativeEndian.Uint32(body[targetData:]))
	case "ERROR":
		e.chain = text(body[targetData:])
	}
	return e, nil
}

// to is the one address that the entry applies to.
func (l layout) to(raw []byte) netip.Addr {
	mask := raw[l.mask : l.mask+l.address]
	network := slices.ContainsFunc(mask, func(b byte) bool { return b != 0xff })
	if network || raw[l.inverted]&invertedDest != 0 {
		return netip.Addr{}
	}
	address, _ := netip.AddrFromSlice(raw[l.destination : l.destination+l.address])
	return address
}

// text is a C string.
func text(b []byte) string {
	before, _, _ := bytes.Cut(b, []byte{0})
	return string(before)
}
