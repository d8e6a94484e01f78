package catalog

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed profiles detect.yaml detected.txt
var embedded embed.FS

// Catalog holds all profiles. Each is read when it is asked for: a node needs one
// of them.
type Catalog struct {
	names []string

	mu   sync.Mutex
	read map[string]Profile
}

// Load lists the profiles that the program carries.
func Load() (*Catalog, error) {
	entries, err := embedded.ReadDir("profiles")
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	c := &Catalog{read: map[string]Profile{}}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".yaml"); ok {
			c.names = append(c.names, name)
		}
	}
	slices.Sort(c.names)
	return c, nil
}

// Names lists the profiles, sorted.
func (c *Catalog) Names() []string { return slices.Clone(c.names) }

// Profile returns a profile with all that it takes over from those it extends.
func (c *Catalog) Profile(name string) (Profile, error) {
	if !slices.Contains(c.names, name) {
		return Profile{}, fmt.Errorf("there is no profile %q: choose one of %s", name, strings.Join(c.names, ", "))
	}
	p, err := c.Own(name)
	if err != nil {
		return Profile{}, err
	}
	for above, depth := p.extends, 0; above != ""; depth++ {
		if !slices.Contains(c.names, above) || depth > len(c.names) {
			return Profile{}, fmt.Errorf("profile %s extends %q, which is not there or extends it", name, above)
		}
		base, err := c.Own(above)
		if err != nil {
			return Profile{}, err
		}
		p.Operations = p.over(base.Operations)
		above = base.extends
	}
	return p, p.complete()
}

// Own returns a profile without what it takes over from those it extends.
func (c *Catalog) Own(name string) (Profile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.read[name]; ok {
		return p, nil
	}
	p, err := readProfile(name)
	if err == nil {
		c.read[name] = p
	}
	return p, err
}

// Forget lets go of what was read, which is read again when it is asked for.
func (c *Catalog) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.read)
}

// Find looks an operation up in all profiles, in the one that its id begins with first.
func (c *Catalog) Find(id string) (Operation, bool) {
	first, _, _ := strings.Cut(id, ".")
	names := c.Names()
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case a == first && b != first:
			return -1
		case b == first && a != first:
			return 1
		}
		return 0
	})
	for _, name := range names {
		if p, err := c.Own(name); err == nil {
			if o, ok := p.Operation(id); ok {
				return o, true
			}
		}
	}
	return Operation{}, false
}
