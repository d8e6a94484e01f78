package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func tree(t *testing.T) (*host.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root, dir + host.StateDir + "/journal/journal.jsonl"
}

func entry(event journal.Event, id string) journal.Entry {
	return journal.Entry{At: t0, Event: event, Finding: &drift.FindingReport{ID: id, Subject: "s" + id, Since: t0}}
}

func write(t *testing.T, root *host.Root, entries ...journal.Entry) {
	t.Helper()
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, e := range entries {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(findings []drift.FindingReport) []string {
	out := []string{}
	for _, f := range findings {
		out = append(out, f.ID)
	}
	return out
}

func TestOpenFindingsSurvive(t *testing.T) {
	root, _ := tree(t)
	if entries, damaged, err := journal.Read(root); len(entries) > 0 || damaged > 0 || err != nil {
		t.Errorf("without a journal: %v %d %v", entries, damaged, err)
	}
	write(t, root, entry(journal.Raised, "a"), entry(journal.Raised, "b"), entry(journal.Cleared, "a"))
	write(t, root, entry(journal.Raised, "c"), entry(journal.Cleared, "b"), entry(journal.Raised, "a"))
	entries, damaged, err := journal.Read(root)
	if err != nil || damaged > 0 || len(entries) != 6 {
		t.Fatalf("%v %d %v", entries, damaged, err)
	}
	if diff := cmp.Diff([]string{"c", "a"}, ids(journal.OpenFindings(entries))); diff != "" {
		t.Error(diff)
	}
}

// Wherever the last write stopped, only its own line is lost.
func TestTornLine(t *testing.T) {
	root, file := tree(t)
	write(t, root, entry(journal.Raised, "a"), entry(journal.Raised, "b"))
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(whole, '\n') + 1
	for n := first; n < len(whole)-1; n += 7 {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		write(t, root, entry(journal.Raised, "c"))
		entries, _, err := journal.Read(root)
		if diff := cmp.Diff([]string{"a", "c"}, ids(journal.OpenFindings(entries))); diff != "" || err != nil {
			t.Fatalf("torn after %d bytes: %s %v", n, diff, err)
		}
	}
}

func TestAnEditedLineIsNoEvidence(t *testing.T) {
	root, file := tree(t)
	write(t, root, entry(journal.Raised, "a"), entry(journal.Raised, "b"))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte(`"subject":"sa"`), []byte(`"subject":"sx"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, damaged, err := journal.Read(root)
	if err != nil || damaged != 1 || len(entries) != 1 || entries[0].Finding.ID != "b" {
		t.Errorf("%v %d %v", entries, damaged, err)
	}
}

func TestSizeIsBounded(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	e := journal.Entry{At: t0, Event: journal.Reloaded, Detail: strings.Repeat("x", 60<<10)}
	for range 400 {
		if err := j.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Dir(file) + "/*")
	if err != nil || len(names) != 2 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() > 9<<20 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
	}
}

// What another machine left open means nothing here.
func TestOpenFindingsEndWithTheMachine(t *testing.T) {
	root, _ := tree(t)
	write(t, root, entry(journal.Raised, "a"), journal.Entry{At: t0, Event: journal.Archived}, entry(journal.Raised, "b"))
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, ids(journal.OpenFindings(entries))); diff != "" {
		t.Error(diff)
	}
}

func TestDeletedIsNoticed(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if j.Deleted() {
		t.Error("it is there")
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	if !j.Deleted() {
		t.Error("it is gone")
	}
}
