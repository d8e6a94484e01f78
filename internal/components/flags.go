package components

import (
	"slices"
	"strconv"
	"strings"
)

// flags are what a command line sets, by canonical name ("--max-pods",
// "--feature-gates.RotateKubeletServerCertificate"), in the order given.
type flags map[string][]string

// dialect is how a program reads its command line.
type dialect struct {
	short       map[byte]string // by letter; a letter may carry its value: -Hfd://
	switches    string          // letters that take no value
	long        bool            // one dash is as good as two
	underscores bool            // max_pods is max-pods
	maps        []string        // flags of name=value pairs: one key each
	commands    []string        // words before the first flag that name the program
}

func dialectOf(c Component) dialect {
	switch c {
	case Kubelet:
		return dialect{
			short: map[byte]string{'v': "v", 'h': "help"}, long: true, underscores: true, commands: []string{"kubelet"},
			maps: []string{
				"feature-gates", "node-labels", "eviction-hard", "eviction-soft", "eviction-soft-grace-period", "eviction-minimum-reclaim",
				"system-reserved", "kube-reserved", "qos-reserved", "experimental-qos-reserved",
			},
		}
	case Containerd:
		return dialect{short: map[byte]string{'c': "config", 'l': "log-level", 'a': "address"}, long: true}
	default:
		return dialect{
			short: map[byte]string{'D': "debug", 'H': "host", 'l': "log-level", 'G': "group", 'g': "graph", 'b': "bridge"}, switches: "D",
			maps: []string{"exec-opt", "log-opt", "storage-opt", "label"},
		}
	}
}

// parse reads the arguments after the program's name. Unknown flags count; words
// that belong to no flag do not, and are not kept.
func (d dialect) parse(args []string) flags {
	out := flags{}
	if len(args) > 0 && slices.Contains(d.commands, args[0]) {
		args = args[1:]
	}
	for len(args) > 0 && args[0] != "--" {
		word := args[0]
		args = args[1:]
		if len(word) < 2 || word[0] != '-' {
			continue
		}
		name, text, given := d.split(word)
		if !given && len(args) > 0 && !startsFlag(args[0]) && !d.isSwitch(word) {
			text, given, args = args[0], true, args[1:]
		}
		if !given {
			text = "true"
		}
		d.add(out, name, text)
	}
	return out
}

// startsFlag: the value of a flag may be a negative number or "-".
func startsFlag(word string) bool {
	if _, err := strconv.ParseFloat(word, 64); err == nil {
		return false
	}
	return len(word) > 1 && word[0] == '-'
}

func (d dialect) isSwitch(word string) bool {
	return len(word) == 2 && strings.Contains(d.switches, word[1:])
}

// split takes a flag's word apart; given tells whether it carries its value.
func (d dialect) split(word string) (name, text string, given bool) {
	bare := strings.TrimLeft(word, "-")
	name, text, given = strings.Cut(bare, "=")
	if strings.HasPrefix(word, "--") || bare == "" {
		return d.normal(name), text, given
	}
	long, known := d.short[bare[0]]
	switch {
	case known && len(name) == 1:
		return long, text, given
	case known && (!d.long || bare[1] >= '0' && bare[1] <= '9'):
		return long, bare[1:], true
	default:
		return d.normal(name), text, given
	}
}

func (d dialect) normal(name string) string {
	if d.underscores {
		return strings.ReplaceAll(name, "_", "-")
	}
	return name
}

func (d dialect) add(out flags, name, text string) {
	if !slices.Contains(d.maps, name) {
		out.append("--"+name, text)
		return
	}
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		key, text := pair, ""
		if i := strings.IndexAny(pair, "=<"); i >= 0 {
			key, text = pair[:i], strings.TrimSpace(pair[i+1:])
		}
		out["--"+name+"."+strings.TrimSpace(key)] = []string{text}
	}
}

// append keeps every value of a repeated flag, once.
func (f flags) append(name, text string) {
	if values := f[name]; !slices.Contains(values, text) {
		f[name] = append(values, text)
	} else {
		f[name] = append(slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == text }), text)
	}
}

// last is the value in force of a flag that takes one: the last given.
func (f flags) last(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

func (f flags) has(name string) bool { return len(f[name]) > 0 }

// texts are the flags as they are shown and kept.
func (f flags) texts() map[string]string {
	out := map[string]string{}
	for name, values := range f {
		var texts []string
		for _, v := range values {
			texts = append(texts, shown(flagNames(name), v))
		}
		out[cut(bounded(withoutUsers(name)), maxKey)] = strings.Join(texts, ",")
	}
	return out
}

// flagNames are the names in a flag's key: "--kube-reserved" and "cpu".
func flagNames(key string) []string {
	flag, rest, found := strings.Cut(key, ".")
	if !found {
		return []string{flag}
	}
	return []string{flag, rest}
}
