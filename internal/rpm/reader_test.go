package rpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
)

func TestMain(m *testing.M) {
	if code, child := probe.Child(os.Args, probe.Tasks{Packages: obedient, "sleep": sleep}); child {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// obedient is Read, unless the file tells it to be worse.
func obedient(root *os.File, data []byte, tell func(any) error) error {
	word := make([]byte, 5)
	_, _ = probe.Passed(0).ReadAt(word, 0)
	switch string(word) {
	case "sleep":
		return sleep(root, data, tell)
	case "crash":
		panic("on purpose")
	}
	return Read(root, data, tell)
}

func sleep(*os.File, []byte, func(any) error) error { select {} }

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// file is one of this content.
func file(t *testing.T, data string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, name)
}

func anyRoot(t *testing.T) *host.Root {
	t.Helper()
	root, err := host.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// packages are those of testdata/rpmdb.sqlite.
func packages() map[string]bool {
	want := map[string]bool{}
	for i := range 300 {
		if i%50 != 0 && i != 7 {
			want[fmt.Sprintf("package-%03d", i)] = true
		}
	}
	return want
}

func TestNames(t *testing.T) {
	var r Reader
	for range 2 {
		got, err := r.Names(t.Context(), anyRoot(t), open(t, "testdata/rpmdb.sqlite"))
		if diff := cmp.Diff(packages(), got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

// What anybody may have written is parsed by a child, and by nobody else.
func TestAChildReads(t *testing.T) {
	t.Setenv("NODEGUARD_PROBE", "1") // a child starts no children
	if got, err := new(Reader).Names(t.Context(), anyRoot(t), open(t, "testdata/rpmdb.sqlite")); err == nil {
		t.Errorf("read %d names without one", len(got))
	}
	root, _ := rpmRoot(t)
	if got, err := new(Reader).Owners(t.Context(), root, Databases()[0], []string{"/usr/bin"}); err == nil {
		t.Errorf("read %d owners without one", len(got))
	}
}

// A reader that fails once is as good as new.
func TestFailures(t *testing.T) {
	var r Reader
	for _, c := range []struct {
		name, data string
		patience   time.Duration
		want       error
	}{
		{name: "no database", data: string(bytes.Repeat([]byte("no database "), 100)), want: errors.New(errSQLite.Error())},
		{name: "the child crashes", data: "crash", want: errEnded},
		{name: "the child does not answer", data: "sleep", patience: 200 * time.Millisecond, want: errSlow},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			if c.patience > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.patience)
				defer cancel()
			}
			if got, err := r.Names(ctx, anyRoot(t), file(t, c.data)); got != nil || err == nil || err.Error() != c.want.Error() {
				t.Errorf("%v, %v, want %v", got, err, c.want)
			}
			if got, err := r.Names(t.Context(), anyRoot(t), open(t, "testdata/rpmdb.sqlite")); err != nil || len(got) != len(packages()) {
				t.Errorf("after it: %d, %v", len(got), err)
			}
		})
	}
}

// While a child hangs where no signal reaches it, nobody else is sent.
func TestOneChildAtATime(t *testing.T) {
	child, err := probe.Start(anyRoot(t), "sleep", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := Reader{hung: child}
	if _, err := r.Names(t.Context(), anyRoot(t), open(t, "testdata/rpmdb.sqlite")); !errors.Is(err, errBusy) {
		t.Errorf("%v", err)
	}
	child.Kill()
	<-child.Exited()
	if _, err := r.Names(t.Context(), anyRoot(t), open(t, "testdata/rpmdb.sqlite")); err != nil {
		t.Errorf("after its end: %v", err)
	}
}

// answers are a child's, one after the other.
func answers(all ...answer) func(any) error {
	return func(into any) error {
		if len(all) == 0 {
			return io.EOF
		}
		*into.(*answer), all = all[0], all[1:]
		return nil
	}
}

// taken are the names of what is collected.
func taken(next func(any) error) (names []string, err error) {
	err = collect(next, func(p Package) error {
		names = append(names, p.Name)
		return errorIf(len(names) > maxPackages, errTooMany)
	})
	return names, err
}

func TestCollect(t *testing.T) {
	some := answer{Packages: []Package{{Name: "a"}, {Name: "b"}}}
	if got, err := taken(answers(some, some, answer{End: true})); err != nil || len(got) != 4 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := taken(answers(some)); !errors.Is(err, errEnded) {
		t.Errorf("half of it: %v", err)
	}
	if _, err := taken(answers(some, answer{Error: "page\n3", End: true})); err == nil || strings.ContainsAny(err.Error(), "\n") {
		t.Errorf("half of it, and why: %v", err)
	}
	n := 0
	endless := func(into any) error {
		n++
		*into.(*answer) = answer{Packages: []Package{{Name: fmt.Sprint(n)}}}
		return nil
	}
	if _, err := taken(endless); !errors.Is(err, errTooMany) || n > maxPackages+1 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestRequests(t *testing.T) {
	tell := func(any) error { return nil }
	if err := Read(nil, []byte("{"), tell); err == nil {
		t.Error("half a request is taken")
	}
	if err := read(open(t, "testdata/rpmdb.sqlite"), request{Want: "secrets"}, tell); err == nil {
		t.Error("what nobody knows is answered")
	}
	full := errors.New("nobody listens")
	if err := read(open(t, "testdata/rpmdb.sqlite"), request{Want: names}, func(any) error { return full }); !errors.Is(err, full) {
		t.Errorf("nobody listens: %v", err)
	}
}
