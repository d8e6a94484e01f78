package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// attempts is how often a rule set that changes while it is read is read again.
	attempts = 5
	// atOnce is for how long where the change is hinted anyway.
	atOnce = 20 * time.Millisecond
)

var errChanging = errors.New("they changed each time while they were read")

// readNftables reads the tables of this thread's network namespace, iptables-nft
// included, and of their rules those that a packet can meet outside of what skip
// names. Of a hinted rule set that keeps changing the next hint will tell.
func readNftables(ctx context.Context, skip func(name string) bool, hinted bool) (tables []table, err error) {
	defer func() {
		if p := recover(); p != nil {
			tables, err = nil, fmt.Errorf("the kernel's answer was not understood: %v", p)
		}
	}()
	deadline, _ := ctx.Deadline() // none without one
	if _, err := generation(deadline); errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil // a kernel without nf_tables
	}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		return c.SetDeadline(deadline)
	}))
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer aside(conn.CloseLasting)
	began := time.Now()
	for range attempts {
		before, err := generation(deadline)
		if err != nil {
			return nil, err
		}
		tables, err := readGeneration(conn, deadline, skip)
		after, changed := generation(deadline)
		switch {
		case changed != nil:
			return nil, changed
		case before == after:
			return tables, err
		case hinted && time.Since(began) > atOnce:
			return nil, errChanging
		}
	}
	return nil, errChanging
}

// readGeneration reads the rule set once, until it changes.
func readGeneration(conn *nftables.Conn, deadline time.Time, skip func(name string) bool) ([]table, error) {
	dump, err := openRuleDump(deadline)
	if err != nil {
		return nil, err
	}
	defer aside(dump.close)
	return nftReader{conn: conn, dump: dump, skip: skip}.tables()
}

// generation counts the changes of the rule set.
func generation(deadline time.Time) (uint32, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return 0, fmt.Errorf("open netlink: %w", err)
	}
	defer aside(conn.Close)
	if err := conn.SetDeadline(deadline); err != nil {
		return 0, fmt.Errorf("set the deadline: %w", err)
	}
	answer, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4), // struct nfgenmsg
	})
	if err != nil {
		return 0, fmt.Errorf("ask for the generation: %w", err)
	}
	for _, m := range answer {
		ad, err := netlink.NewAttributeDecoder(m.Data[min(4, len(m.Data)):])
		if err != nil {
			return 0, fmt.Errorf("decode the generation: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			if ad.Type() == unix.NFTA_GEN_ID {
				return ad.Uint32(), ad.Err()
			}
		}
	}
	return 0, errors.New("the kernel told no generation")
}

// aside closes without anybody waiting for it: where rules were just deleted, the kernel
// lets whoever closes a socket of netfilter wait until they are gone, which is a grace
// period of RCU.
func aside(closing func() error) { go func() { _ = closing() }() }

// nftReader reads one generation.
type nftReader struct {
	conn *nftables.Conn
	dump *ruleDump
	skip func(name string) bool
}

func (r nftReader) tables() ([]table, error) {
	found, err := r.conn.ListTables()
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	all, err := r.conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	type id struct {
		family nftables.TableFamily
		name   string
	}
	own := map[id][]*nftables.Chain{}
	for _, c := range all {
		if c.Table != nil {
			own[id{c.Table.Family, c.Table.Name}] = append(own[id{c.Table.Family, c.Table.Name}], c)
		}
	}
	var out []table
	for _, t := range found {
		family, known := families[t.Family]
		if !known || dormant(t) || r.skip(t.Name) {
			continue
		}
		chains, err := r.chains(t, own[id{t.Family, t.Name}])
		if err != nil {
			return nil, fmt.Errorf("table %s %s: %w", family, t.Name, err)
		}
		out = append(out, table{backend: nfTables, family: family, name: t.Name, chains: chains})
	}
	return out, nil
}

var families = map[nftables.TableFamily]string{
	nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6", nftables.TableFamilyINet: "inet",
	nftables.TableFamilyBridge: "bridge", nftables.TableFamilyNetdev: "netdev",
}

// dormant tables are not hooked in. The attribute is big-endian, and the library
// reads it in the machine's order.
func dormant(t *nftables.Table) bool {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], t.Flags)
	return binary.BigEndian.Uint32(b[:])&unix.NFT_TABLE_F_DORMANT != 0
}

// chains follows the base chains to all that they lead to.
func (r nftReader) chains(t *nftables.Table, found []*nftables.Chain) ([]chain, error) {
	out := make([]chain, len(found))
	index := map[string]int{}
	var ahead []int
	for i, c := range found {
		out[i] = chain{name: c.Name, hook: hookOf(c), drops: c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop}
		index[c.Name] = i
		if out[i].hook != "" {
			ahead = append(ahead, i)
		}
	}
	seen := map[int]bool{}
	for len(ahead) > 0 {
		i := ahead[0]
		ahead = ahead[1:]
		if seen[i] || r.skip(out[i].name) {
			continue
		}
		seen[i] = true
		rules, err := r.rules(t, found[i])
		if err != nil {
			return nil, fmt.Errorf("chain %s: %w", out[i].name, err)
		}
		out[i].rules = rules
		for _, rule := range rules {
			for _, name := range rule.to {
				if next, ok := index[name]; ok {
					ahead = append(ahead, next)
				}
			}
		}
	}
	return out, nil
}

func hookOf(c *nftables.Chain) string {
	if c.Hooknum == nil {
		return ""
	}
	if n := int(*c.Hooknum); c.Table.Family != nftables.TableFamilyNetdev && n < len(hooks) {
		return hooks[n]
	}
	return "ingress"
}

var hooks = [...]string{"prerouting", "input", "forward", "output", "postrouting"}

// rules are those of the chain that can do anything to a packet.
func (r nftReader) rules(t *nftables.Table, c *nftables.Chain) (out []rule, err error) {
	var decoded [][]expr.Any // maps are asked for once the rules have been read
	err = r.dump.each(byte(t.Family), t.Name, c.Name, func(expressions []byte) error {
		if takes, err := effective(expressions); err != nil || !takes {
			return err
		}
		exprs, err := decode(byte(t.Family), expressions)
		if err == nil {
			decoded = append(decoded, exprs)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, exprs := range decoded {
		rule, err := r.rule(t, exprs)
		if err != nil {
			return nil, err
		}
		out = append(out, rule)
	}
	return out, nil
}

func (r nftReader) rule(t *nftables.Table, exprs []expr.Any) (rule, error) {
	out := rule{redirects: nftRedirect(exprs)}
	for i, e := range exprs {
		switch e := e.(type) {
		case *expr.Verdict:
			out.verdict(e.Kind, e.Chain)
		case *expr.Reject:
			out.drop = true
		case *expr.Target:
			out.drop = out.drop || e.Name == "REJECT" || e.Name == "DROP"
		case *expr.Lookup:
			if e.IsDestRegSet && e.DestRegister == unix.NFT_REG_VERDICT {
				if err := r.verdictMap(t, e.SetName, &out); err != nil {
					return out, err
				}
			}
		case *expr.Cmp:
			if i > 0 && e.Op == expr.CmpOpEq {
				if to, ok := destination(exprs[i-1], e.Data); ok {
					out.destination = to
				}
			}
		}
	}
	return out, nil
}

func (r *rule) verdict(kind expr.VerdictKind, chain string) {
	switch kind {
	case expr.VerdictDrop:
		r.drop = true
	case expr.VerdictJump, expr.VerdictGoto:
		r.to = append(r.to, chain)
	}
}

// destination reads "payload load the destination, cmp eq".
func destination(load expr.Any, value []byte) (netip.Addr, bool) {
	p, ok := load.(*expr.Payload)
	if !ok || p.OperationType != expr.PayloadLoad || p.Base != expr.PayloadBaseNetworkHeader {
		return netip.Addr{}, false
	}
	v4, v6 := p.Offset == 16 && p.Len == 4, p.Offset == 24 && p.Len == 16
	to, ok := netip.AddrFromSlice(value)
	return to, ok && (v4 || v6)
}

// verdictMap adds what the elements of a verdict map do.
func (r nftReader) verdictMap(t *nftables.Table, name string, out *rule) error {
	elements, err := r.conn.GetSetElements(&nftables.Set{Table: t, Name: name})
	if err != nil {
		return fmt.Errorf("map %s: %w", name, err)
	}
	for _, e := range elements {
		ad, err := netlink.NewAttributeDecoder(e.Val)
		if err != nil {
			return fmt.Errorf("map %s: %w", name, err)
		}
		ad.ByteOrder = binary.BigEndian
		var (
			kind  expr.VerdictKind
			chain string
		)
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_VERDICT_CODE:
				kind = expr.VerdictKind(int32(ad.Uint32()))
			case unix.NFTA_VERDICT_CHAIN:
				chain = ad.String()
			}
		}
		if len(e.Val) > 0 {
			out.verdict(kind, chain)
		}
	}
	return nil
}
