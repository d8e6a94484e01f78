package catalog

import (
	"fmt"
	"io/fs"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// Upstream is the profile of any cluster that no provider manages.
const Upstream = "upstream"

// Profile is what one provider documents.
type Profile struct {
	Name       string
	Title      Text
	Operations []Operation

	extends string
	told    bool // its rules are left out
}

// profileFile is a profile as its file has it.
type profileFile struct {
	Profile string  `yaml:"profile"`
	Extends string  `yaml:"extends"`
	Title   Text    `yaml:"title"`
	Chapter chapter `yaml:",inline"`
}

// chapter is a part of a profile that stands in a file of its own.
type chapter struct {
	Documents  map[string]string `yaml:"documents"` // titles with date, by the name that sources use
	Operations []ast.Node        `yaml:"operations"`
}

// readProfile reads a profile's file, and the chapters in the folder of its name.
func readProfile(name string) (Profile, error) {
	var f profileFile
	file := "profiles/" + name + ".yaml"
	decoded, err := decodeEmbedded(file, &f)
	if err != nil {
		return Profile{}, err
	}
	if f.Profile != name {
		return Profile{}, fmt.Errorf("%s: profile %q does not have the file's name", file, f.Profile)
	}
	p := Profile{Name: name, Title: f.Title, extends: f.Extends}
	if p.Operations, err = f.Chapter.read(decoded); err != nil {
		return Profile{}, err
	}
	chapters, err := fs.Glob(embedded, "profiles/"+name+"/*.yaml")
	if err != nil {
		return Profile{}, fmt.Errorf("read the catalogue: %w", err)
	}
	for _, file := range chapters {
		var c chapter
		decoded, err := decodeEmbedded(file, &c)
		if err != nil {
			return Profile{}, err
		}
		more, err := c.read(decoded)
		if err != nil {
			return Profile{}, err
		}
		p.Operations = append(p.Operations, more...)
	}
	return p, p.once()
}

func decodeEmbedded(file string, into any) (*File, error) {
	data, err := embedded.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	return DecodeFile(file, data, into)
}

// read decodes the operations and spells out what they cite.
func (c chapter) read(file *File) ([]Operation, error) {
	ops, err := file.Operations(c.Operations)
	if err != nil {
		return nil, err
	}
	for i, o := range ops {
		title, ok := c.Documents[o.Source.Document]
		if !ok {
			return nil, file.at(o.node, fmt.Errorf("operation %s: document %q is not in the list", o.ID, o.Source.Document))
		}
		ops[i].Source.Document = title
	}
	return ops, nil
}

// once finds an operation that stands in two chapters.
func (p Profile) once() error {
	seen := map[string]bool{}
	for _, o := range p.Operations {
		if seen[o.ID] {
			return o.file.at(o.node, fmt.Errorf("operation %s is there twice", o.ID))
		}
		seen[o.ID] = true
	}
	return nil
}

// complete finds an operation that should have taken its rules over and did not.
func (p Profile) complete() error {
	for _, o := range p.Operations {
		if len(o.Rules) == 0 && o.Unseen == nil {
			return o.file.at(o.node, fmt.Errorf("operation %s: there is no %s to take the rules of", o.ID, o.Replaces[0]))
		}
	}
	return nil
}

// over adds the base's operations that the profile does not replace, and takes
// the rules of those that it replaces without rules of its own.
func (p Profile) over(base []Operation) []Operation {
	replaced := map[string]bool{}
	for _, o := range p.Operations {
		replaced[o.ID] = true
		for _, id := range o.Replaces {
			replaced[id] = true
		}
	}
	out := slices.Clone(p.Operations)
	for _, o := range base {
		if !replaced[o.ID] {
			out = append(out, o)
		}
		for i := range out {
			if len(out[i].Rules) == 0 && len(out[i].Replaces) == 1 && out[i].Replaces[0] == o.ID {
				out[i].Rules, out[i].ruled = o.Rules, o.ruled
			}
		}
	}
	return out
}

// With returns the profile with operations of the user's: one with a known id
// takes the place of that operation.
func (p Profile) With(own []Operation) (Profile, error) {
	p.Operations = Profile{Operations: own}.over(p.Operations)
	return p, p.complete()
}

// Without returns the profile without the operations of these ids.
func (p Profile) Without(ids []string) Profile {
	p.Operations = slices.DeleteFunc(slices.Clone(p.Operations), func(o Operation) bool { return slices.Contains(ids, o.ID) })
	return p
}

// Told returns the profile as it is told to people: its rules, which no check can be built
// without, take as much memory as all else.
func (p Profile) Told() Profile {
	p.Operations, p.told = slices.Clone(p.Operations), true
	for i := range p.Operations {
		o := &p.Operations[i]
		o.Rules, o.file, o.node, o.ruled = nil, nil, nil, nil
	}
	return p
}

// LacksRules tells a profile that is only there to be told.
func (p Profile) LacksRules() bool { return p.told }

// Operation finds an operation by its id.
func (p Profile) Operation(id string) (Operation, bool) {
	i := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		return Operation{}, false
	}
	return p.Operations[i], true
}
