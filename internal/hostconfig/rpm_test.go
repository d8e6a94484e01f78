package hostconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

func TestMain(m *testing.M) {
	if code, child := probe.Child(os.Args, probe.Tasks{rpm.Packages: rpm.Read}); child {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func TestRPMOfAHost(t *testing.T) {
	database, err := os.ReadFile("../rpm/testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	rule := Rule{Look: "packages", Compare: toBaseline, Changes: []string{added}}
	dir := tree(t, map[string]string{"var/lib/rpm/rpmdb.sqlite": string(database)})
	recorded := record(t, dir, rule)
	delete(recorded, "package package-123")
	if diff := cmp.Diff([]string{"package package-123: installed, unset"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
	blind := func(when, why string) {
		t.Helper()
		if o := observe(t, dir, recorded, rule); len(o.Findings) > 0 || len(o.Gaps) != 1 || !strings.Contains(o.Gaps[0].Reason, why) {
			t.Errorf("%s: %+v", when, o)
		}
	}
	log := filepath.Join(dir, "var/lib/rpm/rpmdb.sqlite-wal")
	if err := os.WriteFile(log, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	blind("while rpm writes", "being written")
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/lib/rpm/rpmdb.sqlite"), []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	blind("of another format", "not an SQLite 3 database")
}
