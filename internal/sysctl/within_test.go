package sysctl

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func TestWithinBounds(t *testing.T) {
	rules := []drift.Bound[Rule]{
		{Operation: "floor", Rule: Rule{Parameter: "vm.max_map_count", Within: []Bounds{{262144}}}},
		{Operation: "range", Rule: Rule{Parameter: "fs.nr_open", Within: []Bounds{{8192, 20000500}}, Supported: []int64{1073741816}}},
		{Operation: "pair", Rule: Rule{Parameter: "net.ipv4.ip_local_port_range", Within: []Bounds{{1024, 60999}, {32768, 65535}}}},
	}
	for _, c := range []struct {
		name, mapCount, open, ports string
		want                        []string
	}{
		{"at the bounds", "262144", "8192", "1024 65535", []string{}},
		{"beyond the floor, and the value outside that is supported", "1048576", "1073741816", "60999\t32768", []string{}},
		{"below", "65530", "8191", "1023 65535", []string{"floor vm.max_map_count is 65530", "pair net.ipv4.ip_local_port_range is 1023 65535", "range fs.nr_open is 8191"}},
		{"above", "262144", "20000501", "32768 65536", []string{"pair net.ipv4.ip_local_port_range is 32768 65536", "range fs.nr_open is 20000501"}},
		{"larger than any integer", "18446744073692774399", "8192", "1024 65535", []string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			hosttest.Write(t, dir, "proc/sys/vm/max_map_count", c.mapCount)
			hosttest.Write(t, dir, "proc/sys/fs/nr_open", c.open)
			hosttest.Write(t, dir, "proc/sys/net/ipv4/ip_local_port_range", c.ports)
			o := observe(t, dir, rules, nil)
			if diff := cmp.Diff(c.want, findings(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
		})
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "proc/sys/vm/max_map_count", "1")
	hosttest.Write(t, dir, "proc/sys/fs/nr_open", "1")
	hosttest.Write(t, dir, "proc/sys/net/ipv4/ip_local_port_range", "1 2")
	var said [][2]string
	for _, f := range observe(t, dir, rules, nil).Findings {
		said = append(said, [2]string{f.Supported, f.Args["value"]})
	}
	if diff := cmp.Diff([][2]string{{"at least 262144", "262144"}, {"1024 to 60999 and 32768 to 65535", ""}, {"1073741816 or 8192 to 20000500", "1073741816"}}, said); diff != "" {
		t.Error(diff)
	}
}

func TestBoundsAreValidated(t *testing.T) {
	for _, r := range []Rule{
		{Parameter: "a", Within: []Bounds{{}}}, {Parameter: "a", Within: []Bounds{{2, 1}}}, {Parameter: "a", Within: []Bounds{{1, 2, 3}}},
		{Parameter: "a", Within: []Bounds{{1}}, AvoidNodePorts: true}, {Settings: &Settings{Files: []string{"/a", "/b"}, Apart: true}},
	} {
		if r.Validate() == nil {
			t.Errorf("%+v passes", r)
		}
	}
}

// What one file sets is recorded apart from what the others set, the same parameter
// in both included, and parameters that are allowed do not count.
func TestSettingsApart(t *testing.T) {
	const pool = "/etc/sysctl.d/99-k8s.conf"
	rules := []drift.Bound[Rule]{
		{Operation: "all", Rule: Rule{Settings: &Settings{Files: []string{"/etc/sysctl.d/*"}, Except: []string{pool}, Allow: []string{"net.core.*"}}}},
		{Operation: "pool", Rule: Rule{Settings: &Settings{Files: []string{pool}, Apart: true}}},
		{Operation: "floor", Rule: Rule{Parameter: "vm.max_map_count", Within: []Bounds{{262144}}}},
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/sysctl.d/10-own.conf", "vm.swappiness=1\nnet.core.somaxconn=1\n")
	hosttest.Write(t, dir, "etc/sysctl.d/99-k8s.conf", "vm.swappiness=2\nvm.max_map_count=262144\nnet.ipv4.tcp_fastopen_key=secret\n")
	first := observe(t, dir, rules, nil)
	recorded := baseline.ScopeOf(first.Facts, first.Gaps)
	if got := findings(observe(t, dir, rules, recorded)); len(got) > 0 {
		t.Fatalf("nothing changed: %v", got)
	}
	for subject, value := range recorded {
		if value == "secret" {
			t.Errorf("%s keeps the secret", subject)
		}
	}
	hosttest.Write(t, dir, "etc/sysctl.d/10-own.conf", "net.core.somaxconn=2\n")
	hosttest.Write(t, dir, "etc/sysctl.d/99-k8s.conf", "vm.swappiness=3\nvm.max_map_count=300000\n")
	want := []string{
		"all vm.swappiness is unset, pending",
		"pool net.ipv4.tcp_fastopen_key in " + pool + " is unset, pending",
		"pool vm.max_map_count in " + pool + " is 300000 (" + pool + ":2), pending",
		"pool vm.swappiness in " + pool + " is 3 (" + pool + ":1), pending",
	}
	if diff := cmp.Diff(want, findings(observe(t, dir, rules, recorded))); diff != "" {
		t.Error(diff)
	}
	// An older baseline that knows only the common area gains the file's, without drift.
	older := baseline.Scope{}
	for subject, value := range recorded {
		if rules[0].Rule.Settings.owns(subject) {
			older[subject] = value
		}
	}
	o := observe(t, dir, rules, older)
	if diff := cmp.Diff([]string{"all vm.swappiness is unset, pending"}, findings(o)); diff != "" || !o.Facts[pool].Fresh {
		t.Errorf("%s %+v", diff, o.Facts)
	}
}
