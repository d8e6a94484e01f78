package baseline

import (
	"slices"
	"time"
)

// Upgrade is what is known of an upgrade that nobody has accepted yet. It is never
// changed once it was made.
type Upgrade struct {
	Noticed  time.Time `json:"noticed"`
	Versions []Change  `json:"versions"`         // what was upgraded
	Folded   []Change  `json:"folded,omitempty"` // what changed together with it
}

// Change is a subject that is not as it was recorded.
type Change struct {
	Check    string `json:"check"`
	Subject  string `json:"subject"`
	Observed string `json:"observed"`
	Package  string `json:"package,omitempty"` // whose version it is; "" is a release of what the node runs
}

// Same tells whether both say the same of the node.
func (u *Upgrade) Same(other *Upgrade) bool {
	if u == nil || other == nil {
		return u == other
	}
	return u.Noticed.Equal(other.Noticed) && slices.Equal(u.Versions, other.Versions) && slices.Equal(u.Folded, other.Folded)
}

// Observed is what was seen last of the versions, by subject. There is none without
// an upgrade.
func (u *Upgrade) Observed() map[string]string {
	if u == nil {
		return nil
	}
	out := map[string]string{}
	for _, c := range u.Versions {
		out[c.Subject] = c.Observed
	}
	return out
}
