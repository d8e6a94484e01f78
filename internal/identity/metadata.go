package identity

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	label        = "label "
	annotation   = "annotation "
	metadataArea = "labels"
)

// metadataItems are the labels and annotations of the Node that a rule is about. A
// Node that nobody has seen keeps what was recorded.
func (s *scene) metadataItems() []item {
	if !slices.ContainsFunc(s.rules, func(r drift.Bound[Rule]) bool { return r.Rule.Metadata != nil }) {
		return nil
	}
	out := []item{{subject: metadataArea, value: "read", common: true}}
	if !s.hasNode || s.known.Deleted {
		out[0].blind = true
		for subject := range s.recorded {
			if (item{subject: subject}).area() == metadataArea {
				out = append(out, item{subject: subject, blind: true})
			}
		}
		return out
	}
	for subject, value := range s.keys() {
		if slices.ContainsFunc(s.rules, func(r drift.Bound[Rule]) bool { return s.concerned(r.Rule.Metadata) && r.Rule.Metadata.about(subject) }) {
			out = append(out, item{subject: subject, value: value})
		}
	}
	return out
}

// keys are the Node's labels and annotations by subject. What an annotation holds is
// somebody else's: a digest tells that it changed.
func (s *scene) keys() map[string]string {
	out := map[string]string{}
	for key, value := range s.known.Labels {
		out[label+drift.Printable(key)] = "=" + drift.Printable(value)
	}
	for key, value := range s.known.ProviderAnnotations {
		out[annotation+drift.Printable(key)] = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(value)))[:shownDigest]
	}
	return out
}

// concerned tells whether the rule is about this Node.
func (s *scene) concerned(m *Metadata) bool {
	return m != nil && s.hasNode && !s.known.Deleted && !matchAny(m.NotOn, s.known.ProviderID)
}

// about tells whether the rule is about a label or annotation.
func (m *Metadata) about(subject string) bool {
	if m == nil {
		return false
	}
	if key, ok := strings.CutPrefix(subject, label); ok {
		return matchAny(m.Labels, key) && !matchAny(m.Except, key)
	}
	key, ok := strings.CutPrefix(subject, annotation)
	return ok && matchAny(m.Annotations, key) && !matchAny(m.Except, key)
}

// metadata compares with what was recorded. The field manager that owns a key now is
// who changed it; of a key that is gone nobody knows.
func (s *scene) metadata(r drift.Bound[Rule], items []item) {
	m := r.Rule.Metadata
	_, covered := s.before(metadataArea)
	if !covered || !s.concerned(m) {
		return
	}
	is := map[string]string{}
	for _, i := range items {
		if m.about(i.subject) {
			is[i.subject] = i.value
			s.metadataOf(r, i)
		}
	}
	for subject, was := range s.recorded {
		if _, there := is[subject]; !there && m.about(subject) && m.Added != addedOnly {
			s.metadataFinding(r, subject, absent, was, m.RemovedTier)
		}
	}
}

// metadataOf judges one key that is there.
func (s *scene) metadataOf(r drift.Bound[Rule], i item) {
	m, manager := r.Rule.Metadata, s.known.Managers[i.subject]
	was, recorded := s.before(i.subject)
	person := len(m.People) == 0 || matchAny(m.People, manager)
	switch {
	case was == i.value, matchAny(m.Controllers, manager):
	case recorded && m.Added == addedOnly:
	case !recorded && (m.Added == "" || !person):
	default:
		tier, is := "", i.value
		if !person {
			tier = m.UnknownTier
		}
		if manager != "" {
			is += ", set by " + drift.Printable(manager)
		}
		if !recorded {
			was = absent
		}
		s.metadataFinding(r, i.subject, is, was, tier)
	}
}

func (s *scene) metadataFinding(r drift.Bound[Rule], subject, is, was, tier string) {
	f := drift.Finding{
		Subject: subject, Observed: strings.TrimPrefix(is, "="), Supported: strings.TrimPrefix(was, "="),
		Tier: tier, Baseline: true, Args: map[string]string{"node": drift.Printable(s.known.Name)},
	}
	if f.Observed == "" || strings.HasPrefix(f.Observed, ", ") {
		f.Observed = `""` + f.Observed
	}
	if key, ok := strings.CutPrefix(subject, label); ok {
		f.Args["label"] = key + was
		if was == absent {
			f.Args["label"] = key + "-"
		}
	}
	s.find(r, f)
}
