package packages

import (
	"slices"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// DatabaseOf is the package manager's database that is there; dpkg's where none is.
func DatabaseOf(root *host.Root) string {
	if root.Exists(DpkgStatus) {
		return DpkgStatus
	}
	if name := rpmDatabase(root); name != "" {
		return name
	}
	if name := otherDatabase(root); name != "" {
		return name
	}
	return DpkgStatus
}

// rpmDatabase is rpm's database if it is one that is read.
func rpmDatabase(root *host.Root) string { return firstOf(root, rpm.Databases()) }

// otherDatabase is rpm's database if it is one that is not read.
func otherDatabase(root *host.Root) string { return firstOf(root, rpm.Others()) }

func firstOf(root *host.Root, names []string) string {
	if i := slices.IndexFunc(names, root.Exists); i >= 0 {
		return names[i]
	}
	return ""
}

// Files are those that change when the package manager has worked.
func Files(root *host.Root) []string {
	if name := DatabaseOf(root); slices.Contains(rpm.Databases(), name) {
		return []string{name, rpm.Log(name)}
	}
	return []string{DpkgStatus}
}

// IsFile tells whether the path is one that Files may name.
func IsFile(name string) bool {
	return name == DpkgStatus || slices.ContainsFunc(rpm.Databases(), func(d string) bool { return name == d || name == rpm.Log(d) })
}

// State tells whether the database is what it was. It can be compared.
type State struct {
	name  string
	entry host.Entry // of dpkg's
	rpm   rpm.State
	none  bool
}

// StateOf looks at the database.
func StateOf(root *host.Root) (s State) {
	s.name = DatabaseOf(root)
	var err error
	if slices.Contains(rpm.Databases(), s.name) {
		s.rpm, err = rpm.StateOf(root, s.name)
	} else {
		s.entry, err = root.Stat(s.name)
	}
	s.none = err != nil
	return s
}
