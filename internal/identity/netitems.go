package identity

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	onHost     = "address "
	onNode     = "InternalIP "
	defaultRt  = "default route"
	primary    = "primary interface"
	primaryMAC = primary + " mac"
	primaryMTU = primary + " mtu"
)

var families = [...]string{"ipv4", "ipv6"}

// unseenNetwork are the items that cannot be looked at without the network. A tree
// that has none is no gap.
func (s *scene) unseenNetwork(a Aspect, subjects ...string) (out []item) {
	for _, subject := range subjects {
		out = append(out, item{aspect: a, subject: subject, blind: true, why: s.netErr, hint: networkHint(s.netErr)})
	}
	return out
}

// addressItems are the address that the kubelet registered as the host has it, and as
// the Node has it: a kubelet that starts anew registers a changed one without a word.
func (s *scene) addressItems() []item {
	var out []item
	for _, f := range families {
		if s.net == nil {
			if _, recorded := s.before(onHost + f); recorded || f == families[0] {
				out = append(out, s.unseenNetwork(Address, onHost+f)...)
			}
		} else {
			out = append(out, s.hostAddress(f))
		}
		out = append(out, s.nodeAddress(f))
	}
	return out
}

// hostAddress keeps what was recorded as long as the host still has it, however many
// other addresses came since.
func (s *scene) hostAddress(f string) item {
	i := item{aspect: Address, subject: onHost + f, shaky: true}
	was, recorded := s.before(i.subject)
	text, _, _ := strings.Cut(was, " ")
	if prefix, err := netip.ParsePrefix(text); recorded && err == nil {
		if _, there := s.net.holds(prefix.Addr()); there {
			i.value = was
			return i
		}
		i.args = map[string]string{"address": text, "interface": lastWord(was)}
	}
	if a, ok := s.current(f); ok {
		i.value = s.net.place(a)
	}
	return i
}

// current is the address that the kubelet would register: the one it was told, else
// the Node's, else that of the default route.
func (s *scene) current(f string) (address, bool) {
	for _, ips := range [][]string{s.kubelet.nodeIPs, s.nodeIPs()} {
		for _, text := range ips {
			if ip, err := netip.ParseAddr(text); err == nil && family(ip) == f && !ip.IsUnspecified() {
				if a, ok := s.net.holds(ip); ok {
					return a, true
				}
			}
		}
	}
	r, ok := s.net.preferred()
	if !ok || r.ipv6 != (f == "ipv6") {
		return address{}, false
	}
	return s.net.source(r)
}

func (s *scene) nodeIPs() []string {
	if !s.hasNode || s.known.Deleted {
		return nil
	}
	return s.known.InternalIPs
}

// nodeAddress is what the Node says. The order of two families means nothing.
func (s *scene) nodeAddress(f string) item {
	i := item{aspect: Address, subject: onNode + f}
	all := s.nodeIPs()
	i.blind = len(all) == 0
	was, _ := s.before(i.subject)
	for _, text := range all {
		ip, err := netip.ParseAddr(text)
		if err != nil || family(ip) != f {
			continue
		}
		if i.value == "" || ip.String() == was {
			i.value = ip.String()
		}
	}
	return i
}

// leaseItems tell whether the address is leased. A lease that came is nothing.
func (s *scene) leaseItems() []item {
	const subject = "lease of the address"
	if s.net == nil {
		return s.unseenNetwork(DHCP, subject)
	}
	i := item{aspect: DHCP, subject: subject, common: true, shaky: true, blind: true}
	text, _, _ := strings.Cut(s.hostAddress(families[0]).value, " ")
	prefix, err := netip.ParsePrefix(text)
	a, there := s.net.holds(prefix.Addr())
	if err != nil || !there {
		return []item{i}
	}
	i.blind, i.value = false, "dynamic"
	was, _ := s.before(subject)
	if a.permanent || was == "static" {
		i.value = "static"
	}
	return []item{i}
}

// routeItems keep the recorded default route as long as no other goes before it.
func (s *scene) routeItems() []item {
	if s.net == nil {
		return s.unseenNetwork(DefaultRoute, defaultRt)
	}
	i := item{aspect: DefaultRoute, subject: defaultRt, shaky: true}
	was, _ := s.before(defaultRt)
	first, _ := s.net.preferred()
	for _, r := range s.net.defaults {
		if r.ipv6 != first.ipv6 || r.metric != first.metric {
			continue
		}
		if says := s.net.say(r); i.value == "" || says == was {
			i.value = says
		}
	}
	if words := strings.Fields(was); len(words) == 4 {
		i.args = map[string]string{"gateway": words[1], "interface": words[3]}
	}
	return []item{i}
}

// interfaceItems are about the interface of the default route, or the one that it
// had when it was recorded.
func (s *scene) interfaceItems() []item {
	if s.net == nil {
		return slices.Concat(s.unseenNetwork(Interface, primary), s.unseenNetwork(MAC, primaryMAC), s.unseenNetwork(LinkMTU, primaryMTU))
	}
	i := item{aspect: Interface, subject: primary, shaky: true}
	mac := item{aspect: MAC, subject: primaryMAC, shaky: true, blind: true}
	mtu := item{aspect: LinkMTU, subject: primaryMTU, shaky: true, blind: true, common: true}
	name, recorded := s.before(primary)
	l, there := s.net.named(name)
	if r, ok := s.net.preferred(); !recorded && ok {
		l, there = s.net.link(r.link)
	}
	if there {
		i.value = drift.Printable(l.name)
		mac.blind, mac.value = l.mac == "", l.mac
		mtu.blind, mtu.value = l.mtu == 0, strconv.Itoa(l.mtu)
		mtu.args = map[string]string{"device": i.value}
	}
	return []item{i, mac, mtu}
}

// mtu judges an interface that not every host has.
func (s *scene) mtu(r drift.Bound[Rule]) {
	want := r.Rule.MTU
	subject := "mtu of " + want.Interface
	if s.net == nil {
		if s.netErr != nil {
			s.gap(r.Operation, subject, s.netErr.Error(), networkHint(s.netErr))
		}
		return
	}
	if l, there := s.net.named(want.Interface); there && l.mtu != want.Is {
		s.findShaky(r, drift.Finding{Subject: subject, Observed: strconv.Itoa(l.mtu), Supported: strconv.Itoa(want.Is), Args: map[string]string{"interface": want.Interface}})
	}
}

// policyRoutes finds tables that pods are sent to and that lead nowhere: their
// network interface was taken away under them.
func (s *scene) policyRoutes(r drift.Bound[Rule]) {
	if s.net == nil {
		if s.netErr != nil {
			s.gap(r.Operation, "table", s.netErr.Error(), networkHint(s.netErr))
		}
		return
	}
	for _, t := range s.net.tables {
		if !t.hasDefault {
			subject := "table " + strconv.FormatUint(uint64(t.id), 10)
			if t.ipv6 {
				subject += " ipv6"
			}
			s.findShaky(r, drift.Finding{Subject: subject, Observed: "no default route, though rules send pods there", Supported: "a default route"})
		}
	}
}

func (s *scene) findShaky(r drift.Bound[Rule], f drift.Finding) {
	s.find(r, f)
	s.shaky = append(s.shaky, f.Subject+" "+f.Observed)
}

func lastWord(s string) string {
	words := strings.Fields(s)
	return words[len(words)-1]
}
