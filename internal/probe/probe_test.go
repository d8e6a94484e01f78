package probe

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/probe/probetest"
)

func TestMain(m *testing.M) {
	if code, child := Child(os.Args, Tasks{StatMounts: Stat, "rights": rights, "crash": crash, "sleep": sleep}); child {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// rights tells what the thread that does the work may.
func rights(_ *os.File, request []byte, answer func(any) error) error {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	told := map[string]string{"request": string(request), "environment": strings.Join(os.Environ(), " ")}
	for line := range strings.Lines(string(status)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			told[name] = strings.TrimSpace(value)
		}
	}
	if err := answer(told); err != nil {
		return err
	}
	f, err := os.CreateTemp("", "probe")
	if err == nil {
		defer os.Remove(f.Name())
		_, err = f.WriteString("x")
	}
	return answer(map[string]string{"write": errorText(err)})
}

func errorText(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return "none"
}

func crash(*os.File, []byte, func(any) error) error { panic("on purpose") }

func sleep(*os.File, []byte, func(any) error) error { select {} }

func openRoot(tb testing.TB, dir string) *host.Root {
	tb.Helper()
	root, err := host.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = root.Close() })
	return root
}

func TestChildHasFewRights(t *testing.T) {
	t.Setenv("SECRET", "of the agent")
	p, err := Start(openRoot(t, "/"), "rights", "hello")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	told := map[string]string{}
	for p.Next(&told) == nil {
	}
	<-p.Exited()
	if told["request"] != `"hello"` || strings.Contains(told["environment"], "SECRET") {
		t.Errorf("asked with %q in %q", told["request"], told["environment"])
	}
	if os.Geteuid() == 0 && told["CapEff"] != "0000000000000004" { // DAC_READ_SEARCH
		t.Errorf("capabilities %s", told["CapEff"])
	}
	if told["NoNewPrivs"] != "1" || told["write"] != unix.EFBIG.Error() {
		t.Errorf("NoNewPrivs %s, a write: %s", told["NoNewPrivs"], told["write"])
	}
}

func TestUnknownTaskAndCrash(t *testing.T) {
	for _, task := range []string{"nobody knows it", "crash"} {
		p, err := Start(openRoot(t, "/"), task, nil)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := p.Next(&v); !errors.Is(err, io.EOF) {
			t.Errorf("%s answers %v, %v", task, v, err)
		}
		<-p.Exited()
		p.Kill()
	}
}

func TestChildStartsNoChildren(t *testing.T) {
	t.Setenv(marker, "1")
	if p, err := Start(openRoot(t, "/"), "sleep", nil); err == nil {
		p.Kill()
		t.Error("it does")
	}
}

func TestKill(t *testing.T) {
	p, err := Start(openRoot(t, "/"), "sleep", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	<-p.Exited()
	var v any
	if err := p.Next(&v); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

func TestOnlyWithItsArgument(t *testing.T) {
	for _, args := range [][]string{nil, {"nodeguard"}, {"nodeguard", "check"}, {"nodeguard", argument}, {"nodeguard", argument, StatMounts, "more"}} {
		if _, child := Child(args, nil); child {
			t.Errorf("%q is taken for a child", args)
		}
	}
}

func device(tb testing.TB, path string) uint64 {
	tb.Helper()
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		tb.Fatal(err)
	}
	return s.Dev
}

// impatient gives up soon.
func impatient(t *testing.T, dir string) *Mounts {
	m := NewMounts(openRoot(t, dir))
	m.slow, m.tick, m.deadline = 1500*time.Millisecond, 50*time.Millisecond, 3*time.Second
	return m
}

func asking(t *testing.T, m *Mounts, mounts ...Mount) []Answer {
	t.Helper()
	m.Ask(mounts, 0)
	m.Wait(t.Context(), mounts, time.Minute)
	var out []Answer
	for _, mount := range mounts {
		out = append(out, m.Answer(mount))
	}
	return out
}

func TestMountsAnswer(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "a b\n\xff")
	hosttest.Write(t, there, "f", "")
	m := impatient(t, "/")
	got := asking(t, m, Mount{there, device(t, there)}, Mount{there, 1}, Mount{filepath.Join(dir, "gone"), 1})
	if got[0].Errno != 0 || got[0].Hidden || got[0].At.IsZero() {
		t.Errorf("what is there: %+v", got[0])
	}
	if !got[1].Hidden {
		t.Errorf("what is another: %+v", got[1])
	}
	if got[2].Errno != unix.ENOENT {
		t.Errorf("what is not there: %+v", got[2])
	}
}

func TestLinksDoNotLeadOut(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/proc", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if got := asking(t, impatient(t, dir), Mount{"/link", device(t, "/proc")}); got[0].Errno != unix.ELOOP {
		t.Errorf("%+v", got[0])
	}
}

// A server that takes over from another says once that a handle is stale.
func TestStaleOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for stale, want := range map[int]reply{0: {}, 1: {}, 2: {}, 3: {Errno: int(unix.ESTALE)}} {
			asked := 0
			got := insisting(func() reply {
				if asked++; asked <= stale {
					return reply{Errno: int(unix.ESTALE)}
				}
				return reply{}
			})
			if got != want {
				t.Errorf("stale %d times: %+v", stale, got)
			}
		}
	})
}

func TestAnswersAreKept(t *testing.T) {
	dir := t.TempDir()
	mount := Mount{"/", device(t, dir)}
	m := impatient(t, dir)
	first := asking(t, m, mount)[0]
	m.Ask([]Mount{mount}, time.Hour)
	m.Wait(t.Context(), []Mount{mount}, time.Minute)
	if again := m.Answer(mount); again != first {
		t.Errorf("asked again: %+v after %+v", again, first)
	}
	m.Ask(nil, 0)
	if got := m.Answer(mount); got != (Answer{}) {
		t.Errorf("not forgotten: %+v", got)
	}
}

// A server that never answers: the child hangs on it so that not even SIGKILL ends
// it, nobody else is sent, and the other mounts are asked all the same.
func TestHungMount(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := t.TempDir()
	hung, release := probetest.Silent(t, filepath.Join(dir, "hung"))
	m := impatient(t, dir)
	dead, alive := Mount{"/hung", hung}, Mount{"/", device(t, dir)}
	m.Ask([]Mount{dead, alive}, 0)
	m.Wait(t.Context(), []Mount{dead, alive}, m.slow+m.tick)
	if a := m.Answer(alive); a.At.IsZero() || a.Errno != 0 {
		t.Errorf("the other mount: %+v", a)
	}
	silent := m.Answer(dead)
	if silent.Open.IsZero() || !silent.At.IsZero() {
		t.Fatalf("it answered: %+v", silent)
	}
	for range 5 {
		m.Ask([]Mount{dead, alive}, 0)
	}
	m.Wait(t.Context(), []Mount{alive}, time.Minute)
	for time.Since(silent.Open) < m.deadline {
		<-m.Changed()
	}
	if n := children(t); n != 1 {
		t.Errorf("%d children", n)
	}
	if got := m.Answer(dead); got.Open != silent.Open {
		t.Errorf("the question is another: %+v, was %+v", got, silent)
	}
	release()
	for {
		changed := m.Changed()
		if m.nobodyHangs() {
			break
		}
		<-changed
	}
	if n := children(t); n != 0 {
		t.Errorf("%d children are left", n)
	}
}

func (m *Mounts) nobodyHangs() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hanging == 0
}

// children counts those of this process.
func children(t *testing.T) (n int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tasks {
		data, err := os.ReadFile(name)
		if err == nil {
			n += len(strings.Fields(string(data)))
		}
	}
	return n
}

func TestLostChildSaysNothing(t *testing.T) {
	m := impatient(t, "/")
	mount := Mount{Path: "/", Device: 1}
	m.known[mount] = &asked{busy: true}
	m.open(mount)
	m.lose(mount)
	if a := m.Answer(mount); a.Failed == "" || !a.Open.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	m := impatient(t, "/")
	mount := Mount{Path: "/", Device: 1}
	m.known[mount] = &asked{busy: true}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Wait(ctx, []Mount{mount}, time.Hour)
}

func TestRequestIsDecoded(t *testing.T) {
	if err := Stat(nil, []byte("{"), nil); err == nil {
		t.Error("half a request is taken")
	}
}
