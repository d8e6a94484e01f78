package baseline_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func sample() *baseline.Baseline {
	return &baseline.Baseline{
		Header: baseline.Header{Format: baseline.Format, Machine: baseline.Machine{ID: "m1"}, Profile: "ack", Recorded: t0, Version: "v0"},
		Scopes: map[string]baseline.Scope{
			"paths":      {"/etc/kubernetes": "dir mode=0755", `/etc/a\x0ab <&>"`: `link to="a b"`},
			"components": {},
		},
		Accepted: []baseline.Acceptance{{At: t0, Reason: "CHG-1", Subjects: []string{"/etc/kubernetes"}, Changed: 1}},
	}
}

func store(t *testing.T) (*baseline.Store, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return baseline.NewStore(root), dir + host.StateDir + "/baseline/baseline.jsonl"
}

func TestRoundTrip(t *testing.T) {
	s, file := store(t)
	if _, err := s.Load(); !errors.Is(err, baseline.ErrNone) {
		t.Errorf("before anything is recorded: %v", err)
	}
	for range 2 { // the second replaces the first
		if err := s.Save(sample()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if names, _ := os.ReadDir(filepath.Dir(file)); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestEqualBaselinesAreEqualBytes(t *testing.T) {
	first, err := baseline.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if again, _ := baseline.Encode(sample()); !bytes.Equal(first, again) {
			t.Fatal("the order of a map shows")
		}
	}
}

// Whatever happens to the bytes, the answer is damaged: never an empty baseline,
// never another one.
func TestDamageIsNoticed(t *testing.T) {
	data, err := baseline.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := baseline.Decode(data[:n]); !errors.Is(err, baseline.ErrDamaged) {
			t.Fatalf("torn after %d of %d bytes: %v", n, len(data), err)
		}
		flipped := bytes.Clone(data)
		flipped[n] ^= 0x10
		if _, err := baseline.Decode(flipped); !errors.Is(err, baseline.ErrDamaged) {
			t.Fatalf("byte %d flipped: %v", n, err)
		}
	}
}

func TestNewerFormatIsLeftAlone(t *testing.T) {
	b := sample()
	b.Format = baseline.Format + 1
	data, err := baseline.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := baseline.Decode(data); !errors.Is(err, baseline.ErrNewer) {
		t.Errorf("got %v", err)
	}
}

// seal gives any lines the checksum that makes them a file.
func seal(lines []byte) []byte {
	sum := sha256.Sum256(lines)
	return fmt.Appendf(bytes.Clone(lines), "{\"sha256\":\"%x\"}\n", sum)
}

func FuzzDecode(f *testing.F) {
	data, _ := baseline.Encode(sample())
	f.Add(data[:bytes.LastIndexByte(data[:len(data)-1], '\n')+1])
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"header":{"format":1}}` + "\n" + `{"entry":null}` + "\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		_, _ = baseline.Decode(lines)
		b, err := baseline.Decode(seal(lines))
		if err != nil {
			if !errors.Is(err, baseline.ErrDamaged) && !errors.Is(err, baseline.ErrNewer) {
				t.Errorf("an error of no kind: %v", err)
			}
			return
		}
		again, err := baseline.Encode(b)
		if err != nil {
			t.Skip("a time that JSON cannot write") // years beyond 9999
		}
		if back, err := baseline.Decode(again); err != nil || !cmp.Equal(b, back) {
			t.Errorf("%v: %s", err, cmp.Diff(b, back))
		}
	})
}

func TestSizePerFile(t *testing.T) {
	b := sample()
	for i := range 1000 {
		b.Scopes["paths"]["/etc/kubernetes/pki/certificate-"+strings.Repeat("x", 20)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = "file mode=0644 owner=0:0 links=1 sha256=" + strings.Repeat("a", 64)
	}
	data, err := baseline.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if each := len(data) / 1000; each > 300 {
		t.Errorf("%d bytes a file", each)
	}
}

// The lines without escapes are read in another way: what they say is the same, and
// what is no such line is none.
func TestPlainLines(t *testing.T) {
	b := sample()
	b.Scopes["paths"]["/etc/a b"] = "file mode=0644 owner=0:0"
	b.Scopes["paths"]["/etc/\ufffd é"] = ""
	data, err := baseline.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := baseline.Decode(data); err != nil || !cmp.Equal(b, back) {
		t.Errorf("%v: %s", err, cmp.Diff(b, back))
	}
	header := data[:bytes.IndexByte(data, '\n')+1]
	for _, line := range []string{`{"entry":{"scope":"a","subject":"b","value":"c"}}}`, `{"entry":{"scope":"a","subject":"b","value":"c","x"}}`, `{"entry":{"scope":"a","subject":"b","value":"c`} {
		if _, err := baseline.Decode(seal(append(bytes.Clone(header), line+"\n"...))); !errors.Is(err, baseline.ErrDamaged) {
			t.Errorf("%s: %v", line, err)
		}
	}
	entry := `{"entry":{"scope":"a","subject":"b","value":"c"}}` + "\n"
	if _, err := baseline.Decode(seal([]byte(entry))); !errors.Is(err, baseline.ErrDamaged) {
		t.Errorf("without a header: %v", err)
	}
}

// Reading takes the three strings of an entry, whatever else there is.
func TestAllocationsPerEntry(t *testing.T) {
	const entries = 1000
	b := sample()
	for i := range entries {
		b.Scopes["paths"][fmt.Sprintf("/etc/kubernetes/%d", i)] = "file mode=0644 owner=0:0 links=1 sha256=" + strings.Repeat("a", 64)
	}
	data, err := baseline.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if each := testing.AllocsPerRun(5, func() { _, _ = baseline.Decode(data) }) / entries; each > 4 {
		t.Errorf("%.1f allocations an entry", each)
	}
}

func TestLockHoldsOthersOff(t *testing.T) {
	s, _ := store(t)
	release, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(); !errors.Is(err, baseline.ErrLocked) {
		t.Errorf("a second holder: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = s.Lock()
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	_ = release()
}

func TestArchiveKeepsTheBytes(t *testing.T) {
	s, file := store(t)
	if err := s.Save(sample()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := s.Archive(t0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(); !errors.Is(err, baseline.ErrNone) {
		t.Errorf("after archiving: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(filepath.Dir(file), filepath.Base(name))); err != nil || string(data) != "damaged" {
		t.Errorf("%s: %q, %v", name, data, err)
	}
}

func TestHostileStateDirectory(t *testing.T) {
	s, file := store(t)
	if err := s.Save(sample()); err != nil {
		t.Fatal(err)
	}
	t.Run("a FIFO in the place of the file", func(t *testing.T) {
		if err := errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(); !errors.Is(err, host.ErrNotRegular) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a link in the place of the file", func(t *testing.T) {
		if err := errors.Join(os.Remove(file), os.Symlink("/etc/passwd", file)); err != nil {
			t.Fatal(err)
		}
		if b, err := s.Load(); err == nil {
			t.Errorf("followed to %v", b)
		}
	})
	t.Run("a file that waits in the place of the new one", func(t *testing.T) {
		if err := errors.Join(os.Remove(file), os.Symlink("/tmp/nodeguard-test-target", file+".new")); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(sample()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat("/tmp/nodeguard-test-target"); !errors.Is(err, fs.ErrNotExist) {
			t.Error("wrote through the link")
		}
		if _, err := s.Load(); err != nil {
			t.Error(err)
		}
	})
	t.Run("writable by all", func(t *testing.T) {
		if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(); err == nil {
			t.Error("it is trusted")
		}
	})
}

func TestMachines(t *testing.T) {
	for _, c := range []struct {
		a, b baseline.Machine
		same bool
	}{
		{baseline.Machine{ID: "1"}, baseline.Machine{ID: "1"}, true},
		{baseline.Machine{ID: "1"}, baseline.Machine{ID: "2"}, false},
		{baseline.Machine{ID: "1"}, baseline.Machine{}, true},
		{baseline.Machine{ID: "1", Instance: "i-1"}, baseline.Machine{ID: "1", Instance: "i-2"}, false}, // one image, two machines
		{baseline.Machine{ID: "1", Instance: "i-1"}, baseline.Machine{ID: "2", Instance: "i-1"}, true},
	} {
		if got := c.a.Same(c.b); got != c.same {
			t.Errorf("%+v and %+v: %t", c.a, c.b, got)
		}
	}
}

func TestScope(t *testing.T) {
	facts := map[string]drift.Fact{"a": {Value: "2"}, "b": {Value: "1"}, "c": {Value: "1", Fresh: true}, "d": {Value: "1", Fresh: true}}
	s := baseline.ScopeOf(nil, []drift.Gap{{Subject: "d"}, {Operation: "op"}})
	s["a"], s["gone"] = "1", "1"
	if n := s.AddFresh(facts); n != 2 {
		t.Errorf("added %d", n)
	}
	if diff := cmp.Diff(baseline.Scope{"a": "1", "gone": "1", "c": "1", "d": "1"}, s); diff != "" {
		t.Error(diff)
	}
	if n := s.Accept(facts, func(subject string) bool { return subject != "b" }); n != 2 {
		t.Errorf("accepted %d", n)
	}
	if diff := cmp.Diff(baseline.Scope{"a": "2", "c": "1", "d": "1"}, s); diff != "" {
		t.Error(diff)
	}
}

func TestGapsForAnUnusableBaseline(t *testing.T) {
	for err, hint := range map[error]string{
		fs.ErrPermission:    "run as root",
		baseline.ErrDamaged: "look at it, then record anew",
		baseline.ErrNewer:   "use the newer nodeguard",
	} {
		gaps := baseline.Gaps(err, []string{"op.a", "op.b"})
		if len(gaps) != 2 || gaps[1].Operation != "op.b" || !strings.HasPrefix(gaps[0].Hint, hint) {
			t.Errorf("%v: %+v", err, gaps)
		}
	}
}

func TestSettler(t *testing.T) {
	s := baseline.NewSettler(10 * time.Minute)
	for _, c := range []struct {
		at     time.Duration
		digest string
		ready  bool
		want   bool
	}{
		{0, "a", true, false},
		{9 * time.Minute, "a", true, false},
		{9*time.Minute + 30*time.Second, "b", true, false}, // something changed
		{15 * time.Minute, "b", true, false},
		{19*time.Minute + 29*time.Second, "b", true, false},
		{19*time.Minute + 30*time.Second, "b", false, false}, // not ready after all
		{25 * time.Minute, "b", true, false},
		{29*time.Minute + 30*time.Second, "b", true, true},
	} {
		if got := s.Settled(c.digest, c.ready, t0.Add(c.at)); got != c.want {
			t.Errorf("after %v: %t", c.at, got)
		}
	}
	if !baseline.NewSettler(0).Settled("a", true, t0) {
		t.Error("without a delay it does not settle at once")
	}
}
