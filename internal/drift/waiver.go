package drift

import (
	"time"
)

// waiver returns the first waiver in force that covers the finding.
func (p Policy) waiver(operation, subject string, now time.Time) *WaiverReport {
	for _, w := range p.Waivers {
		if w.covers(operation, subject) && (w.Expires.IsZero() || now.Before(w.Expires)) {
			return w.report()
		}
	}
	return nil
}

func (w Waiver) covers(operation, subject string) bool {
	return Glob(w.Operation, operation) && (w.Subject == "" || Glob(w.Subject, subject))
}

func (w Waiver) report() *WaiverReport {
	r := &WaiverReport{Reason: w.Reason, Owner: w.Owner}
	if !w.Expires.IsZero() {
		r.Expires = &w.Expires
	}
	return r
}
