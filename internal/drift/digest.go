package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
)

// AcceptDigest names the state that the facts describe; accepting it accepts
// exactly this state.
func AcceptDigest(facts map[string]Fact) string {
	return digest(facts, func(Fact) bool { return true })
}

// AcceptDigest names the state that the look shows, with what its findings stand for
// elsewhere.
func (l Look) AcceptDigest() string {
	if len(l.Along) == 0 {
		return AcceptDigest(l.Facts)
	}
	all := maps.Clone(l.Facts)
	if all == nil {
		all = map[string]Fact{}
	}
	for subject, observed := range l.Along {
		all["along "+subject] = Fact{Value: observed}
	}
	return AcceptDigest(all)
}

// SharedDigest names the state without what is one node's own, so that nodes of
// one kind have the same.
func SharedDigest(facts map[string]Fact) string {
	return digest(facts, func(f Fact) bool { return !f.Local })
}

func digest(facts map[string]Fact, counts func(Fact) bool) string {
	h := sha256.New()
	for _, subject := range slices.Sorted(maps.Keys(facts)) {
		if f := facts[subject]; counts(f) {
			fmt.Fprintf(h, "%q %q\n", subject, f.Value)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// id is the same for the same operation, subject and state, on every node.
func (f Finding) id() string {
	sum := sha256.Sum256([]byte(f.Operation + "\x00" + f.Subject + "\x00" + string(f.State)))
	return hex.EncodeToString(sum[:8])
}
