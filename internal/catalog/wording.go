package catalog

import "github.com/nodeguard/nodeguard/internal/drift"

// In returns the operation in one language.
func (o Operation) In(l drift.Language) drift.Operation {
	out := drift.Operation{
		ID: o.ID, Title: o.Title.In(l), Impact: o.Impact.In(l), Severity: o.Severity,
		Recovery: o.Recovery.in(l), Source: drift.Source(o.Source), Tiers: map[string]drift.Tier{},
	}
	for name, t := range o.Tiers {
		tier := drift.Tier{Severity: t.Severity, Title: t.Title.In(l), Impact: t.Impact.In(l)}
		if t.Recovery != nil {
			r := t.Recovery.in(l)
			tier.Recovery = &r
		}
		out.Tiers[name] = tier
	}
	return out
}

func (r Recovery) in(l drift.Language) drift.Recovery {
	return drift.Recovery{Text: r.Text.In(l), Commands: r.Commands, PendingCommands: r.PendingCommands, Class: r.Class}
}

// In returns all operations of the profile in one language, by id.
func (p Profile) In(l drift.Language) map[string]drift.Operation {
	out := map[string]drift.Operation{}
	for _, o := range p.Operations {
		out[o.ID] = o.In(l)
	}
	return out
}
