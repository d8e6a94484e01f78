package journal

import (
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// openSet is what is open by the lines so far: findings, and checks that cannot look.
type openSet struct {
	entries map[string]Entry
	order   []string
}

// key says what an entry opens or closes; "" for nothing.
func (e Entry) key() string {
	switch {
	case e.Finding != nil:
		return "finding " + e.Finding.ID
	case e.AboutBlindness():
		return "blind " + e.Condition()
	default:
		return ""
	}
}

// AboutBlindness tells whether the entry is about a check that cannot look, or can again.
func (e Entry) AboutBlindness() bool {
	return e.Event == Blind || e.Event == Sighted || e.Event == Carried && e.Finding == nil
}

// Condition is the one that a blind or sighted check is about.
func (e Entry) Condition() string {
	condition, _, _ := strings.Cut(e.Detail, ":")
	return condition
}

func (o *openSet) has(e Entry) bool {
	_, known := o.entries[e.key()]
	return known
}

func (o *openSet) add(e Entry) {
	key := e.key()
	was, known := o.entries[key]
	switch e.Event {
	case Archived:
		*o = openSet{} // what another machine left open means nothing here
	case Raised, Blind, Carried:
		if o.entries == nil {
			o.entries = map[string]Entry{}
		}
		if !known {
			o.order = append(o.order, key)
		}
		o.entries[key] = e
	case Waived, Unwaived, Attributed:
		if known {
			was.Finding = e.Finding
			o.entries[key] = was
		}
	case Cleared, Sighted:
		if known {
			delete(o.entries, key)
			o.order = slices.DeleteFunc(o.order, func(k string) bool { return k == key })
		}
	}
}

// carried are the lines that a new file begins with.
func (o *openSet) carried() (out []Entry) {
	for _, key := range o.order {
		e := o.entries[key]
		e.Event = Carried
		out = append(out, e)
	}
	return out
}

// OpenFindings are those that were raised and not cleared since, on this machine, as
// they were last told.
func OpenFindings(entries []Entry) (out []drift.FindingReport) {
	var open openSet
	for _, e := range entries {
		open.add(e)
	}
	for _, key := range open.order {
		if f := open.entries[key].Finding; f != nil {
			out = append(out, *f)
		}
	}
	return out
}
