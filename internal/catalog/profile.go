package catalog

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

//go:embed profiles/*.yaml
var embedded embed.FS

// Upstream is the profile of any cluster that no provider manages.
const Upstream = "upstream"

// Profile is what one provider documents.
type Profile struct {
	Name       string
	Title      Text
	Files      []string // any of these on the host tells that the provider made it
	Operations []Operation

	extends string
}

// profileFile is a profile as its file has it.
type profileFile struct {
	Profile    string            `yaml:"profile"`
	Extends    string            `yaml:"extends"`
	Title      Text              `yaml:"title"`
	Detect     detect            `yaml:"detect"`
	Documents  map[string]string `yaml:"documents"` // titles with date, by the name that sources use
	Operations []ast.Node        `yaml:"operations"`
}

type detect struct {
	Files []string `yaml:"files"`
}

// Catalog holds all profiles.
type Catalog struct{ profiles map[string]Profile }

// Load reads the profiles that the program carries.
func Load() (*Catalog, error) {
	names, err := embedded.ReadDir("profiles")
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	c := &Catalog{profiles: map[string]Profile{}}
	for _, n := range names {
		data, err := embedded.ReadFile(path.Join("profiles", n.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		p, err := decodeProfile("profiles/"+n.Name(), data)
		if err != nil {
			return nil, err
		}
		c.profiles[p.Name] = p
	}
	return c, nil
}

func decodeProfile(file string, data []byte) (Profile, error) {
	var f profileFile
	decoded, err := DecodeFile(file, data, &f)
	if err != nil {
		return Profile{}, err
	}
	if name := strings.TrimSuffix(path.Base(file), ".yaml"); f.Profile != name {
		return Profile{}, fmt.Errorf("%s: profile %q does not have the file's name", file, f.Profile)
	}
	ops, err := decoded.Operations(f.Operations)
	if err != nil {
		return Profile{}, err
	}
	for i, o := range ops {
		if title, ok := f.Documents[o.Source.Document]; ok {
			ops[i].Source.Document = title
		} else {
			return Profile{}, decoded.at(o.node, fmt.Errorf("operation %s: document %q is not in the list", o.ID, o.Source.Document))
		}
	}
	return Profile{Name: f.Profile, Title: f.Title, Files: f.Detect.Files, Operations: ops, extends: f.Extends}, nil
}

// Names lists the profiles.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.profiles)) }

// Profile returns a profile with all that it takes over from those it extends.
func (c *Catalog) Profile(name string) (Profile, error) {
	p, ok := c.profiles[name]
	if !ok {
		return Profile{}, fmt.Errorf("there is no profile %q: choose one of %s", name, strings.Join(c.Names(), ", "))
	}
	for above, depth := p.extends, 0; above != ""; depth++ {
		base, ok := c.profiles[above]
		if !ok || depth > len(c.profiles) {
			return Profile{}, fmt.Errorf("profile %s extends %q, which is not there or extends it", name, above)
		}
		p.Operations = p.over(base.Operations)
		above = base.extends
	}
	return p, p.complete()
}

// complete finds an operation that should have taken its rules over and did not.
func (p Profile) complete() error {
	for _, o := range p.Operations {
		if len(o.Rules) == 0 {
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
			if len(out[i].Rules) == 0 && out[i].Replaces[0] == o.ID {
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

// Operation finds an operation by its id.
func (p Profile) Operation(id string) (Operation, bool) {
	i := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.ID == id })
	if i < 0 {
		return Operation{}, false
	}
	return p.Operations[i], true
}

// Find looks an operation up in all profiles.
func (c *Catalog) Find(id string) (Operation, bool) {
	for _, name := range c.Names() {
		if o, ok := c.profiles[name].Operation(id); ok {
			return o, true
		}
	}
	return Operation{}, false
}
