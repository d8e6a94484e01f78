package firewall

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// Of many rules those that matter are read as the library reads them, whatever portion
// they come in.
func TestRulesOfManyPortions(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	var script strings.Builder
	script.WriteString("add table inet t\nadd chain inet t other\nadd chain inet t c { type nat hook prerouting priority -100; }\n")
	for i := range 3000 {
		fmt.Fprintf(&script, "add rule inet t c ip saddr 10.0.%d.%d counter accept\n", i>>8, i&255)
		switch i {
		case 0, 1500:
			script.WriteString("add rule inet t c ip daddr 192.0.2.1 drop\nadd rule inet t c jump other\n")
		case 700:
			script.WriteString("add rule inet t c tcp dport 10250 redirect to :1\nadd rule inet t c tcp dport vmap { 1 : drop, 2 : goto other }\n")
		case 2999:
			script.WriteString("add rule inet t c meta l4proto tcp dnat ip to 192.0.2.2\n")
		}
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "rules", script.String())
	hosttest.Run(t, "nft", "-f", dir+"/rules")
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseLasting() }()
	dump, err := openRuleDump(time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dump.close() }()
	r := nftReader{conn: conn, dump: dump}
	table := &nftables.Table{Name: "t", Family: nftables.TableFamilyINet}
	chain := &nftables.Chain{Name: "c", Table: table}
	all, err := conn.GetRules(table, chain)
	if err != nil || len(all) < 3000 {
		t.Fatalf("%d rules, %v", len(all), err)
	}
	var want []rule
	for _, found := range all {
		one, err := r.rule(table, found.Exprs)
		if err != nil {
			t.Fatal(err)
		}
		if one.drop || len(one.to) > 0 || len(one.redirects) > 0 {
			want = append(want, one)
		}
	}
	got, err := r.rules(table, chain)
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(one rule) bool { return !one.drop && len(one.to) == 0 && len(one.redirects) == 0 })
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(rule{}, ports{}), cmpopts.EquateComparable(netip.Addr{})); diff != "" || len(want) != 6 {
		t.Errorf("%d rules: -library +portions\n%s", len(want), diff)
	}
}

// Rules that let a packet pass are most of tens of thousands: nothing is kept of them.
func TestRulesThatPassCostNothing(t *testing.T) {
	rule := ruleOf(t, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept})
	if takes, err := effective(rule); takes || err != nil {
		t.Errorf("%t %v", takes, err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = effective(rule) }); n > 0 {
		t.Errorf("%v allocations a rule", n)
	}
}

func ruleOf(t *testing.T, exprs ...expr.Any) (rule []byte) {
	t.Helper()
	for _, e := range exprs {
		data, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			t.Fatal(err)
		}
		rule = append(rule, attribute(unix.NFTA_LIST_ELEM, data)...)
	}
	return rule
}

func attribute(kind uint16, data []byte) []byte {
	out := binary.NativeEndian.AppendUint16(nil, uint16(attrSize+len(data)))
	out = append(binary.NativeEndian.AppendUint16(out, kind), data...)
	return append(out, make([]byte, align(len(out))-len(out))...)
}

// What the kernel sends is never more than was asked for, and may be cut short.
func FuzzRules(f *testing.F) {
	verdict, err := expr.Marshal(unix.NFPROTO_INET, &expr.Verdict{Kind: expr.VerdictDrop})
	if err != nil {
		f.Fatal(err)
	}
	body := append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_RULE_EXPRESSIONS, attribute(unix.NFTA_LIST_ELEM, verdict))...)
	message := binary.NativeEndian.AppendUint32(nil, uint32(headerSize+len(body)))
	message = binary.NativeEndian.AppendUint16(message, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE)
	message = append(append(message, make([]byte, headerSize-len(message))...), body...)
	f.Add(message)
	f.Add(append(slices.Clone(message), message...))
	f.Add(message[:len(message)-3])
	f.Fuzz(func(t *testing.T, portion []byte) {
		visited := 0
		_, _ = eachMessage(portion, func(expressions []byte) error {
			if visited += len(expressions); visited > len(portion) {
				t.Error("more is visited than was sent")
			}
			_, _ = effective(expressions)
			_, _ = decode(unix.NFPROTO_INET, expressions)
			return nil
		})
	})
}
