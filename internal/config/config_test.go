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

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	c, err := config.Parse("c.yaml", []byte(`
profile: ack
language: zh
nodePortRange: 30000-31000
disabled: [ack.path.etc-kubeadm]
severities: {ack.net.tcp-tw-reuse: info}
checks: {firewall: {enabled: false}, paths: {}}
mode: observe
intervals: {resync: 90s, baselineSettle: 1h}
journal: {maxAge: 30d, maxSize: 32Mi}
accept:
  - {scope: paths, digest: "`+someDigest+`", reason: CHG-2, expires: 2027-01-31}
waivers:
  - {operation: ack.net.firewall, subject: ufw, reason: CHG-1, owner: sre, expires: 2027-01-31}
  - {operation: "ack.path.*", reason: rebuild, expires: 2027-01-31T12:00:00Z}
  - {operation: ack.net.rp-filter, reason: for ever}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{Language: drift.Chinese, NodePortRange: "30000-31000", Settings: config.Settings{
		Profile: "ack", Mode: "observe", Observe: true,
		Intervals: config.Intervals{Resync: 90 * time.Second, BaselineSettle: time.Hour},
		Journal:   config.Journal{MaxAge: 30 * 24 * time.Hour, MaxSize: 32 << 20},
		Accept:    []config.Acceptance{{Scope: "paths", Digest: someDigest, Reason: "CHG-2", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)}},
		Disabled:  []string{"ack.path.etc-kubeadm"}, Severities: map[string]drift.Severity{"ack.net.tcp-tw-reuse": drift.Info},
		Checks: map[string]config.Check{"firewall": {Enabled: false}, "paths": {Enabled: true}},
		Waivers: []drift.Waiver{
			{Operation: "ack.net.firewall", Subject: "ufw", Reason: "CHG-1", Owner: "sre", Expires: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
			{Operation: "ack.path.*", Reason: "rebuild", Expires: time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
			{Operation: "ack.net.rp-filter", Reason: "for ever"},
		},
	}}
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
		"waivers: [{operation: a.b, reason: x, expires: soon}]":  `expires "soon" is neither a date`,
		"intervals: {resync: soon}":                              `intervals: resync: "soon" is no duration: write it like 90s or 10m`,
		"intervals: {resync: 5}":                                 `intervals: resync: "5" is no duration`,
		"intervals: {resync: 9s}":                                "intervals: resync: 9s is out of bounds: choose between 10s and 10m0s",
		"intervals: {resync: 1h}":                                "intervals: resync: 1h is out of bounds",
		"intervals: {resync: -1m}":                               "intervals: resync: -1m is out of bounds",
		"intervals: {baselineSettle: 0s}":                        "intervals: baselineSettle: 0s is out of bounds: choose between 1s and 24h0m0s",
		"intervals: {heartbeat: 1m}":                             `c.yaml:1:13: unknown field "heartbeat"`,
		"journal: {maxAge: 2160h}":                               `journal: maxAge: "2160h" is no number of days: write it like 90d`,
		"journal: {maxAge: 6d}":                                  "journal: maxAge: 6d is out of bounds: choose between 7d and 3650d",
		"journal: {maxAge: 3651d}":                               "journal: maxAge: 3651d is out of bounds",
		"journal: {maxAge: -7d}":                                 `journal: maxAge: "-7d" is no number of days`,
		"journal: {maxSize: big}":                                `journal: maxSize: "big" is no size: write it like 16Mi`,
		"journal: {maxSize: 1M}":                                 "journal: maxSize: 1M is out of bounds: choose between 1Mi and 256Mi",
		"journal: {maxSize: 1Gi}":                                "journal: maxSize: 1Gi is out of bounds",
		"journal: {maxFiles: 2}":                                 `c.yaml:1:11: unknown field "maxFiles"`,
		"accept: [{digest: x, reason: y}]":                       "accept[0]: scope is missing",
		"accept: [{scope: paths, digest: abc, reason: y}]":       `accept[0]: digest "abc" is not sha256:`,
		"accept: [{scope: paths, digest: '" + someDigest + "'}]": "accept[0]: reason is missing",
		"accept: [{scope: paths, digest: '" + someDigest + "', reason: x, expires: soon}]": `accept[0]: expires "soon" is neither a date`,
		"overrides: [{mode: observe}]":                                          "c.yaml: overrides[0]: nodeSelector: is missing: what is meant for every node",
		"overrides: [null]":                                                     "c.yaml: overrides[0]: nodeSelector: is missing",
		"overrides: [{nodeSelector: {}}]":                                       "c.yaml: overrides[0]: nodeSelector: is missing",
		"overrides: [{nodeSelector: 'a in (b'}]":                                "c.yaml: overrides[0]: nodeSelector: unable to parse",
		"overrides: [{nodeSelector: {a: '!'}}]":                                 "c.yaml: overrides[0]: nodeSelector: values[0][a]: Invalid value",
		"overrides: [{nodeSelector: [a]}]":                                      "c.yaml:1:28: sequence was used where mapping is expected",
		"overrides: [{nodeSelector: a, mode: dry}]":                             `c.yaml: overrides[0]: mode "dry" is none of`,
		"overrides: [{nodeSelector: a, waivers: [{reason: x}]}]":                "c.yaml: overrides[0]: waivers[0]: operation is missing",
		"overrides: [{nodeSelector: a, language: en}]":                          `c.yaml:1:31: unknown field "language"`,
		"overrides: [{nodeSelector: a}, {nodeSelector: a, nodePortRange: 1-2}]": `c.yaml:1:50: unknown field "nodePortRange"`,
		"overrides: [{nodeSelector: a, overrides: []}]":                         `c.yaml:1:31: unknown field "overrides"`,
		"overrides: [{nodeSelector: a, operations: [{id: a.b}]}]":               "c.yaml:1:",
		"disabled: {a: b}":                                                      "c.yaml:1:",
		"checks: {paths: {enable: false}}":                                      `c.yaml:1:18: unknown field "enable"`,
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
	f.Add([]byte("overrides: [{nodeSelector: 'a in (b),!c', mode: observe}, {nodeSelector: {a: b}, intervals: {resync: 1m}}]\naccept: [{scope: a}]"))
	f.Add([]byte("operations: [&a {id: a.b, rules: {x: [*a]}}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := config.Parse("c.yaml", data); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %v", err)
		}
	})
}
