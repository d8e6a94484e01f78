package sysctl

import (
	"path"
	"slices"
	"strings"
)

// boot is what the next boot sets.
type boot struct {
	settings  []setting // in the order in which they are applied
	explicit  map[string]bool
	read      []setting // as the files have them
	bySystemd bool
}

// newBoot orders settings as they take effect. sysctl(8) applies them one after
// the other. systemd-sysctl keeps one setting a key, the last, which stands where
// it is unless it only repeats the value; so there a later "-key" withdraws what
// was set.
func newBoot(settings []setting, bySystemd bool) boot {
	b := boot{explicit: map[string]bool{}, read: settings, bySystemd: bySystemd}
	for _, s := range settings {
		if bySystemd {
			b.replace(s)
		} else {
			b.settings = append(b.settings, s)
		}
		if !s.glob() {
			b.explicit[s.key] = true
		}
	}
	return b
}

func (b *boot) replace(s setting) {
	i := slices.IndexFunc(b.settings, func(o setting) bool { return o.key == s.key })
	if i >= 0 {
		if o := b.settings[i]; o.value == s.value && o.bare == s.bare {
			return
		}
		b.settings = slices.Delete(b.settings, i, i+1)
	}
	b.settings = append(b.settings, s)
}

// lookup returns the last setting that reaches any of the keys, which are names
// of one value. A glob reaches a key only where nothing names the key itself.
func (b boot) lookup(keys ...string) (setting, bool) {
	for _, s := range slices.Backward(b.settings) {
		for _, k := range keys {
			if !s.bare && b.reaches(s, k) {
				return s, true
			}
		}
	}
	return setting{}, false
}

func (b boot) reaches(s setting, key string) bool {
	if !s.glob() {
		return s.key == key
	}
	matched, err := path.Match(s.key, key)
	return err == nil && matched && !b.explicit[key]
}

// of is what the next boot would set from some of the files alone.
func (b boot) of(files func(name string) bool) boot {
	return newBoot(slices.DeleteFunc(slices.Clone(b.read), func(s setting) bool { return !files(s.file) }), b.bySystemd)
}

// names are the interfaces that settings name in the place of {interface}.
func (b boot) names(r Rule) []string {
	var out []string
	for _, s := range b.settings {
		if iface, ok := interfaceOf(r, s.key); ok && !s.glob() && !s.bare && !slices.Contains(out, iface) {
			out = append(out, iface)
		}
	}
	return out
}

// interfaceOf takes the interface out of a key that has the parameter's form.
func interfaceOf(r Rule, k string) (string, bool) {
	const mark = "\x00"
	before, after, _ := strings.Cut(key(r.of(mark)), mark)
	rest, ok := strings.CutPrefix(k, before)
	if !ok {
		return "", false
	}
	iface, ok := strings.CutSuffix(rest, after)
	return iface, ok && iface != ""
}
