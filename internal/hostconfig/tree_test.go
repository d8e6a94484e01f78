package hostconfig

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

var resolverRule = Rule{Look: "resolver", In: []string{"/etc/resolv.conf"}, Compare: toBaseline}

func TestWithoutABaselineNothingIsDrift(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 10.0.0.2\n"})
	o := observe(t, dir, nil, resolverRule)
	want := map[string]drift.Fact{
		"/etc/resolv.conf (all)":      {Value: lookedA, Fresh: true},
		"/etc/resolv.conf nameserver": {Value: "10.0.0.2", Fresh: true},
	}
	if diff := cmp.Diff(want, o.Facts); diff != "" || len(o.Findings) > 0 {
		t.Errorf("%v\n%s", o.Findings, diff)
	}
}

// A rule that covers more than the one before it makes nothing new.
func TestWhatWasNotLookedAtIsFresh(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 10.0.0.2\nsearch a\n"})
	narrow := resolverRule
	narrow.Keys = []string{"nameserver"}
	o := observe(t, dir, record(t, dir, narrow), resolverRule)
	if len(o.Findings) > 0 || !o.Facts["/etc/resolv.conf search"].Fresh {
		t.Errorf("%+v", o)
	}
}

func TestMissingFileIsOneFinding(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 10.0.0.2\nsearch a\n"})
	recorded := record(t, dir, resolverRule)
	if err := os.Remove(filepath.Join(dir, "etc/resolv.conf")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/etc/resolv.conf: missing, present"}, seen(observe(t, dir, recorded, resolverRule))); diff != "" {
		t.Error(diff)
	}
}

// What cannot be looked at is a gap, and what was recorded of it stays.
func TestGapKeepsWhatWasRecorded(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 10.0.0.2\n"})
	recorded := record(t, dir, resolverRule)
	name := filepath.Join(dir, "etc/resolv.conf")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(name, 0o644); err != nil {
		t.Fatal(err)
	}
	o := observe(t, dir, recorded, resolverRule)
	gaps := []drift.Gap{{Operation: op, Subject: "/etc/resolv.conf", Reason: "/etc/resolv.conf: not a regular file", Hint: "put the file back"}}
	if diff := cmp.Diff(gaps, o.Gaps); diff != "" || len(o.Findings) > 0 {
		t.Errorf("%v\n%s", o.Findings, diff)
	}
	var kept []string
	for subject := range o.Facts {
		kept = append(kept, subject)
	}
	if diff := cmp.Diff([]string{"/etc/resolv.conf (all)", "/etc/resolv.conf nameserver"}, kept, cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Error(diff)
	}
}

// A link to another file with the same nameservers is the same resolver.
func TestResolverBehindALink(t *testing.T) {
	dir := tree(t, map[string]string{"run/systemd/resolve/stub-resolv.conf": "nameserver 127.0.0.53\n", "run/systemd/resolve/resolv.conf": "nameserver 10.0.0.2\n", "etc/.keep": ""})
	name := filepath.Join(dir, "etc/resolv.conf")
	if err := os.Symlink("../run/systemd/resolve/stub-resolv.conf", name); err != nil {
		t.Fatal(err)
	}
	recorded := record(t, dir, resolverRule)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/run/systemd/resolve/resolv.conf", name); err != nil {
		t.Fatal(err)
	}
	if o := observe(t, dir, recorded, resolverRule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("%+v", o)
	}
	hosttest.Write(t, dir, "run/systemd/resolve/resolv.conf", "nameserver 10.0.0.3\n")
	if o := observe(t, dir, recorded, resolverRule); len(o.Findings) != 1 {
		t.Errorf("%+v", o)
	}
}

// What is installed later is added to the baseline where only its going counts.
func TestInstalledLaterIsAddedToTheBaseline(t *testing.T) {
	rule := Rule{Look: "programs", In: []string{"rbd"}, Compare: toBaseline, Changes: []string{removed}}
	dir := tree(t, map[string]string{"usr/bin/apt-get": ""})
	recorded := record(t, dir, rule)
	hosttest.Write(t, dir, "usr/bin/rbd", "")
	o := observe(t, dir, recorded, rule)
	if len(o.Findings) > 0 || recorded.AddFresh(o.Facts) != 1 {
		t.Fatalf("%+v", o)
	}
	if err := os.Remove(filepath.Join(dir, "usr/bin/rbd")); err != nil {
		t.Fatal(err)
	}
	o = observe(t, dir, recorded, rule)
	want := []drift.Finding{{
		Operation: op, Subject: "program rbd", Observed: missing, Supported: present, State: drift.Active, Baseline: true,
		Args: map[string]string{"installer": "apt-get", "package": "rbd"},
	}}
	if diff := cmp.Diff(want, o.Findings); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadAtTheTimeIsNoDrift(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 10.0.0.2\n"})
	recorded := baseline.Scope{"/etc/resolv.conf": baseline.Unread}
	if o := observe(t, dir, recorded, resolverRule); len(o.Findings) > 0 || recorded.AddFresh(o.Facts) != 2 {
		t.Errorf("%+v", o)
	}
}

func TestOtherPackagesOfRPMAreAGap(t *testing.T) {
	rule := Rule{Look: "packages", Compare: toBaseline, Changes: []string{added}}
	if o := observe(t, tree(t, map[string]string{"etc/.keep": ""}), nil, rule); len(o.Gaps)+len(o.Findings) > 0 {
		t.Errorf("a host without packages: %+v", o)
	}
	o := observe(t, tree(t, map[string]string{"var/lib/rpm/Packages": "x"}), nil, rule)
	if len(o.Gaps) != 1 || !strings.Contains(o.Gaps[0].Reason, "/var/lib/rpm/Packages: ") {
		t.Errorf("%+v", o.Gaps)
	}
}

// A big file that did not change is not read again, unless nothing is trusted.
func TestUnchangedFilesAreRemembered(t *testing.T) {
	rule := Rule{Look: "packages", Compare: toBaseline}
	dir := tree(t, map[string]string{"var/lib/dpkg/status": "Package: a\nStatus: install ok installed\n"})
	c := New(open(t, dir), bound(t, rule), nil)
	c.Observe(t.Context(), nil)
	for name, p := range c.memory.parsed {
		p.value = map[string]bool{"remembered": true}
		c.memory.parsed[name] = p
	}
	if o := c.Observe(t.Context(), []string{}); o.Facts["package remembered"].Value == "" {
		t.Errorf("it was read again: %v", o.Facts)
	}
	if o := c.Observe(t.Context(), nil); o.Facts["package a"].Value == "" {
		t.Errorf("it was trusted: %v", o.Facts)
	}
	hosttest.Write(t, dir, "var/lib/dpkg/status", "Package: abc\nStatus: install ok installed\n")
	if o := c.Observe(t.Context(), []string{}); o.Facts["package abc"].Value == "" {
		t.Errorf("a change was not seen: %v", o.Facts)
	}
}

// Drop-ins are read by name, a name in /etc goes before one in /usr/lib, and a
// link to /dev/null takes it away.
func TestSettingsInLayers(t *testing.T) {
	rule := Rule{Look: "settings", In: []string{"/etc/systemd/journald.conf"}, Keys: []string{"Journal.*"}, Refused: []string{"volatile"}}
	dir := tree(t, map[string]string{
		"usr/lib/systemd/journald.conf":              "[Journal]\nStorage=persistent\n",
		"usr/lib/systemd/journald.conf.d/10-a.conf":  "[Journal]\nStorage=volatile\n",
		"etc/systemd/journald.conf.d/20-b.conf":      "[Journal]\nStorage=none\n",
		"etc/systemd/journald.conf.d/30-c.conf.save": "[Journal]\nStorage=volatile\n",
	})
	if o := observe(t, dir, nil, rule); len(o.Findings) > 0 {
		t.Errorf("%v", seen(o))
	}
	if err := os.Remove(filepath.Join(dir, "etc/systemd/journald.conf.d/20-b.conf")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/etc/systemd/journald.conf Journal.Storage: volatile, not volatile"}, seen(observe(t, dir, nil, rule))); diff != "" {
		t.Error(diff)
	}
	if err := os.Symlink("/dev/null", filepath.Join(dir, "etc/systemd/journald.conf.d/10-a.conf")); err != nil {
		t.Fatal(err)
	}
	if o := observe(t, dir, nil, rule); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("a masked drop-in counts: %v, %v", seen(o), o.Gaps)
	}
}

func TestWatchedDirectories(t *testing.T) {
	dir := tree(t, map[string]string{"etc/resolv.conf": "nameserver 127.0.0.53\n", "proc/swaps": "x\n", "etc/cron.d/x": ""})
	c := New(open(t, dir), bound(t, resolverRule,
		Rule{Look: "swap", Refused: []string{"*"}},
		Rule{Look: "directory", In: []string{"/tmp/collector/pos"}, Compare: toBaseline},
		Rule{Look: "versioned", In: []string{"/var/lib/waagent/*-*"}, Compare: toBaseline},
		Rule{Look: "pods", In: []string{"privileged"}, Refused: []string{"*"}},
		Rule{Look: "schedule", In: []string{"/etc/cron.*/*"}, Words: []string{"x"}, Compare: toBaseline},
		Rule{Look: "settings", In: []string{"/etc/systemd/journald.conf"}, Refused: []string{"x"}}), nil)
	got := c.WatchedDirectories()
	for _, want := range []string{"/etc", "/run/systemd/resolve", "/tmp/collector", "/etc/cron.d", "/etc/systemd/journald.conf.d", "/usr/lib/systemd"} {
		if !contains(got, want) {
			t.Errorf("%s is not watched: %v", want, got)
		}
	}
	for _, dir := range got {
		if dir == "/" || dir == "/tmp" || strings.HasPrefix(dir, "/proc") || strings.HasPrefix(dir, "/var/lib/waagent") || strings.HasPrefix(dir, "/run/containerd") {
			t.Errorf("%s is watched", dir)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
