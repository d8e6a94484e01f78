package firewall

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cmpdiff "github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/units"
)

const deadline = 20 * time.Second

// recorder keeps what sources say.
type recorder struct {
	mu    sync.Mutex
	said  sync.Cond
	hints []drift.Hint
	modes map[string]string
}

func newRecorder() *recorder {
	r := &recorder{modes: map[string]string{}}
	r.said.L = &r.mu
	return r
}

func (r *recorder) Hint(h drift.Hint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hints = append(r.hints, h)
	r.said.Broadcast()
}

func (r *recorder) Mode(source string, m drift.Mode, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.modes[source] = strings.TrimSuffix(string(m)+": "+why, ": ")
	r.said.Broadcast()
}

func (r *recorder) Failed(string, error) {}

// wait returns when what was said is enough.
func (r *recorder) wait(t *testing.T, what string, enough func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(deadline, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.said.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !enough() {
		if late {
			t.Fatalf("%s: not within %s; hints %+v, modes %q", what, deadline, r.hints, r.modes)
		}
		r.said.Wait()
	}
}

// next returns the first hint after the n-th that is like it.
func (r *recorder) next(t *testing.T, n int, what string, like func(drift.Hint) bool) drift.Hint {
	t.Helper()
	var found drift.Hint
	r.wait(t, what, func() bool {
		i := slices.IndexFunc(r.hints[n:], like)
		if i >= 0 {
			found = r.hints[n+i]
		}
		return i >= 0
	})
	return found
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.hints)
}

func ofKernel(h drift.Hint) bool { return h.Source == nftablesSource }

func anyHint(drift.Hint) bool { return true }

// watching starts the check's Watch and returns what stops it.
func watching(t *testing.T, c *Check, to drift.Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Watch(ctx, to) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}

func hostCheck(t *testing.T) *Check {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return New(root, []drift.Bound[Rule]{{Operation: "ack.net.firewall", Rule: ack(t)}}).WithUnits(units.New(root))
}

// watched is a check of a host that no systemd runs, and what its sources say.
func watched(t *testing.T) (c *Check, seen *recorder, stop func()) {
	t.Helper()
	hosttest.Mount(t, "/run", "-t", "tmpfs", "tmpfs")
	c, seen = hostCheck(t), newRecorder()
	return c, seen, watching(t, c, seen)
}

func TestRulesAreNoticed(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, seen, stop := watched(t)
	defer stop()
	seen.next(t, 0, "the hint for everything", func(h drift.Hint) bool { return h.Subject == "" && !h.Lost })
	seen.wait(t, "the modes", func() bool {
		return seen.modes[nftablesSource] == "event" && strings.HasPrefix(seen.modes[legacySource], "poll: ") &&
			seen.modes[units.Source] == "off: systemd does not run this host"
	})
	before := seen.count()
	hosttest.Run(t, "bash", "-euc", firewalldRules)
	if h := seen.next(t, before, "the load", ofKernel); h.PID != 0 {
		t.Errorf("pid %d is one of another pid namespace", h.PID)
	}
	if got := lines(c.Observe(t.Context(), nil)); len(got) == 0 || !strings.HasPrefix(got[0], "firewalld: enforcing") {
		t.Errorf("observed after the hint: %q", got)
	}
	before = seen.count()
	hosttest.Run(t, "nft", "flush", "ruleset")
	seen.next(t, before, "the flush", ofKernel)
}

// inNetworkOfItsOwn runs f on a thread of its own in a network namespace of its
// own; the thread ends with it.
func inNetworkOfItsOwn(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("unshare: %w", err)
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// The kernel names the committer by its pid in the first pid namespace, the one
// in which the agent runs.
func TestTheHintNamesTheCommitter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making namespaces needs root")
	}
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if !root.KernelPIDs() {
		t.Skip("the test runs in a pid namespace: the pids that the kernel tells are others there")
	}
	var conn *netlink.Conn
	var pid int
	inNetworkOfItsOwn(t, func() (err error) {
		if conn, err = listen(eventBuffer); err != nil {
			return err
		}
		nft := exec.Command("nft", "add", "table", "inet", "filter")
		err = nft.Run()
		pid = nft.Process.Pid
		return err
	})
	seen := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- generations(conn, root.KernelPIDs()).Follow(ctx, seen) }()
	if h := seen.next(t, 0, "the commit", anyHint); h.PID != pid {
		t.Errorf("pid %d, nft was %d", h.PID, pid)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// commits makes n generations of one table that comes and goes, and returns when
// the last one began.
func commits(n int) (last time.Time, err error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return last, err
	}
	defer func() { err = cmp.Or(err, conn.CloseLasting()) }()
	for i := range n {
		table := &nftables.Table{Family: nftables.TableFamilyINet, Name: "t"}
		if i%2 == 0 {
			conn.AddTable(table)
		} else {
			conn.DelTable(table)
		}
		last = time.Now()
		if err := conn.Flush(); err != nil {
			return last, fmt.Errorf("commit %d: %w", i, err)
		}
	}
	return last, nil
}

func TestABurstIsAFewHints(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, seen := hostCheck(t), newRecorder()
	defer watching(t, c, seen)()
	seen.next(t, 0, "the hint for everything", anyHint)
	began, before := time.Now(), seen.count()
	last, err := commits(5000)
	if err != nil {
		t.Fatal(err)
	}
	final := seen.next(t, before, "a hint after the last change", func(h drift.Hint) bool { return !h.At.Before(last) })
	most := int(final.At.Sub(began)/breath) + 2
	if got := seen.count() - before; got > most || got == 0 {
		t.Errorf("%d hints in %s, at most %d", got, final.At.Sub(began), most)
	}
}

func TestOverflowIsSaid(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	conn, err := listen(1) // the kernel makes the least of it, two or three messages
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commits(100); err != nil {
		t.Fatal(err)
	}
	seen := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- generations(conn, false).Follow(ctx, seen) }()
	seen.next(t, 0, "the overflow", func(h drift.Hint) bool { return h.Lost })
	before := seen.count()
	if _, err := commits(1); err != nil {
		t.Fatal(err)
	}
	seen.next(t, before, "a commit after the overflow", anyHint)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// All rules of one commit are one message.
func TestAThousandRulesDoNotOverflow(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	conn, err := listen(1)
	if err != nil {
		t.Fatal(err)
	}
	script := "nft -f - <<<'table inet filter { chain c { " + strings.Repeat("tcp dport 22 accept; ", 2000) + " }; }'"
	hosttest.Run(t, "bash", "-euc", script)
	seen := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- generations(conn, false).Follow(ctx, seen) }()
	if h := seen.next(t, 0, "the commit", anyHint); h.Lost {
		t.Error("the rules were queued")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWatchLeavesNothingBehind(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := hostCheck(t)
	for i := range 3 {
		seen := newRecorder()
		before := hosttest.Use(t)
		stop := watching(t, c, seen)
		seen.wait(t, "the modes", func() bool { return len(seen.modes) == 3 })
		hosttest.Run(t, "nft", "add", "table", "inet", "filter")
		stop()
		if now, exceeded := before.Exceeded(t); i > 0 && exceeded { // the first opens what the runtime keeps
			t.Errorf("held %+v, were %+v", now, before)
		}
	}
}

const expectedMode = "NODEGUARD_TEST_FIREWALL_MODE"

func TestWhoCannotListenSaysSo(t *testing.T) {
	for name, tt := range map[string]struct {
		before []string
		want   string
	}{
		"without CAP_NET_ADMIN":     {[]string{"setpriv", "--bounding-set=-net_admin", "--"}, "off: operation not permitted"},
		"another network namespace": {[]string{"unshare", "--net", "--"}, "off: " + host.ErrForeignNetwork.Error()},
		"all is well":               {[]string{"env"}, "event"},
	} {
		t.Run(name, func(t *testing.T) {
			if !hosttest.Alone(t) {
				return
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(tt.before[0], append(tt.before[1:], self, "-test.run=^TestModeHere$", "-test.v")...)
			cmd.Env = append(os.Environ(), expectedMode+"="+tt.want)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestModeHere is the half of TestWhoCannotListenSaysSo that listens.
func TestModeHere(t *testing.T) {
	want := os.Getenv(expectedMode)
	if want == "" {
		return
	}
	c, seen := hostCheck(t), newRecorder()
	defer watching(t, c, seen)()
	seen.wait(t, "the mode "+want, func() bool { return seen.modes[nftablesSource] == want })
	seen.next(t, 0, "the hint for everything", anyHint)
}

// Of two people nobody can say who it was.
func TestCommitter(t *testing.T) {
	by := func(pid uint32) netlink.Message {
		ae := netlink.NewAttributeEncoder()
		ae.ByteOrder = binary.BigEndian
		ae.Uint32(unix.NFTA_GEN_PROC_PID, pid)
		data, err := ae.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return netlink.Message{Header: netlink.Header{Type: newGeneration}, Data: append(make([]byte, 4), data...)}
	}
	for _, c := range []struct {
		messages []netlink.Message
		want     int
	}{
		{nil, 0},
		{[]netlink.Message{by(1), by(1)}, 1},
		{[]netlink.Message{by(1), by(2)}, 0},
		{[]netlink.Message{{Header: netlink.Header{Type: newGeneration}, Data: []byte{1}}}, 0},
		{[]netlink.Message{{Data: by(1).Data}}, 0},
	} {
		if got := committer(c.messages); got != c.want {
			t.Errorf("%+v: %d, want %d", c.messages, got, c.want)
		}
	}
}

func TestWatchedDirectories(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"etc/nftables.conf": "include \"/etc/nftables.d/*.nft\"\n",
		"etc/systemd/system/multi-user.target.wants/ufw.service": "->/usr/lib/systemd/system/ufw.service",
	})
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	got := New(root, []drift.Bound[Rule]{{Rule: ack(t)}}).WatchedDirectories()
	for _, want := range []string{
		"/etc", "/etc/ufw", "/etc/sysconfig", "/etc/iptables", "/etc/csf", "/etc/shorewall", "/etc/nftables.d", "/etc/rc2.d", "/etc/init.d",
		"/usr/sbin", "/etc/systemd/system", "/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system", "/run/systemd/system",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	if !slices.IsSorted(got) || len(got) > 40 {
		t.Errorf("%d directories: %q", len(got), got)
	}
}

// Rules that change faster than they can be read stand as they were seen last, since each
// commit has them looked at again; where that does not end, they are unknown.
func TestRulesThatKeepChanging(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, seen, stop := watched(t)
	defer stop()
	seen.wait(t, "the mode", func() bool { return seen.modes[nftablesSource] == "event" })
	var rules strings.Builder
	rules.WriteString("add table inet big\nadd chain inet big c { type filter hook input priority 0; policy accept; }\n")
	for i := range 20_000 {
		fmt.Fprintf(&rules, "add rule inet big c ip saddr 10.0.%d.%d drop\n", i>>8, i&255)
	}
	big := filepath.Join(t.TempDir(), "big.nft")
	if err := os.WriteFile(big, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	hosttest.Run(t, "nft", "-f", big)
	still := c.Observe(t.Context(), nil)
	if len(still.Findings) == 0 || len(still.Gaps) > 0 {
		t.Fatalf("while nothing changes: %+v", still)
	}

	enough, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-enough:
				stopped <- nil
				return
			default:
			}
			if _, err := commits(200); err != nil {
				stopped <- err
				return
			}
		}
	}()
	changing := c.gather(t.Context())
	during := c.Observe(t.Context(), nil)
	c.last.mu.Lock()
	c.last.at = time.Now().Add(-holdsFor)
	c.last.mu.Unlock()
	after := c.Observe(t.Context(), nil)
	close(enough)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if !changing.changing {
		t.Error("the rules did not change while they were read: this test shows nothing")
	}
	if diff := cmpdiff.Diff(still, during); diff != "" {
		t.Errorf("while they change: %s", diff)
	}
	if len(after.Gaps) == 0 {
		t.Errorf("after %v of change: %+v", holdsFor, after)
	}
}
