package components

import (
	"errors"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	directory = host.Directory
	maxNames  = 1000
	maxWalk   = 8
)

var errTooManyFiles = errors.New("more files than are looked at")

// layers are the files that a configuration is merged from, later over earlier.
type layers struct {
	files []file
	err   error
}

func (l *layers) add(f file, err error) {
	switch {
	case err == nil:
		l.files = append(l.files, f)
	case gone(err):
	default:
		l.fail(f.path, err)
	}
}

func (l *layers) fail(name string, err error) {
	if err != nil && l.err == nil {
		l.err = &fileFault{name, err}
	}
}

// flatten merges the layers into the area's values and returns the merged tree.
// Each file is flattened by itself first: that bounds what merging costs, and
// tells which file a value is from.
func (l *layers) flatten(a *area, parse func([]byte) (map[string]any, error), q quoting, lists func(base, over []any) []any) (map[string]any, error) {
	if l.err != nil {
		return nil, l.err
	}
	merged := map[string]any{}
	from := map[string]file{}
	for _, f := range l.files {
		a.changed = latest(a.changed, f.changed)
		tree, err := parse(f.data)
		if err != nil {
			return nil, &fileFault{f.path, err}
		}
		own, err := flatten(tree, q)
		if err != nil {
			return nil, &fileFault{f.path, err}
		}
		for key := range own {
			from[key] = f
		}
		merged = merge(merged, tree, lists)
	}
	texts, err := flatten(merged, q)
	if err != nil {
		return nil, err
	}
	a.values = map[string]value{}
	for key, text := range texts {
		a.values[key] = valueFrom(text, from[key], a.changed)
	}
	return merged, nil
}

// valueFrom: a place in a joined list is no single file's.
func valueFrom(text string, f file, otherwise time.Time) value {
	if f.path == "" {
		return value{text: text, changed: otherwise}
	}
	return value{text, f.path, f.changed}
}
