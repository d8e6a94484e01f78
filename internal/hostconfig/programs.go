package hostconfig

import (
	"path"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// programDirs are where a root shell and the kubelet look for programs.
var programDirs = [...]string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// installers are package managers with the form of package they install.
var installers = [...]struct{ program, form string }{
	{"apt-get", "deb"}, {"dnf", "rpm"}, {"yum", "rpm"}, {"zypper", "rpm"},
}

// programs tell of programs by name whether they are where a shell finds them.
func (l *look) programs(r Rule, name string) *table {
	subject := "program " + name
	t := newTable("")
	t.area, t.owns = subject, func(s string) bool { return s == subject }
	if !l.root.Exists("/usr/bin") && !l.root.Exists("/bin") {
		return skipped()
	}
	e := entry{value: missing, lacking: true, args: l.installing(r, name)}
	if l.programThere(name) {
		e.value, e.lacking = present, false
	}
	t.entries[subject] = e
	return t
}

func (l *look) programThere(name string) bool {
	for _, dir := range programDirs {
		l.dirs[dir] = true
		if _, err := l.root.Lstat(path.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// installing are the words of the command that installs a program here.
func (l *look) installing(r Rule, name string) map[string]string {
	for _, i := range installers {
		if l.programThere(i.program) {
			pkg := r.Packages[name][i.form]
			if pkg == "" {
				pkg = name
			}
			return map[string]string{"installer": i.program, "package": drift.Printable(pkg)}
		}
	}
	return nil
}
