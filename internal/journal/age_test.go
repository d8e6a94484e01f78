package journal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

const day = 24 * time.Hour

// details are what is left of the lines, by their details.
func details(t *testing.T, root *host.Root) string {
	t.Helper()
	entries, damage := readAll(t, root)
	if !damage.Whole() {
		t.Errorf("%+v", damage)
	}
	var out []string
	for _, e := range entries {
		if e.Event == journal.Reloaded {
			out = append(out, e.Detail)
		}
	}
	return strings.Join(out, " ")
}

// A line goes within two days after the age that is configured, and not before. What
// is open stays.
func TestAgeIsBounded(t *testing.T) {
	root, file := tree(t)
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		j.Bound(journal.Limits{MaxAge: 10 * day})
		open := entry(journal.Raised, "a")
		open.At = time.Now()
		appendAll(t, j, open)
		begin := time.Now()
		for n := range 40 {
			line := reload(time.Since(begin).Round(time.Hour).String())
			line.At = time.Now()
			appendAll(t, j, line)
			for range 24 {
				time.Sleep(time.Hour)
				if err := j.Expire(time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			left := strings.Fields(details(t, root))
			oldest := must(time.ParseDuration(left[0]))
			if age := time.Since(begin) - oldest; age > 12*day {
				t.Errorf("day %d: a line of %v ago", n, age)
			}
			if n >= 11 && len(left) < 9 || n < 10 && len(left) != n+1 {
				t.Errorf("day %d: %q are left", n, left)
			}
			entries, _ := readAll(t, root)
			if diff := cmp.Diff([]string{"a"}, ids(journal.OpenFindings(entries))); diff != "" {
				t.Error(diff)
			}
		}
	})
	checkFiles(t, file)
}

// Without a new line, too.
func TestTheLastLinesGetOld(t *testing.T) {
	root, file := tree(t)
	synctest.Test(t, func(t *testing.T) {
		line := reload("0")
		line.At = time.Now()
		write(t, root, line)
		j, err := journal.Open(root) // as after a restart
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		for range 93 * 24 {
			time.Sleep(time.Hour)
			if err := j.Expire(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if left := details(t, root); left != "" {
			t.Errorf("%s is left", left)
		}
	})
	if _, err := os.Stat(filepath.Dir(file) + "/" + journal.Previous); err == nil {
		t.Error("an empty file is left")
	}
}

// A clock that is wrong for a while takes nothing away.
func TestAWrongClockTakesNothing(t *testing.T) {
	root, _ := tree(t)
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		line := reload("kept")
		line.At = time.Now()
		appendAll(t, j, line)
		wrong := time.Now().AddDate(20, 0, 0)
		for range 59 {
			time.Sleep(time.Minute)
			wrong = wrong.Add(time.Minute)
			if err := j.Expire(wrong); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 { // set right, and wrong again
			time.Sleep(time.Minute)
			wrong = wrong.Add(time.Minute)
			if err := j.Expire(time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := j.Expire(wrong); err != nil {
				t.Fatal(err)
			}
		}
		if left := details(t, root); left != "kept" {
			t.Errorf("%q is left", left)
		}
	})
}

// Taking lines away can be interrupted, too: what is left over is no journal.
func TestTrimmingInterrupted(t *testing.T) {
	root, file := tree(t)
	write(t, root, reload("0"))
	young := filepath.Dir(file) + "/journal.1.jsonl.young"
	if err := os.WriteFile(young, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, root, reload("1"))
	if got := details(t, root); got != "0 1" {
		t.Error(got)
	}
	if _, err := os.Stat(young); err == nil {
		t.Error("it is left")
	}
}
