package drift

import "slices"

// Reword returns the findings in the words of these operations, which may be those of
// another language. What is remembered only stays as it is.
func Reword(findings []FindingReport, operations map[string]Operation) []FindingReport {
	out := slices.Clone(findings)
	for i := range out {
		f := &out[i]
		o, known := operations[f.Operation]
		if f.Of == nil || !known {
			continue
		}
		o = o.at(f.Of.Tier)
		f.Title, f.Impact, f.Recovery, f.Source = o.Title, o.Impact, o.Recovery.of(*f.Of), o.Source
	}
	return out
}
