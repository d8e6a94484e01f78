package components

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// matter is a part of what the components are set up with, looked at where a rule
// asks for it.
type matter struct {
	look    func(*scene, Rule) []*area
	compare bool // with what was recorded
}

// matters are those beside the parameters, by name.
func matters() map[string]matter {
	return map[string]matter{
		"network":   {(*scene).network, true},
		"proxy":     {(*scene).proxy, true},
		"registry":  {(*scene).registries, true},
		"manifests": {(*scene).manifests, true},
		"files":     {(*scene).files, true},
		"runtime":   {(*scene).runtime, true},
		"packages":  {(*scene).installed, true},
		"kernel":    {(*scene).kernels, true},
		"drivers":   {(*scene).drivers, false},
		"gates":     {(*scene).gates, false},
		"labels":    {(*scene).nodeLabels, false},
		"release":   {(*scene).versions, false},
		"pods":      {(*scene).pods, false},
		"layers":    {(*scene).imageLayers, false},
		"sandbox":   {(*scene).sandboxImage, false},
	}
}

// What changes of files a comparison is about.
const (
	ofValues = "values"
	ofGone   = "gone"
)

func (r Rule) validateMatter() error {
	switch {
	case r.Changes != "" && r.Changes != ofValues && r.Changes != ofGone:
		return fmt.Errorf("changes: %q is neither %q nor %q", r.Changes, ofValues, ofGone)
	case r.Changes != "" && r.Compare == "":
		return errors.New("changes: only compare knows what was there")
	case (len(r.Files) > 0) != (r.Compare == "files" || r.Policy == "files"):
		return errors.New("files: the matter files reads some, and no other one does")
	case slices.ContainsFunc(r.Files, func(name string) bool { return name != absolute(name) }):
		return errors.New("files: a path is not absolute and clean")
	case r.Component != "" && (r.Compare != "" && r.Compare != parameters || r.Policy != "" && r.Policy != parameters) && len(r.When) == 0:
		return errors.New("component: of compare and policy only parameters are a component's")
	}
	return errors.Join(validMatter("compare", r.Compare, true), validMatter("policy", r.Policy, false))
}

func validMatter(key, name string, compared bool) error {
	m, known := matters()[name]
	if name == "" || name == parameters || known && (m.compare || !compared) {
		return nil
	}
	var names []string
	for name, m := range matters() {
		if m.compare || !compared {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return fmt.Errorf("%s: %q is none of %s, %s", key, name, parameters, strings.Join(names, ", "))
}

// areasOf are the areas of a matter that the rule is about.
func (s *scene) areasOf(r Rule, name string) []*area {
	all := s.areas
	if name != parameters {
		all = s.matter(r, name)
	}
	return slices.DeleteFunc(slices.Clone(all), func(a *area) bool {
		return name == parameters && (!r.about(a.component) || s.idle(a.component)) || r.Changes == ofValues && a.listing || r.Changes == ofGone && !a.listing
	})
}

// matter looks at one once.
func (s *scene) matter(r Rule, name string) []*area {
	id := name + "\x00" + strings.Join(r.Files, "\x00")
	areas, seen := s.matters[id]
	if m, known := matters()[name]; known && !seen {
		areas = m.look(s, r)
		s.matters[id] = areas
	}
	return areas
}

// matterFacts adds what a baseline would record of the matters that are compared.
func (s *scene) matterFacts(rules []Rule, out map[string]drift.Fact, local locality) {
	for _, r := range rules {
		if r.Compare == "" || r.Compare == parameters {
			continue
		}
		for _, a := range s.matter(r, r.Compare) {
			if a.fault != nil {
				s.keep(out, a, local)
			} else {
				s.addFacts(out, a, local)
			}
		}
	}
}

// keep keeps what was recorded of an area that cannot be looked at now.
func (s *scene) keep(out map[string]drift.Fact, a *area, local locality) {
	for subject, text := range s.recorded {
		if _, own := a.key(subject); text != baseline.Unread && (own || subject == a.name) {
			out[subject] = drift.Fact{Value: text, Local: a.local || local.of(subject, text)}
		}
	}
}

// listing is what files there are of a kind. That one comes is a change too.
func listing(prefix, place string, names []string) *area {
	a := &area{
		name: prefix + " files", prefix: prefix, place: place, state: present, listing: true, values: map[string]value{},
		owns: func(key string) bool { return key != "files" && !strings.Contains(key, " ") },
	}
	for _, name := range names {
		a.values[oneWord(name)] = value{text: string(present)}
	}
	return a
}

func oneWord(name string) string { return strings.ReplaceAll(drift.Printable(name), " ", "_") }

// document is the area of one file that is read for itself.
func document(prefix, place string) *area {
	return &area{name: prefix, prefix: prefix, place: place, owns: anyKey, values: map[string]value{}}
}

// simple is an area of a few settings that are nobody's file.
func simple(prefix string, settings map[string]string) []*area {
	a := &area{name: prefix, prefix: prefix, owns: anyKey, state: present, values: map[string]value{}}
	for key, text := range settings {
		if text != "" {
			a.values[key] = value{text: bounded(text)}
		}
	}
	return []*area{a}
}

// faulty is an area that cannot be looked at.
func faulty(prefix string, err error, place string) []*area {
	a := document(prefix, place)
	a.failed(err)
	return []*area{a}
}
