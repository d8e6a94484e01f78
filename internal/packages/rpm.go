package packages

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// lookAtRPM reads what rpm installed at or below the paths; a host without its
// database has nothing.
func (i *Inventory) lookAtRPM(ctx context.Context, root *host.Root) (Snapshot, error) {
	database := rpmDatabase(root)
	if database == "" {
		if other := otherDatabase(root); other != "" {
			return Snapshot{}, fmt.Errorf("%s: %w in this format", other, ErrRPM)
		}
		return Snapshot{}, nil
	}
	seen, below := scope(root, i.below)
	installed, err := i.rpm.Owners(ctx, root, database, seen.aliased(below))
	if err != nil {
		return Snapshot{}, err
	}
	seen.addRPM(installed)
	return seen, nil
}

// addRPM notes the packages: of several with one file, the last one wrote it.
func (s Snapshot) addRPM(installed []rpm.Package) {
	slices.SortStableFunc(installed, func(a, b rpm.Package) int { return cmp.Compare(a.Installed, b.Installed) })
	versions := map[string][]string{}
	for _, p := range installed {
		versions[p.Name] = append(versions[p.Name], p.Version)
		for _, f := range p.Files {
			s.add(p.Name, f.Path, File{Package: p.Name, Config: f.Config, digest: strings.ToLower(f.Digest), algorithm: p.Algorithm})
		}
	}
	// One package can be there in several versions, like a kernel.
	for name, p := range s.Packages {
		slices.Sort(versions[name])
		p.Version = strings.Join(slices.Compact(versions[name]), ", ")
		s.Packages[name] = p
	}
	s.settle()
}

// aliased are the paths under every name that a package may have for them.
func (s Snapshot) aliased(below map[string]bool) []string {
	var out []string
	for path := range below {
		out = append(out, path)
		for name, to := range s.aliases {
			if rest, inside := strings.CutPrefix(path, to+"/"); inside {
				out = append(out, "/"+name+"/"+rest)
			}
		}
	}
	slices.Sort(out)
	return out
}
