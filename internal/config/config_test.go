package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/drift"
)

func TestParse(t *testing.T) {
	c, err := config.Parse("c.yaml", []byte(`
profile: ack
language: zh
nodePortRange: 30000-31000
disabled: [ack.path.etc-kubeadm]
severities: {ack.net.tcp-tw-reuse: info}
checks: {firewall: {enabled: false}, paths: {}}
mode: observe
waivers:
  - {operation: ack.net.firewall, subject: ufw, reason: CHG-1, owner: sre, expires: 2027-01-31}
  - {operation: "ack.path.*", reason: rebuild, expires: 2027-01-31T12:00:00Z}
  - {operation: ack.net.rp-filter, reason: for ever}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Profile: "ack", Language: drift.Chinese, NodePortRange: "30000-31000",
		Disabled: []string{"ack.path.etc-kubeadm"}, Severities: map[string]drift.Severity{"ack.net.tcp-tw-reuse": drift.Info},
		Checks: map[string]config.Check{"firewall": {Enabled: false}, "paths": {Enabled: true}}, Observe: true,
		Waivers: []drift.Waiver{
			{Operation: "ack.net.firewall", Subject: "ufw", Reason: "CHG-1", Owner: "sre", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
			{Operation: "ack.path.*", Reason: "rebuild", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
			{Operation: "ack.net.rp-filter", Reason: "for ever"},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"profil: ack":                 `c.yaml:1:1: unknown field "profil"`,
		"profile: ack\nprofile: ack":  "c.yaml:2:1: mapping key \"profile\" already defined",
		"mode: dry":                   `mode "dry" is none of`,
		"language: de":                `language "de" is none of`,
		"nodePortRange: 1":            `nodePortRange: port range "1"`,
		"severities: {a.b: bad}":      `severities: a.b: "bad" is none of`,
		"waivers: [{reason: x}]":      "waivers[0]: operation is missing",
		"waivers: [{operation: a.b}]": "waivers[0]: reason is missing",
		"waivers: [{operation: a.b, reason: x, expires: soon}]": `expires "soon" is neither a date`,
		"disabled: {a: b}":                 "c.yaml:1:",
		"checks: {paths: {enable: false}}": `c.yaml:1:18: unknown field "enable"`,
	} {
		_, err := config.Parse("c.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if c, err := config.Parse("c.yaml", nil); err != nil || c.Profile != "" {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, dir, huge, filepath.Join(dir, "missing")} {
		if _, err := config.Read(name); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("profile: ack\nwaivers: [{operation: a, reason: b, expires: 2027-01-31}]\n"))
	f.Add([]byte("operations: [&a {id: a.b, rules: {x: [*a]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := config.Parse("c.yaml", data); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %v", err)
		}
	})
}
