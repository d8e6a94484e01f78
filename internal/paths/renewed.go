package paths

import "fmt"

// renewal is a certificate as it was recorded and as it is now.
type renewal struct{ was, is value }

// follows tells whether the certificate took the place of the recorded one in the
// ordinary course of things: of the same issuer for the same subject, signed by the
// same key, newer, with its own key. Then the node is what it was.
func (r renewal) follows() bool {
	switch {
	case r.is.get("certificate") == "" || !r.sameElse():
		return false
	case r.was.get("certificate") == "": // recorded before which one it is was kept
		return r.is.get("key") != keyOther
	case r.same():
		return r.is.get("key") == r.was.get("key") || r.is.get("key") == keyMatches
	default:
		return r.vouched() && r.newer() && r.is.get("key") != keyOther && (r.is.get("key") != keyMissing || r.was.get("key") == keyMissing)
	}
}

// same tells whether it is the same certificate.
func (r renewal) same() bool { return r.was.get("certificate") == r.is.get("certificate") }

// sameElse tells whether all but what a renewal changes is as it was.
func (r renewal) sameElse() bool {
	for _, name := range attributeNames(r.was, r.is) {
		switch name {
		case "signer", "serial", "from", "until", "certificate", "key":
		case "authority":
			if a := r.was.get(name); a != r.is.get(name) && (a != "" || r.was.get("certificate") != "") {
				return false
			}
		default:
			if r.was.get(name) != r.is.get(name) {
				return false
			}
		}
	}
	return true
}

// vouched tells whether the authority that signed the recorded one signed this one,
// too. Where the host has not got it any more, the issuer's key that the certificate
// names has to do.
func (r renewal) vouched() bool {
	was, is := r.was.get("signer"), r.is.get("signer")
	switch {
	case was == "" && is != notSigned, was == is:
		return true
	case is == "" || was == "":
		return r.is.get("authority") != ""
	default:
		return false
	}
}

// newer tells whether it begins later than the recorded one, and does not end before
// it: an authority's own end bounds both.
func (r renewal) newer() bool {
	return r.is.get("from") > r.was.get("from") && r.is.get("until") >= r.was.get("until")
}

// improves tells whether the new value says as much as the recorded one.
func (r renewal) improves() bool {
	return !r.same() || r.was.get("signer") == "" && r.is.get("signer") != ""
}

// tell says for the journal which certificate took the place of which.
func (r renewal) tell(subject string) string {
	now := fmt.Sprintf("serial %s (valid until %s)", r.is.get("serial"), r.is.get("until"))
	switch {
	case r.was.get("serial") == "":
		return fmt.Sprintf("certificate %s: %s, of the recorded issuer and subject", subject, now)
	case r.same():
		return fmt.Sprintf("certificate %s: %s, and who signed it", subject, now)
	default:
		return fmt.Sprintf("certificate %s: serial %s (valid until %s) -> %s", subject, r.was.get("serial"), r.was.get("until"), now)
	}
}

// telling leaves in the values what tells of the difference: which certificate it is
// only where nothing else does.
func (r renewal) telling() (was, is string) {
	if r.was.get("certificate") == "" && r.is.get("certificate") == "" {
		return r.was.String(), r.is.String()
	}
	hidden := map[string]bool{"certificate": true}
	hide := func(when bool, names ...string) {
		for _, name := range names {
			hidden[name] = hidden[name] || when
		}
	}
	one := r.was.get("certificate") == "" || r.is.get("certificate") == ""
	hide(one, "authority", "signer", "serial", "from", "until")
	hide(one && r.is.get("key") != keyOther, "key")
	hide(r.newer() || r.same(), "from", "until")
	hide(r.was.get("signer") == "" || r.is.get("signer") == "", "signer")
	hide(r.same() && r.is.get("key") != keyOther, "key")
	for _, name := range attributeNames(r.was, r.is) {
		hide(name != "serial" && !hidden[name] && r.was.get(name) != r.is.get(name), "serial")
	}
	return r.was.without(hidden).String(), r.is.without(hidden).String()
}

func (v value) without(names map[string]bool) value {
	out := value{kind: v.kind}
	for _, a := range v.attrs {
		if !names[a.name] {
			out.attrs = append(out.attrs, a)
		}
	}
	return out
}
