package journal_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

func readAll(t *testing.T, root *host.Root) ([]journal.Entry, journal.Damage) {
	t.Helper()
	r, err := journal.NewReader(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return drain(t, r), r.Damage()
}

func drain(t *testing.T, r *journal.Reader) (out []journal.Entry) {
	t.Helper()
	for {
		e, more, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return out
		}
		out = append(out, e)
	}
}

func reload(detail string) journal.Entry {
	return journal.Entry{At: t0, Event: journal.Reloaded, Detail: detail}
}

// What is open is carried over, however many lines follow: findings as they were last
// told, and checks that cannot look. What was closed is not.
func TestOpenSurvivesRotations(t *testing.T) {
	root, _ := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	j.Bound(journal.Limits{MaxSize: 1 << 20})
	waived := entry(journal.Waived, "b")
	waived.Finding.Observed = "as waived"
	appendAll(t, j, entry(journal.Raised, "a"), entry(journal.Raised, "b"), entry(journal.Raised, "c"), waived, entry(journal.Cleared, "a"),
		journal.Entry{At: t0, Event: journal.Blind, Detail: "VolumeMountDrift: no mountinfo"},
		journal.Entry{At: t0, Event: journal.Blind, Detail: "HostConfigDrift: no /etc"},
		journal.Entry{At: t0, Event: journal.Sighted, Detail: "HostConfigDrift"})
	for range 3 { // and over a restart
		for range 60 {
			appendAll(t, j, reload(strings.Repeat("x", 50<<10)))
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if j, err = journal.Open(root); err != nil {
			t.Fatal(err)
		}
		j.Bound(journal.Limits{MaxSize: 1 << 20})
	}
	defer j.Close()
	entries, damage := readAll(t, root)
	if !damage.Whole() {
		t.Errorf("%+v", damage)
	}
	open := journal.OpenFindings(entries)
	if diff := cmp.Diff([]string{"b", "c"}, ids(open)); diff != "" || open[0].Observed != "as waived" {
		t.Errorf("%+v %s", open, diff)
	}
	var carried []string
	for _, e := range entries {
		if e.Event == journal.Carried {
			carried = append(carried, e.Detail)
		}
	}
	if diff := cmp.Diff([]string{"", "", "VolumeMountDrift: no mountinfo"}, carried); diff != "" {
		t.Error(diff)
	}
}

// Wherever a rotation is interrupted, the journal can be read, and written, and holds
// each line once and what is open.
func TestRotationInterrupted(t *testing.T) {
	for done := range 5 {
		t.Run(fmt.Sprintf("after %d steps", done), func(t *testing.T) {
			root, file := interrupted(t, done)
			check(t, root, "c a")
			again(t, root)
			checkFiles(t, file)
		})
	}
	// Within the writing of the new file, byte by byte.
	root, file := interrupted(t, 0)
	data, err := os.ReadFile(filepath.Dir(file) + "/" + journal.Next)
	if err != nil || len(data) == 0 {
		t.Fatal(err)
	}
	for n := range data {
		if err := os.WriteFile(filepath.Dir(file)+"/"+journal.Next, data[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, root, "c a")
		if n%50 == 0 {
			write(t, root)
			check(t, root, "c a")
		}
	}
	again(t, root)
}

// interrupted is a journal with a and c open and a rotation that got that far.
func interrupted(t *testing.T, done int) (*host.Root, string) {
	t.Helper()
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, entry(journal.Raised, "c"))
	if err := journal.RotateNow(j); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, entry(journal.Raised, "a"), entry(journal.Raised, "b"), entry(journal.Cleared, "b"))
	if n := j.Steps(); done > n {
		t.Fatalf("there are %d steps", n)
	}
	if err := j.RotateUpTo(done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return root, file
}

func check(t *testing.T, root *host.Root, open string) {
	t.Helper()
	entries, damage := readAll(t, root)
	if got := strings.Join(ids(journal.OpenFindings(entries)), " "); got != open || !damage.Whole() {
		t.Errorf("open: %q, want %q; %+v", got, open, damage)
	}
	known := map[string]bool{}
	for _, e := range entries {
		if is := e.Event != journal.Cleared; known[e.Finding.ID] == is {
			t.Errorf("%s of %s comes twice", e.Event, e.Finding.ID)
		} else {
			known[e.Finding.ID] = is
		}
	}
}

// again is the next start, and what it writes.
func again(t *testing.T, root *host.Root) {
	t.Helper()
	write(t, root, entry(journal.Cleared, "c"))
	check(t, root, "a")
	write(t, root, entry(journal.Raised, "c"), entry(journal.Cleared, "c"))
	check(t, root, "a")
}

func checkFiles(t *testing.T, file string) {
	t.Helper()
	var names []string
	for _, e := range must(os.ReadDir(filepath.Dir(file))) {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{journal.Previous, journal.Current}, names); diff != "" {
		t.Error(diff)
	}
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// A rotation that failed goes on where it stopped, and loses nothing.
func TestRotationIsFinishedLater(t *testing.T) {
	for done := range 5 {
		root, file := tree(t)
		j, err := journal.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, j, entry(journal.Raised, "a"))
		if err := j.RotateUpTo(done); err != nil {
			t.Fatal(err)
		}
		if j.Deleted() {
			t.Errorf("after %d steps: it is not", done)
		}
		appendAll(t, j, entry(journal.Raised, "b"))
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, root, "a b")
		checkFiles(t, file)
	}
}

// Where nothing can be written, the journal stays as it was, and goes on later.
func TestRotationWithoutADisk(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.Bound(journal.Limits{MaxSize: 2})
	appendAll(t, j, entry(journal.Raised, "a"))
	blocked := filepath.Dir(file) + "/" + journal.Next
	if err := os.MkdirAll(blocked+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := j.Append(entry(journal.Raised, "b")); err == nil {
			t.Fatal("there is no place for a new file")
		}
	}
	check(t, root, "a")
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	appendAll(t, j, entry(journal.Raised, "b"))
	check(t, root, "a b")
}

// Much that is open does not make every line begin a new file.
func TestMuchIsCarriedOver(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.Bound(journal.Limits{MaxSize: 1000})
	var before fs.FileInfo
	files := 0
	for i := range 200 {
		appendAll(t, j, entry(journal.Raised, fmt.Sprint(i)))
		if now := must(os.Stat(file)); before == nil || !os.SameFile(before, now) {
			before = now
			files++
		}
	}
	if files > 20 {
		t.Errorf("%d files for 200 lines", files)
	}
	entries, _ := readAll(t, root)
	if n := len(journal.OpenFindings(entries)); n != 200 {
		t.Errorf("%d are open", n)
	}
}

// A reader at any moment sees lines that follow each other, and no damage.
func TestReadersWhileItIsWritten(t *testing.T) {
	root, _ := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	j.Bound(journal.Limits{MaxSize: 8 << 10})
	appendAll(t, j, entry(journal.Raised, "always"))
	ended := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				entries, damage := readAll(t, root)
				if !damage.Whole() {
					t.Errorf("%+v", damage)
				}
				if diff := cmp.Diff([]string{"always"}, ids(journal.OpenFindings(entries))); diff != "" {
					t.Error(diff)
				}
				checkConsecutive(t, entries)
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	for i := range 2000 {
		appendAll(t, j, reload(fmt.Sprint(i)))
	}
	close(ended)
	readers.Wait()
}

func checkConsecutive(t *testing.T, entries []journal.Entry) {
	t.Helper()
	last := -1
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscan(e.Detail, &n); err != nil {
			continue
		}
		if last >= 0 && n != last+1 {
			t.Errorf("%d follows %d", n, last)
		}
		last = n
	}
}

// A follower gets every line once, through rotations and taken-back lines.
func TestFollow(t *testing.T) {
	root, file := tree(t)
	j, err := journal.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	appendAll(t, j, entry(journal.Raised, "a"), reload("0"))
	r, err := journal.NewReader(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes, err := r.Follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var got []string
	read := func() {
		for _, e := range drain(t, r) {
			got = append(got, e.Detail)
		}
	}
	read()
	n := 1
	for range 300 {
		switch random.IntN(8) {
		case 0: // and what is too old is taken away, which makes it another file
			if err := journal.RotateNow(j); err != nil {
				t.Fatal(err)
			}
			older := filepath.Dir(file) + "/" + journal.Previous
			data := must(os.ReadFile(older))
			if err := os.WriteFile(older+".young", data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(older+".young", older); err != nil {
				t.Fatal(err)
			}
			read()
		case 1: // a line that is only half there, and taken back
			size := must(os.Stat(file)).Size()
			half := must(os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0))
			_, _ = half.WriteString(`{"entry":{`)
			read()
			_ = half.Truncate(size)
			_ = half.Close()
		case 2:
			read()
		default:
			appendAll(t, j, reload(fmt.Sprint(n)))
			n++
			<-changes
		}
	}
	read()
	want := []string{""}
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	if diff := cmp.Diff(want, got); diff != "" || !r.Damage().Whole() {
		t.Errorf("%+v %s", r.Damage(), diff)
	}
	if err := os.RemoveAll(filepath.Dir(file)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("removed: %v", err)
	}
}

// Times are what the clock said: they order nothing.
func TestClockSteps(t *testing.T) {
	root, _ := tree(t)
	var want []string
	for i, hours := range []int{0, 5, -48, 1, 24 * 3650, 2} {
		e := entry(journal.Raised, fmt.Sprint(i))
		e.At = t0.Add(time.Duration(hours) * time.Hour)
		write(t, root, e)
		want = append(want, fmt.Sprint(i))
	}
	entries, damage := readAll(t, root)
	if diff := cmp.Diff(want, ids(journal.OpenFindings(entries))); diff != "" || !damage.Whole() {
		t.Errorf("%+v %s", damage, diff)
	}
	if slices.IsSortedFunc(entries, func(a, b journal.Entry) int { return a.At.Compare(b.At) }) {
		t.Error("the clock stepped")
	}
}
