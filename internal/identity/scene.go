package identity

import (
	"context"
	"errors"
	"slices"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
)

// scene is what one look sees, and what it makes of it.
type scene struct {
	*Check
	known   node.Node
	hasNode bool // somebody has seen the Node, though it may be gone
	missing bool // there is no Node, though somebody may have seen one

	net     *network // nil: it could not be read
	netErr  error
	kubelet kubelet

	out   drift.Observation
	shaky []string // findings about the network
}

// item is one thing that a baseline keeps.
type item struct {
	aspect  Aspect
	subject string
	value   string // "": it is absent
	blind   bool   // it could not be looked at: what was recorded stays
	why     error  // why that matters; nil: nothing could have been seen here
	hint    string
	common  bool // nodes of one kind have it in common
	pending bool // it is for the next boot
	shaky   bool // of the network
	args    map[string]string
}

func (s *scene) readNetwork(ctx context.Context) {
	if s.root.Live() {
		s.net, s.netErr = readNetlink(ctx, s.root, s.namedLinks())
		if s.netErr != nil {
			s.net = nil
		}
		return
	}
	if n := readTree(s.root); len(n.links) > 0 {
		s.net = n
	}
}

// namedLinks are the interfaces that are judged by their names.
func (s *scene) namedLinks() []string {
	was, _ := s.before(primary)
	names := []string{was}
	for _, r := range s.rules {
		if r.Rule.MTU != nil {
			names = append(names, r.Rule.MTU.Interface)
		}
	}
	return names
}

// items are all that the rules want as it was recorded.
func (s *scene) items() (out []item) {
	for _, a := range []struct {
		aspects []Aspect
		look    func() []item
	}{
		{[]Aspect{Address}, s.addressItems},
		{[]Aspect{DHCP}, s.leaseItems},
		{[]Aspect{DefaultRoute}, s.routeItems},
		{[]Aspect{Interface, MAC, LinkMTU}, s.interfaceItems},
		{[]Aspect{Hostname}, s.hostnameItems},
		{[]Aspect{Installation}, s.installationItems},
		{[]Aspect{Distribution}, s.distributionItems},
		{[]Aspect{Kernel}, s.kernelItems},
		{[]Aspect{Capacity}, s.capacityItems},
		{[]Aspect{ProviderID}, s.providerItems},
		{[]Aspect{NodeObject}, s.objectItems},
	} {
		if asks(s.rules, a.aspects...) {
			out = append(out, a.look()...)
		}
	}
	return slices.Concat(out, s.metadataItems(), s.moduleItems())
}

func (s *scene) judge(r drift.Bound[Rule], items []item) {
	switch rule := r.Rule; {
	case rule.Same != nil:
		s.same(r, items)
	case rule.Metadata != nil:
		s.metadata(r, items)
	case rule.Modules != nil:
		s.modules(r, items)
	case rule.Required != nil:
		s.required(r)
	case rule.System != nil:
		s.system(r)
	case rule.Platform != nil:
		s.platform(r)
	case rule.MTU != nil:
		s.mtu(r)
	case rule.Agree != nil:
		s.agree(r)
	case rule.Instance != "":
		s.instance(r)
	case rule.PolicyRoutes != "":
		s.policyRoutes(r)
	}
}

// same compares with what was recorded.
func (s *scene) same(r drift.Bound[Rule], items []item) {
	for _, i := range items {
		switch {
		case !slices.Contains(r.Rule.Same, i.aspect) || i.aspect == NodeObject:
		case i.blind && i.why != nil:
			s.gap(r.Operation, i.subject, i.why.Error(), i.hint)
		case !i.blind:
			s.compare(r, i)
		}
	}
	if slices.Contains(r.Rule.Same, NodeObject) {
		s.nodeObject(r)
	}
	if slices.Contains(r.Rule.Same, Installation) {
		s.reinstalled(r)
	}
}

func (s *scene) compare(r drift.Bound[Rule], i item) {
	was, ok := s.before(i.subject)
	if !ok || was == i.value {
		return
	}
	f := drift.Finding{Subject: i.subject, Observed: i.value, Supported: was, Baseline: true, Args: i.args}
	if i.pending {
		f.State = drift.Pending
	}
	s.find(r, f)
	if i.shaky {
		s.shaky = append(s.shaky, i.subject+" "+i.value)
	}
}

// before is what was recorded of a subject.
func (s *scene) before(subject string) (string, bool) {
	was, ok := s.recorded[subject]
	return was, ok && was != baseline.Unread
}

const absent = "absent"

func (s *scene) find(r drift.Bound[Rule], f drift.Finding) {
	f.Operation = r.Operation
	if f.Tier == "" {
		f.Tier = r.Rule.Tier
	}
	if f.State == "" {
		f.State = drift.Active
	}
	if f.Observed == "" {
		f.Observed = absent
	}
	s.out.Findings = append(s.out.Findings, f)
}

func (s *scene) gap(operation, subject, reason, hint string) {
	s.out.Gaps = append(s.out.Gaps, drift.Gap{Operation: operation, Subject: subject, Reason: drift.Printable(reason), Hint: hint})
}

// keepFacts says what a baseline would record. What could not be looked at stays as
// it was recorded.
func (s *scene) keepFacts(items []item) {
	if !slices.ContainsFunc(s.rules, func(r drift.Bound[Rule]) bool { return r.Rule.baselined() }) {
		return
	}
	s.out.Facts = map[string]drift.Fact{}
	for _, i := range items {
		was, recorded := s.before(i.subject)
		switch {
		case i.blind && recorded:
			s.out.Facts[i.subject] = drift.Fact{Value: was, Local: !i.common}
		case !i.blind && i.value != "":
			s.out.Facts[i.subject] = drift.Fact{Value: i.value, Local: !i.common, Fresh: s.fresh(i, recorded)}
		}
	}
}

// fresh tells what was not recorded because nobody could: not what came since.
func (s *scene) fresh(i item, recorded bool) bool {
	if area := i.area(); area != "" {
		_, covered := s.before(area)
		return !covered
	}
	return !recorded
}

// networkHint is what to do about an unreadable network.
func networkHint(err error) string {
	if errors.Is(err, host.ErrForeignNetwork) {
		return host.HostNetworkHint
	}
	return "look with ip address and ip route on the host"
}
