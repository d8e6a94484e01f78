package components

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxKeys  = 20_000
	maxDepth = 64
)

var (
	errTooManyKeys = errors.New("more keys than are looked at")
	errTooDeep     = errors.New("nested more deeply than is looked at")
)

// quoting says how the names of a key are joined.
type quoting bool

const (
	plainKeys  quoting = false // evictionHard.memory.available
	quotedKeys quoting = true  // plugins."io.containerd.grpc.v1.cri".sandbox_image
)

// flatten turns a tree of maps and lists into keys and the text of their values.
func flatten(tree map[string]any, q quoting) (map[string]string, error) {
	f := flattener{quoting: q, out: map[string]string{}}
	err := f.walk("", nil, tree)
	return f.out, err
}

type flattener struct {
	quoting quoting
	out     map[string]string
	visited int
}

// walk is bounded by what it visits, so that a tree that holds itself ends.
func (f *flattener) walk(key string, names []string, node any) error {
	if f.visited++; f.visited > maxKeys {
		return errTooManyKeys
	}
	if len(names) > maxDepth {
		return errTooDeep
	}
	switch node := node.(type) {
	case nil:
		return nil
	case map[string]any:
		return f.walkMap(key, names, node)
	case []any:
		return f.walkList(key, names, node)
	default:
		f.set(key, shown(settingNames(names), node))
		return nil
	}
}

func (f *flattener) walkMap(key string, names []string, m map[string]any) error {
	if len(m) == 0 && key != "" {
		f.set(key, "{}")
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if err := f.walk(f.join(key, name), append(slices.Clip(names), name), m[name]); err != nil {
			return err
		}
	}
	return nil
}

func (f *flattener) walkList(key string, names []string, list []any) error {
	if len(list) == 0 {
		f.set(key, "[]")
	}
	for i, item := range list {
		at := key + "[" + strconv.Itoa(i) + "]"
		if i > 0 && argumentOfSecret(list[i-1]) {
			f.set(at, redacted)
			continue
		}
		if err := f.walk(at, append(slices.Clip(names), ""), item); err != nil {
			return err
		}
	}
	return nil
}

// settingNames drops the places in lists, which have no names.
func settingNames(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" })
}

// argumentOfSecret tells whether a list of arguments goes on with the value of a
// secret flag: ["--token", "…"].
func argumentOfSecret(before any) bool {
	flag, ok := before.(string)
	return ok && strings.HasPrefix(flag, "-") && !strings.Contains(flag, "=") && secretName(flag)
}

// set keeps both values of two trees that come to the same key.
func (f *flattener) set(key, text string) {
	key = cut(key, maxKey)
	if other, ok := f.out[key]; ok {
		text = other + ", " + text
	}
	f.out[key] = text
}

var bareName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

func (f *flattener) join(key, name string) string {
	name = bounded(withoutUsers(name))
	if f.quoting == quotedKeys && !bareName.MatchString(name) {
		name = `"` + strings.ReplaceAll(name, `"`, `\"`) + `"`
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

// merge lays over onto base: maps are joined, null takes a key away, and lists
// are joined as the caller says.
func merge(base, over map[string]any, lists func(base, over []any) []any) map[string]any {
	return mergeAt(base, over, lists, 0)
}

func mergeAt(base, over map[string]any, lists func(base, over []any) []any, depth int) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for name, v := range over {
		switch v := v.(type) {
		case nil:
			delete(out, name)
		case map[string]any:
			below, _ := out[name].(map[string]any)
			if depth >= maxDepth {
				out[name] = v
			} else {
				out[name] = mergeAt(below, v, lists, depth+1)
			}
		case []any:
			below, _ := out[name].([]any)
			out[name] = lists(below, v)
		default:
			out[name] = v
		}
	}
	return out
}

func replaced(_, over []any) []any { return over }

// appended adds what is not there yet.
func appended(base, over []any) []any {
	out, have := slices.Clone(base), map[any]bool{}
	for _, item := range base {
		if scalar(item) {
			have[item] = true
		}
	}
	for _, item := range over {
		if !scalar(item) || !have[item] {
			out = append(out, item)
		}
	}
	return out
}

func scalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}
