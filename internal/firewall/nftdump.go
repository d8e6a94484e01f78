package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleDump reads rules as the kernel sends them, in large portions, and keeps none: on a
// node there can be tens of thousands of them, of which few can take a packet away. The
// kernel begins each portion at the first rule, so that few large ones are quick.
type ruleDump struct {
	fd     int
	buffer []byte
}

const (
	portion    = 32 << 10 // the kernel sends no larger ones
	headerSize = unix.SizeofNlMsghdr
	nfgenSize  = 4 // struct nfgenmsg
	attrSize   = 4 // struct nlattr
	attrType   = 0x3fff
)

var errShort = errors.New("a message of the kernel is cut short")

func openRuleDump(deadline time.Time) (*ruleDump, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if !deadline.IsZero() {
		left := unix.NsecToTimeval(max(int64(time.Until(deadline)), int64(time.Millisecond)))
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &left); err != nil {
			return nil, errors.Join(fmt.Errorf("set the deadline: %w", err), unix.Close(fd))
		}
	}
	return &ruleDump{fd: fd, buffer: make([]byte, portion)}, nil
}

func (d *ruleDump) close() error { return unix.Close(d.fd) }

// each visits the expressions of each rule of the chain.
func (d *ruleDump) each(family byte, table, chain string, visit func(expressions []byte) error) error {
	request := make([]byte, headerSize, headerSize+nfgenSize+len(table)+len(chain)+4*attrSize)
	request = append(request, family, 0, 0, 0)
	request = appendName(request, unix.NFTA_RULE_TABLE, table)
	request = appendName(request, unix.NFTA_RULE_CHAIN, chain)
	binary.NativeEndian.PutUint32(request, uint32(len(request))) //nolint:gosec // names are short
	binary.NativeEndian.PutUint16(request[4:], unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETRULE)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(d.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask for rules: %w", err)
	}
	for done := false; !done; {
		n, _, err := unix.Recvfrom(d.fd, d.buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive rules: %w", err)
		}
		if done, err = eachMessage(d.buffer[:n], visit); err != nil {
			return err
		}
	}
	return nil
}

func appendName(b []byte, kind uint16, name string) []byte {
	size := attrSize + len(name) + 1
	b = binary.NativeEndian.AppendUint16(b, uint16(size)) //nolint:gosec // names are short
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(append(b, name...), 0)
	return append(b, make([]byte, align(size)-size)...)
}

func align(n int) int { return (n + 3) &^ 3 }

// eachMessage visits the rules of a portion and tells whether it was the last one.
func eachMessage(portion []byte, visit func([]byte) error) (done bool, err error) {
	for len(portion) >= headerSize {
		size := int(binary.NativeEndian.Uint32(portion))
		if size < headerSize || size > len(portion) {
			return false, errShort
		}
		if binary.NativeEndian.Uint16(portion[6:])&unix.NLM_F_DUMP_INTR != 0 {
			return false, errChanging
		}
		kind, body := binary.NativeEndian.Uint16(portion[4:]), portion[headerSize:size]
		portion = portion[min(align(size), len(portion)):]
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) < 4 {
				return true, nil
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code != 0 { //nolint:gosec // the bits are kept
				return true, fmt.Errorf("receive rules: %w", unix.Errno(-code))
			}
			return true, nil
		case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE:
			if len(body) < nfgenSize {
				return false, errShort
			}
			if err := visitRule(body[nfgenSize:], visit); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func visitRule(rule []byte, visit func([]byte) error) error {
	a := attributes{rest: rule}
	for a.next() {
		if a.kind != unix.NFTA_RULE_EXPRESSIONS {
			continue
		}
		if err := visit(a.data); err != nil {
			return err
		}
	}
	return a.err
}

// attributes go through those of a message, one after the other, up to an error. They are
// looked at millions of times where rules come by tens of thousands, and so keep nothing.
type attributes struct {
	kind uint16
	data []byte
	rest []byte
	err  error
}

func (a *attributes) next() bool {
	if len(a.rest) < attrSize || a.err != nil {
		return false
	}
	size := int(binary.NativeEndian.Uint16(a.rest))
	if size < attrSize || size > len(a.rest) {
		a.err = errShort
		return false
	}
	a.kind, a.data = binary.NativeEndian.Uint16(a.rest[2:])&attrType, a.rest[attrSize:size]
	a.rest = a.rest[min(align(size), len(a.rest)):]
	return true
}

// expressions go through those of a rule.
type expressions struct {
	name, data []byte
	elements   attributes
}

func (e *expressions) next() bool {
	if !e.elements.next() {
		return false
	}
	e.name, e.data = nil, nil
	parts := attributes{rest: e.elements.data}
	for parts.next() {
		switch parts.kind {
		case unix.NFTA_EXPR_NAME:
			e.name, _, _ = bytes.Cut(parts.data, []byte{0})
		case unix.NFTA_EXPR_DATA:
			e.data = parts.data
		}
	}
	e.elements.err = parts.err
	return parts.err == nil
}

func expressionsOf(rule []byte) expressions { return expressions{elements: attributes{rest: rule}} }

// effective tells whether a rule of these expressions can do anything to a packet but
// let it pass: drop it, send it elsewhere, or lead it to another chain.
func effective(rule []byte) (found bool, err error) {
	e := expressionsOf(rule)
	for e.next() {
		switch string(e.name) {
		case "reject", "target", "lookup", "nat", "redir":
			found = true
		case "immediate":
			takes, err := verdictTakes(e.data)
			if err != nil {
				return false, err
			}
			found = found || takes
		}
	}
	return found, e.elements.err
}

// verdictTakes tells whether an immediate expression is a verdict that is not to let the
// packet pass.
func verdictTakes(immediate []byte) (bool, error) {
	verdict, err := within(immediate, unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT)
	if err != nil {
		return false, err
	}
	code, err := within(verdict, unix.NFTA_VERDICT_CODE)
	if err != nil || len(code) != 4 {
		return false, err
	}
	switch expr.VerdictKind(int32(binary.BigEndian.Uint32(code))) { //nolint:gosec // the bits are kept
	case expr.VerdictDrop, expr.VerdictJump, expr.VerdictGoto:
		return true, nil
	}
	return false, nil
}

// within is the attribute at the end of a path of nested ones; nil where there is none.
func within(data []byte, path ...uint16) ([]byte, error) {
	for _, kind := range path {
		a := attributes{rest: data}
		data = nil
		for a.next() {
			if a.kind == kind {
				data = a.data
			}
		}
		if a.err != nil {
			return nil, a.err
		}
	}
	return data, nil
}

// decode reads the expressions that matter to what a rule can do; others stand in their
// places.
func decode(family byte, rule []byte) (out []expr.Any, err error) {
	e := expressionsOf(rule)
	for e.next() {
		decoded, err := decodeOne(family, string(e.name), e.data)
		if err != nil {
			return nil, fmt.Errorf("expression %s: %w", e.name, err)
		}
		out = append(out, decoded)
	}
	return out, e.elements.err
}

// decodeOne is the library's, which panics where a value is cut short.
func decodeOne(family byte, name string, data []byte) (e expr.Any, err error) {
	defer func() {
		if recover() != nil {
			e, err = nil, errShort
		}
	}()
	switch name {
	case "immediate":
		immediate := &expr.Immediate{}
		if err := expr.Unmarshal(family, data, immediate); err != nil {
			return nil, err
		}
		if immediate.Register != unix.NFT_REG_VERDICT || len(immediate.Data) > 0 {
			return immediate, nil
		}
		e = &expr.Verdict{}
	case "reject":
		e = &expr.Reject{}
	case "target":
		e = &expr.Target{}
	case "match":
		e = &expr.Match{}
	case "lookup":
		e = &expr.Lookup{}
	case "cmp":
		e = &expr.Cmp{}
	case "payload":
		e = &expr.Payload{}
	case "nat":
		e = &expr.NAT{}
	case "redir":
		e = &expr.Redir{}
	default:
		return &expr.Counter{}, nil
	}
	return e, expr.Unmarshal(family, data, e)
}
