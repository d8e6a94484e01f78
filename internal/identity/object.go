package identity

import (
	"path"
	"strings"
	"time"

	"golang.org/x/mod/semver"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// identityAnnotation is what the agent keeps the machine's digest in.
const identityAnnotation = "nodeguard.io/identity"

const nodeObject = "Node object"

// Tiers that the check tells apart by itself.
const (
	Recreated   = "recreated"   // the Node was deleted and registered anew
	Reinstalled = "reinstalled" // another installation of the operating system
)

func (s *scene) providerItems() []item {
	i := item{aspect: ProviderID, subject: "providerID"}
	i.blind = !s.hasNode || s.known.Deleted || s.known.ProviderID == ""
	if !i.blind {
		i.value = drift.Printable(s.known.ProviderID)
	}
	return []item{i}
}

// objectItems keep which object the Node is. One that is gone stays recorded.
func (s *scene) objectItems() []item {
	i := item{aspect: NodeObject, subject: nodeObject}
	i.blind = !s.hasNode || s.known.Deleted
	if !i.blind {
		i.value = drift.Printable(s.known.UID)
	}
	return []item{i}
}

// nodeObject finds a Node that was deleted under a kubelet that still runs, and one
// that was registered anew. A machine that never had one is on its way to it.
func (s *scene) nodeObject(r drift.Bound[Rule]) {
	was, recorded := s.before(nodeObject)
	away := s.awayFor(s.missing && recorded)
	switch {
	case !recorded:
	case s.missing:
		if s.deleted(away) {
			s.find(r, drift.Finding{Subject: nodeObject, Observed: absent, Supported: was, Baseline: true})
		}
	case s.hasNode && s.known.UID != was:
		s.find(r, drift.Finding{Subject: nodeObject, Observed: drift.Printable(s.known.UID), Supported: was, Tier: Recreated, Baseline: true})
	}
}

// deleted tells whether a Node that was there is away for so long that its kubelet
// works for none. One that was gone before anybody looked went long ago: only a kubelet
// that has just started may still bring it back.
func (s *scene) deleted(away time.Duration) bool {
	if !s.kubelet.runs {
		return false
	}
	if s.hasNode {
		return away >= absence
	}
	return away >= registers && s.now().Sub(s.kubelet.started) >= registers
}

// awayFor keeps since when the Node is away, and tells how long that is.
func (c *Check) awayFor(away bool) time.Duration {
	if !away {
		c.gone.Store(nil)
		return 0
	}
	now := c.now()
	c.gone.CompareAndSwap(nil, &now)
	if since := c.gone.Load(); since != nil {
		return now.Sub(*since)
	}
	return 0
}

// reinstalled tells that the Node was another installation when its identity was
// recorded, until the new one is.
func (s *scene) reinstalled(r drift.Bound[Rule]) {
	if s.recorded != nil || !s.hasNode || s.known.Deleted {
		return
	}
	was, is := s.known.Annotations[identityAnnotation], s.machineDigest()
	if was != "" && is != "" && was != is {
		s.find(r, drift.Finding{Subject: machineID, Observed: shorten(is), Supported: shorten(drift.Printable(was))})
	}
}

// required judges a label that a Node of this kind must have.
func (s *scene) required(r drift.Bound[Rule]) {
	want := r.Rule.Required
	if !s.hasNode || s.known.Deleted || len(want.ProviderID) > 0 && !matchAny(want.ProviderID, s.known.ProviderID) {
		return
	}
	for key, value := range s.known.Labels {
		if matchAny(want.Unless, key) || matchAny(want.Unless, key+"="+value) {
			return
		}
	}
	if _, there := s.known.Labels[want.Label]; !there {
		s.find(r, drift.Finding{Subject: label + want.Label, Supported: "set"})
	}
}

// system judges the operating system where the Node says that the rule holds.
func (s *scene) system(r drift.Bound[Rule]) {
	rule := r.Rule.System
	is, ok := s.release()
	if !ok || !s.holds(rule) {
		return
	}
	name := is.id + "-" + is.version
	if rule.Supported != nil && !matchAny(rule.Supported, name) || matchAny(rule.Unsupported, name) {
		f := drift.Finding{Subject: "operating system release", Observed: drift.Printable(name), Supported: strings.Join(rule.Supported, " or ")}
		if rule.Unsupported != nil {
			f.Supported = "none of " + strings.Join(rule.Unsupported, ", ")
		}
		s.find(r, f)
	}
}

// holds tells whether the rule is about this Node. Without a Node nobody knows.
func (s *scene) holds(rule *System) bool {
	if !s.hasNode || s.known.Deleted {
		return false
	}
	kubelet := s.known.KubeletVersion // v1.30.1-aliyun.1 is no pre-release
	if end := strings.IndexAny(kubelet, "-+"); end >= 0 {
		kubelet = kubelet[:end]
	}
	if rule.From != "" && (!semver.IsValid(kubelet) || semver.Compare(kubelet, "v"+rule.From) < 0) ||
		rule.Before != "" && (!semver.IsValid(kubelet) || semver.Compare(kubelet, "v"+rule.Before) >= 0) {
		return false
	}
	if rule.Label == "" {
		return true
	}
	matched, _ := path.Match(rule.Value, s.known.Labels[rule.Label])
	return matched
}
