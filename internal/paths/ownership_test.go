package paths

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// A package manager that ends its work between the look at a file and the question
// whose it is leaves nobody tampering: it is looked at again.
func TestPackageManagerWorkedMeanwhile(t *testing.T) {
	const kubelet = "/usr/bin/kubelet"
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at+".new", []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(at+".new", at); err != nil {
			t.Fatal(err)
		}
	}
	installed := func(version, md5 string) {
		write(packages.DpkgStatus, "Package: kubelet\nStatus: install ok installed\nVersion: "+version+"\n")
		write("/var/lib/dpkg/info/kubelet.list", "/.\n/usr\n/usr/bin\n"+kubelet+"\n")
		write("/var/lib/dpkg/info/kubelet.md5sums", md5+"  usr/bin/kubelet\n")
	}
	installed("1", "c4ca4238a0b923820dcc509a6f75849b")
	write(kubelet, "1")
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	rules := []drift.Bound[Rule]{{Operation: "x.binaries", Rule: Rule{Paths: []string{kubelet}, Content: []string{"**"}}}}
	recorded := baseline.Scope{}
	for subject, f := range New(root, rules, nil, nil).Observe(t.Context(), nil).Facts {
		recorded[subject] = f.Value
	}
	write(kubelet, "2")
	c := New(root, rules, recorded, nil).WithPackages(packages.NewInventory([]string{kubelet}), nil)
	l := newLook(t.Context(), c)
	l.all()
	write(kubelet, "3")
	installed("3", "eccbc87e4b5ce2fe28308fd9f2a7baf3")
	seen := l.conclude(nil)
	if len(seen.out.Findings) > 0 || !seen.busy {
		t.Errorf("found %+v, to be looked at again: %t", seen.out.Findings, seen.busy)
	}
	if want := []drift.Gap{{Operation: "x.binaries", Subject: kubelet, Reason: AtWork, Hint: "it is looked at again when it has ended"}}; !cmp.Equal(want, seen.out.Gaps) {
		t.Error(cmp.Diff(want, seen.out.Gaps))
	}
	now := c.Observe(t.Context(), nil)
	if len(now.Findings) != 1 || now.Findings[0].Package != "kubelet" || now.Findings[0].Version != "3" || len(now.Gaps) > 0 {
		t.Errorf("after that: %+v", now)
	}
}
