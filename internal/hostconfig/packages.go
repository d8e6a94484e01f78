package hostconfig

import (
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// packages are the installed packages by name; their versions are not the
// configuration's. A host without a package database has none.
func (l *look) packages(_ Rule, _ string) *table {
	l.noteFile(packages.DpkgStatus)
	installed, err := remembered(l, packages.DpkgStatus, packages.MaxStatus, namesOf)
	if gone(err) {
		return l.rpmPackages()
	}
	if err != nil {
		return faulty("package", faultOf(packages.DpkgStatus, err))
	}
	return packageTable(installed)
}

func packageTable(installed map[string]bool) *table {
	t := newTable("package")
	for name := range installed {
		t.entries[drift.Printable(name)] = entry{value: "installed", args: map[string]string{"package": drift.Printable(name)}}
	}
	return t
}

// namesOf are the packages of dpkg's status file.
func namesOf(status []byte) (map[string]bool, error) {
	out := map[string]bool{}
	for name := range packages.ParseDpkg(status) {
		out[name] = true
	}
	return out, nil
}
