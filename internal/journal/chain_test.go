package journal_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/journal"
)

// written are the lines of a journal about a, b, c, d and e.
func written(t *testing.T) [][]byte {
	t.Helper()
	root, file := tree(t)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		write(t, root, entry(journal.Raised, id)) // opened anew each time: the chain goes on
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	return lines[:len(lines)-1]
}

// What is done to a journal shows, and costs no other line.
func TestDamage(t *testing.T) {
	type lines = [][]byte
	replace := func(at int, old, with string) func(lines) lines {
		return func(l lines) lines {
			l[at] = bytes.Replace(l[at], []byte(old), []byte(with), 1)
			return l
		}
	}
	legacy := []byte(`{"entry":{"at":"2026-01-02T03:04:05Z","event":"reload"},"sum":"077de509299a2e68"}` + "\n")
	for name, c := range map[string]struct {
		do   func(lines) lines
		ids  string
		want journal.Damage
	}{
		"untouched":         {func(l lines) lines { return l }, "abcde", journal.Damage{}},
		"edited":            {replace(2, `"subject":"sc"`, `"subject":"sx"`), "abde", journal.Damage{Lines: 1}},
		"number edited":     {replace(2, `"n":3`, `"n":33`), "abcde", journal.Damage{Gaps: 2}},
		"chain cut off":     {replace(2, `,"n":3,"chain"`, `,"x"`), "abcde", journal.Damage{Gaps: 2}},
		"deleted":           {func(l lines) lines { return slices.Delete(l, 2, 3) }, "abde", journal.Damage{Gaps: 1}},
		"two deleted":       {func(l lines) lines { return slices.Delete(l, 1, 3) }, "ade", journal.Damage{Gaps: 1}},
		"overwritten":       {func(l lines) lines { l[1] = []byte("x\n"); return l }, "acde", journal.Damage{Lines: 1}},
		"two for one":       {func(l lines) lines { return slices.Replace(l, 1, 3, []byte("x\n")) }, "ade", journal.Damage{Lines: 1, Gaps: 1}},
		"reordered":         {func(l lines) lines { l[1], l[2] = l[2], l[1]; return l }, "acbde", journal.Damage{Gaps: 3}},
		"doubled":           {func(l lines) lines { return slices.Insert(l, 2, l[1]) }, "abcde", journal.Damage{Lines: 1}},
		"replayed":          {func(l lines) lines { return append(l, l[0]) }, "abcde", journal.Damage{Lines: 1}},
		"slipped in":        {func(l lines) lines { return slices.Insert(l, 2, legacy) }, "ab-cde", journal.Damage{Gaps: 2}},
		"beginning gone":    {func(l lines) lines { return l[2:] }, "cde", journal.Damage{}}, // as by age
		"torn":              {func(l lines) lines { l[4] = l[4][:30]; return l }, "abcd", journal.Damage{Torn: true}},
		"zeroes":            {func(l lines) lines { return append(l, make([]byte, 200_000), []byte("\n")) }, "abcde", journal.Damage{Lines: 1}},
		"of a later format": {replace(2, `"sum"`, `"format":2,"sum"`), "abde", journal.Damage{Newer: 1}},
		"of a later kind":   {replace(2, `"n":3`, `"n":3,"signature":"x"`), "abcde", journal.Damage{}},
	} {
		t.Run(name, func(t *testing.T) {
			entries, damage := journal.Decode(bytes.Join(c.do(written(t)), nil))
			var got strings.Builder
			for _, e := range entries {
				if e.Finding == nil {
					got.WriteString("-")
					continue
				}
				got.WriteString(e.Finding.ID)
			}
			if diff := cmp.Diff(c.want, damage); diff != "" || got.String() != c.ids {
				t.Errorf("entries %s, want %s; damage (-want +got):\n%s", &got, c.ids, diff)
			}
			if damage.Whole() != (c.want == journal.Damage{} || name == "torn") {
				t.Errorf("whole: %t", damage.Whole())
			}
		})
	}
}

// What a nodeguard without a chain wrote is read, is no gap, and the chain begins
// where it ended.
func TestAnOlderJournalIsRead(t *testing.T) {
	root, file := tree(t)
	older, err := os.ReadFile("testdata/unchained.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	write(t, root)
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, root, entry(journal.Raised, "a"), entry(journal.Raised, "b"))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	entries, damage := journal.Decode(data)
	if len(entries) != 5 || damage != (journal.Damage{}) {
		t.Errorf("%d entries, %+v", len(entries), damage)
	}
	if diff := cmp.Diff([]string{"9f2c", "a", "b"}, ids(journal.OpenFindings(entries))); diff != "" {
		t.Error(diff)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if _, damage := journal.Decode(bytes.Join(slices.Delete(lines, 2, 3), nil)); damage.Gaps != 1 {
		t.Errorf("the last of the older lines is gone: %+v", damage)
	}
}

// An older nodeguard reads our lines: it knows entry and sum.
func TestLinesKeepTheirFormat(t *testing.T) {
	line := string(written(t)[0])
	for _, part := range []string{`{"entry":{"at":"2026-01-02T03:04:05Z","event":"raise","finding":{"id":"a",`, `},"sum":"`, `","n":1,"chain":"`} {
		if !strings.Contains(line, part) {
			t.Errorf("no %s in %s", part, line)
		}
	}
}

// Lines that are taken from the end while the agent runs are missed once it writes.
func TestTruncatedUnderTheAgent(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	appendAll(t, j, entry(journal.Raised, "a"), entry(journal.Raised, "b"), entry(journal.Raised, "c"))
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second := bytes.IndexByte(data, '\n') + 1
	for _, size := range []int{second, second + 10} { // a whole line, and within the next one
		if err := os.Truncate(file, int64(size)); err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, entry(journal.Raised, "d"))
		after, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		entries, damage := journal.Decode(after)
		if diff := cmp.Diff([]string{"a", "d"}, ids(journal.OpenFindings(entries))); diff != "" || damage.Whole() {
			t.Errorf("%+v %s", damage, diff)
		}
	}
}

// A file that was removed leaves a gap, though nobody saw what was in it.
func TestCurrentFileTakenAway(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, entry(journal.Raised, "a"))
	if err := journal.RotateNow(j); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, entry(journal.Raised, "b"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !j.Deleted() {
		t.Error("it is gone")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, root, entry(journal.Raised, "c"))
	entries, damage := readAll(t, root)
	if diff := cmp.Diff([]string{"a", "c"}, ids(journal.OpenFindings(entries))); diff != "" || damage.Gaps != 1 {
		t.Errorf("%+v %s", damage, diff)
	}
}

// An entry that is too long for a line is cut, not lost.
func TestTooLong(t *testing.T) {
	root, _ := tree(t)
	long := strings.Repeat("\x01", 1<<20)
	e := entry(journal.Raised, "a")
	e.Detail = long
	e.Finding.Operation, e.Finding.Observed, e.Finding.Impact = long, long, long
	write(t, root, e, entry(journal.Raised, "b"))
	entries, damage := readAll(t, root)
	if diff := cmp.Diff([]string{"a", "b"}, ids(journal.OpenFindings(entries))); diff != "" || !damage.Whole() {
		t.Errorf("%+v %s", damage, diff)
	}
}

// FuzzJournalDecode reads whatever is on a disk.
func FuzzJournalDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, damage := journal.Decode(data)
		journal.OpenFindings(entries)
		if lines := bytes.Count(data, []byte("\n")); len(entries)+damage.Lines+damage.Newer > lines {
			t.Errorf("%d entries and %+v of %d lines", len(entries), damage, lines)
		}
	})
}

func appendAll(t *testing.T, j *journal.Journal, entries ...journal.Entry) {
	t.Helper()
	for _, e := range entries {
		if err := j.Append(e); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", e.Event, err))
		}
	}
}
