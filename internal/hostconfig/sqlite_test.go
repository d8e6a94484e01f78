package hostconfig

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The database was made with SQLite 3.40 and rpm's own schema: 300 rows on pages of
// 512 bytes, one in fifty the key of a repository, one deleted, one too long.
func rpmDatabase(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestRPMNames(t *testing.T) {
	want := map[string]bool{}
	for i := range 300 {
		if i%50 != 0 && i != 7 {
			want[fmt.Sprintf("package-%03d", i)] = true
		}
	}
	f, err := os.Open("testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := readRPMNames(f)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestRPMOfAHost(t *testing.T) {
	rule := Rule{Look: "packages", Compare: toBaseline, Changes: []string{added}}
	dir := tree(t, map[string]string{"var/lib/rpm/rpmdb.sqlite": string(rpmDatabase(t))})
	recorded := record(t, dir, rule)
	delete(recorded, "package package-123")
	if diff := cmp.Diff([]string{"package package-123: installed, unset"}, seen(observe(t, dir, recorded, rule))); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "var/lib/rpm/rpmdb.sqlite-wal"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := observe(t, dir, recorded, rule); len(o.Findings) > 0 || len(o.Gaps) != 1 || !strings.Contains(o.Gaps[0].Reason, "being written") {
		t.Errorf("while rpm writes: %+v", o)
	}
}

func TestSQLiteThatIsNone(t *testing.T) {
	whole := rpmDatabase(t)
	for name, data := range map[string][]byte{
		"empty": nil, "text": bytes.Repeat([]byte("no database "), 100), "cut": whole[:4096], "no such table": bytes.ReplaceAll(whole, []byte("Name"), []byte("Nome")),
	} {
		f, err := openSQLite(bytes.NewReader(data))
		if err == nil {
			err = f.table("Name", func([]any) {})
		}
		if err == nil {
			t.Errorf("%s: read", name)
		}
	}
}

func FuzzSQLite(f *testing.F) {
	f.Add(rpmDatabase(f)[:3*512])
	f.Add(rpmDatabase(f)[:8*512])
	f.Fuzz(func(_ *testing.T, data []byte) {
		if db, err := openSQLite(bytes.NewReader(data)); err == nil {
			db.budget = 200
			_ = db.table("Name", func([]any) {})
		}
	})
}
