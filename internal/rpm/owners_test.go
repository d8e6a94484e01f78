package rpm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
)

// rpmRoot is a host with the database of testdata, which rpm 4.18 and SQLite 3.40 made: on
// pages of 512 bytes, so that each header goes on in several of them.
func rpmRoot(t *testing.T) (root *host.Root, database string) {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile("testdata/owners.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "var/lib/rpm"), 0o755); err != nil {
		t.Fatal(err)
	}
	database = filepath.Join(dir, Databases()[0])
	if err := os.WriteFile(database, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if root, err = host.Open(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, database
}

const installed = 1760000000

// known are packages of testdata/owners.sqlite as rpm --query tells of them.
var known = map[string]Package{
	"kubelet": {"kubelet", "1:1.30.1-1.noarch", installed, "SHA-256", []File{
		{"/etc/containerd/config.toml", "345134db2e66d25f51e6c9a9e5183bdba347a06c8845529d8b7207a9b556a4c0", true},
		{"/usr/bin/kubelet", "1ca4bc7eb9b3d6f1e205da9cfab437c89d3760d0765a29a6bcbccf4ad51a2cb1", false},
	}},
	"kubernetes-cni": {"kubernetes-cni", "1.5-1.noarch", installed, "MD5", []File{
		{"/opt/cni/bin/bridge", "98ac6b4b086b5a2f47677b15e786d9ba", false}, {"/opt/cni/bin/sub/ptp", "be19d835ae8962460c01703fd05ad9ad", false},
	}},
	"kernel 5.1": {"kernel", "5.1-1.noarch", installed, "SHA-256", []File{{"/lib/modules/5.1/modules.dep", "77065cda8fe1551871ba934cfef4df0f9e8a5f7fb63909b25bf0ccebbe807e18", false}}},
	"kernel 5.2": {"kernel", "5.2-1.noarch", installed, "SHA-256", []File{{"/lib/modules/5.2/modules.dep", "6c6a464eca230198d20ca69ad8873f92fa7444e226784b4f554301e16d57feb2", false}}},
	"other":      {"other", "1-1.noarch", installed, "SHA-256", []File{{"/usr/bin/ls", "c7b68ac37f364473e922936708e7f43c293dd07b295171566c07ff5fe024fab9", false}}},
}

func TestOwners(t *testing.T) {
	root, _ := rpmRoot(t)
	var r Reader
	part := func(name string, files ...int) Package {
		p := known[name]
		p.Files = nil
		for _, i := range files {
			p.Files = append(p.Files, known[name].Files[i])
		}
		return p
	}
	for _, c := range []struct {
		name  string
		below []string
		want  []Package
	}{
		{"nothing", nil, nil},
		{"what no package has", []string{"/etc/kubernetes", "/usr/bin/kube"}, nil},
		{"a file", []string{"/usr/bin/kubelet"}, []Package{part("kubelet", 1)}},
		{"a file of a name that others have elsewhere", []string{"/opt/kubelet", "/etc/containerd/ls"}, nil},
		{"a link", []string{"/usr/bin/klink"}, nil},
		{"a directory", []string{"/etc/containerd"}, []Package{part("kubelet", 0)}},
		{"a file that is not there", []string{"/etc/containerd/state"}, nil},
		{"a directory with more below", []string{"/opt/cni"}, []Package{known["kubernetes-cni"]}},
		{"only below", []string{"/opt/cni/bin/sub/"}, []Package{part("kubernetes-cni", 1)}},
		{"all", []string{"/usr/bin", "/etc/containerd", "/opt", "/lib/modules"}, []Package{known["kubelet"], known["kubernetes-cni"], known["kernel 5.1"], known["kernel 5.2"], known["other"]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := r.Owners(t.Context(), root, Databases()[0], c.below)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestOwnersWhileRPMWrites(t *testing.T) {
	root, database := rpmRoot(t)
	var r Reader
	owners := func() error {
		_, err := r.Owners(t.Context(), root, Databases()[0], []string{"/usr/bin"})
		return err
	}
	if err := os.WriteFile(database+"-wal", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := owners(); err != nil {
		t.Errorf("nothing is in the log: %v", err)
	}
	if err := os.WriteFile(database+"-wal", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := owners(); !errors.Is(err, ErrBeingWritten) {
		t.Errorf("something is in the log: %v", err)
	}
	if err := os.Remove(database + "-wal"); err != nil {
		t.Fatal(err)
	}
	err := steadily(root, Databases()[0], func(*os.File) error {
		return os.WriteFile(database, []byte("another"), 0o600)
	})
	if !errors.Is(err, ErrBeingWritten) {
		t.Errorf("it changes while it is read: %v", err)
	}
	if err := os.Remove(database); err != nil {
		t.Fatal(err)
	}
	if err := owners(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is none: %v", err)
	}
}

// What contradicts itself is no answer, and not half of one.
func TestOwnersInADatabaseThatLies(t *testing.T) {
	dirs := func(number int) []byte { return leaf(0, row("/usr/bin/", number, 0)) }
	bases := leaf(0, row("kubelet", 1, 0))
	tables := leaf(sqliteHeader, row("table", "Packages", "Packages", 2, ""), row("table", "Dirnames", "Dirnames", 3, ""), row("table", "Basenames", "Basenames", 4, ""))
	long := make([]byte, pageSize)
	long[0], long[4] = leafTable, 1
	copy(long[8:], []byte{1, 0})
	cellAt := func(length ...byte) []byte {
		page := slices.Clone(long)
		copy(page[256:], append(length, 1))
		return page
	}
	for name, data := range map[string][]byte{
		"a package that is not there":        database(tables, leaf(0, row("x", 1)), dirs(2), bases),
		"no header":                          database(tables, leaf(0, row("x", "y")), dirs(1), bases),
		"no columns":                         database(tables, leaf(0, []byte{1, 1, 1}), dirs(1), bases),
		"a header longer than any":           database(tables, cellAt(0x9f, 0xff, 0xff, 0xff, 0x7f), dirs(1), bases),
		"a header that goes on nowhere":      database(tables, cellAt(0x90, 0), dirs(1), bases),
		"no index of directories":            database(leaf(sqliteHeader, row("table", "Packages", "Packages", 2, "")), leaf(0)),
		"packages above themselves":          database(tables, interior(2), dirs(1), bases),
		"packages in no tree":                database(tables, make([]byte, pageSize), dirs(1), bases),
		"packages of no page":                database(tables, interior(0), dirs(1), bases),
		"a child with a number without end":  database(tables, endless(), dirs(1), bases),
		"packages past the end of the pages": database(tables, interior(99), dirs(1), bases),
	} {
		t.Run(name, func(t *testing.T) {
			var told []Package
			err := eachOwner(file(t, string(data)), []string{"/usr/bin"}, func(p Package) { told = append(told, p) })
			if err == nil || len(told) > 0 {
				t.Errorf("%v, %v", told, err)
			}
		})
	}
}

// endless is a page above others whose cell has a number that does not end in it.
func endless() []byte {
	page := interior(3, 3)
	end := pageSize - 5
	copy(page[12:], []byte{byte((end) >> 8), byte(end)})
	page[pageSize-1] = 0xff
	return page
}

// A row that goes on in pages which go on in each other ends with its length.
func TestRowInALoop(t *testing.T) {
	const at = 16
	page := make([]byte, pageSize)
	page[0], page[4] = leafTable, 1
	page[9] = at
	copy(page[at:], []byte{0x81, 0xff, 0xff, 0x7f, 1}) // of 4 MiB
	f, err := openSQLite(file(t, string(database(schema(2), page, make([]byte, pageSize)))))
	if err != nil {
		t.Fatal(err)
	}
	local := f.local(0x3fffff)
	page[at+5+local+3] = 3
	loop := make([]byte, pageSize)
	loop[3] = 3
	if f, err = openSQLite(file(t, string(database(schema(2), page, loop)))); err != nil {
		t.Fatal(err)
	}
	f.budget = 100
	if _, err := f.find(2, 1, maxHeader); !errors.Is(err, errSQLite) || f.budget != -1 {
		t.Errorf("%v, %d pages left", err, f.budget)
	}
}

// How much of a row is in its own page is SQLite's to say.
func TestLongRows(t *testing.T) {
	f := sqliteFile{pageSize: pageSize, usable: pageSize}
	for length, want := range map[int]int{0: 0, 477: 477, 478: 39, 520: 39, 547: 39, 548: 40, 1712: 188} {
		if got := f.local(length); got != want {
			t.Errorf("of %d bytes %d are local, want %d", length, got, want)
		}
	}
	data, err := os.ReadFile("testdata/owners.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	database, err := openSQLite(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	root, err := database.root("Packages")
	if err != nil {
		t.Fatal(err)
	}
	for limit, fits := range map[int]bool{4000: true, 3000: false} {
		if _, err := database.find(root, 9, limit); (err == nil) != fits { // of 3,764 bytes
			t.Errorf("at most %d bytes: %v", limit, err)
		}
	}
}

// small is a database of one package, on as few pages as it takes.
func small() []byte {
	blob := tagged(nil)
	twoBytes := func(n int) []byte { return []byte{0x80 | byte(n>>7), byte(n & 0x7f)} }
	columns := slices.Concat([]byte{4, 0}, twoBytes(12+2*len(blob)))
	packages := slices.Concat(twoBytes(len(columns)+len(blob)), []byte{1}, columns, blob)
	tables := leaf(sqliteHeader, row("table", "Packages", "Packages", 2, ""), row("table", "Dirnames", "Dirnames", 3, ""), row("table", "Basenames", "Basenames", 4, ""))
	return database(tables, leaf(0, packages), leaf(0, row("/usr/bin/", 1, 0)), leaf(0, row("kubelet", 1, 0), row("kubectl", 1, 1)))
}

func TestOwnersMadeByHand(t *testing.T) {
	var got []Package
	if err := eachOwner(bytes.NewReader(small()), []string{"/usr/bin/kubelet"}, func(p Package) { got = append(got, p) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || len(got[0].Files) != 1 || got[0].Name != "kubelet" {
		t.Errorf("%+v", got)
	}
}

func FuzzOwners(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, data []byte) {
		const budget = 200
		from, files := &counted{ReaderAt: bytes.NewReader(data)}, 0
		database, err := openSQLite(from)
		if err != nil {
			return
		}
		database.budget = budget
		err = database.eachOwner(paths{"/usr/bin": true, "/opt/cni": true}, func(p Package) { files += len(p.Files) })
		if from.reads > budget+1 || err == nil && files > from.reads<<16 {
			t.Errorf("%d files in %d pages, %v", files, from.reads, err)
		}
	})
}
