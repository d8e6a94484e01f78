package firewall

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// ports are a range of destination ports.
type ports struct{ first, last uint16 }

func (p ports) all() bool { return p.first == 0 && p.last == 65535 }

// redirects tells which of the ports a rule of the table hands to another address,
// outside of the chains that the rule ignores.
func (r Rule) redirects(t table) []uint16 {
	var out []uint16
	for _, c := range t.chains {
		if r.ignores(c.name) {
			continue
		}
		for _, rule := range c.rules {
			for _, p := range rule.redirects {
				for _, port := range r.Redirects {
					if p.first <= port && port <= p.last && !slices.Contains(out, port) {
						out = append(out, port)
					}
				}
			}
		}
	}
	return out
}

// redirected adds the ports that do not reach their owner, and those that will not
// after the next boot.
func (j *judgement) redirected() {
	for _, t := range j.facts.tables {
		for _, port := range j.rule.redirects(t) {
			j.add(Enforcing, drift.Finding{Subject: portName(port), Observed: "redirected by " + t.String(), Supported: "not redirected"})
		}
	}
	for _, s := range services {
		if !slices.Contains(j.rule.Services, s.name) || !j.installed(s) || !j.boots(s) {
			continue
		}
		for _, t := range j.traces[s.name].config.saved {
			for _, port := range j.rule.redirects(t) {
				j.add(Enabled, drift.Finding{Subject: portName(port), Observed: "redirected by the rules that " + s.unit() + " loads", Supported: "not redirected", State: drift.Pending})
			}
		}
	}
}

func portName(port uint16) string { return "port " + strconv.Itoa(int(port)) }

// savedRedirect reads the destination ports of an iptables-save line that ends in DNAT
// or REDIRECT.
func savedRedirect(words []string) []ports {
	var out []ports
	jumps := false
	for i := 0; i+1 < len(words); i++ {
		inverted := i > 0 && words[i-1] == "!"
		switch words[i] {
		case "-j", "--jump":
			jumps = words[i+1] == "DNAT" || words[i+1] == "REDIRECT"
		case "--dport", "--dports", "--destination-port", "--destination-ports", "--ports":
			if !inverted {
				out = append(out, portList(words[i+1])...)
			}
		}
	}
	if !jumps {
		return nil
	}
	return out
}

// portList reads "10250", "1:1023" and "80,443,8000:8080".
func portList(list string) []ports {
	var out []ports
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		a, errA := strconv.ParseUint(first, 10, 16)
		b, errB := strconv.ParseUint(last, 10, 16)
		if errA == nil && errB == nil {
			out = append(out, ports{uint16(a), uint16(b)})
		}
	}
	return out
}

// nftRedirect reads the same of nf_tables expressions, those of iptables-nft included.
func nftRedirect(exprs []expr.Any) []ports {
	var out []ports
	redirects := false
	for i, e := range exprs {
		switch e := e.(type) {
		case *expr.NAT:
			redirects = redirects || e.Type == expr.NATTypeDestNAT
		case *expr.Redir:
			redirects = true
		case *expr.Target:
			redirects = redirects || e.Name == "DNAT" || e.Name == "REDIRECT"
		case *expr.Match:
			out = append(out, xtPorts(e)...)
		case *expr.Cmp:
			if i > 0 && e.Op == expr.CmpOpEq && len(e.Data) == 2 && loadsPort(exprs[i-1]) {
				port := binary.BigEndian.Uint16(e.Data)
				out = append(out, ports{port, port})
			}
		}
	}
	if !redirects {
		return nil
	}
	return out
}

func xtPorts(m *expr.Match) []ports {
	var p ports
	switch info := m.Info.(type) {
	case *xt.Tcp:
		if info.InvFlags&xt.TcpInvDestPorts != 0 {
			return nil
		}
		p = ports{info.DstPorts[0], info.DstPorts[1]}
	case *xt.Udp:
		if info.InvFlags&xt.UdpInvDestPorts != 0 {
			return nil
		}
		p = ports{info.DstPorts[0], info.DstPorts[1]}
	default:
		return nil
	}
	if p.all() {
		return nil
	}
	return []ports{p}
}

// loadsPort knows "payload load the destination port".
func loadsPort(e expr.Any) bool {
	p, ok := e.(*expr.Payload)
	return ok && p.OperationType == expr.PayloadLoad && p.Base == expr.PayloadBaseTransportHeader && p.Offset == 2 && p.Len == 2
}

const (
	matchName     = 2 // in struct xt_entry_match
	matchNameSize = 29
	matchData     = 32 // struct xt_tcp and xt_udp begin with source and destination ports
	matchMin      = matchData + 8
	invertedPort  = 0x02 // XT_TCP_INV_DSTPT, XT_UDP_INV_DSTPT
)

// legacyPorts reads them of the matches of a legacy entry.
func legacyPorts(matches []byte) []ports {
	var out []ports
	for len(matches) >= matchData {
		size := int(binary.NativeEndian.Uint16(matches))
		if size < matchData || size > len(matches) {
			return out
		}
		name := text(matches[matchName : matchName+matchNameSize])
		if (name == "tcp" || name == "udp") && size >= matchMin {
			p := ports{binary.NativeEndian.Uint16(matches[matchData+4:]), binary.NativeEndian.Uint16(matches[matchData+6:])}
			if !p.all() && !invertedPorts(name, matches[matchData:size]) {
				out = append(out, p)
			}
		}
		matches = matches[size:]
	}
	return out
}

// invertedPorts reads the flags at the end of struct xt_tcp and xt_udp.
func invertedPorts(name string, data []byte) bool {
	at := 8
	if name == "tcp" {
		at = 11
	}
	return at < len(data) && data[at]&invertedPort != 0
}
