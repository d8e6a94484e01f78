// Package config is the user's file: decoded strictly into the raw form, then
// turned into values that nobody has to check again.
package config

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/sysctl"
)

// Config is what the user's file says; the zero value is a file that says nothing.
type Config struct {
	Profile       string         // "" or "auto": detected
	Language      drift.Language // "" where the file does not say
	NodePortRange string         // "" where it is to be found out
	Operations    []catalog.Operation
	Disabled      []string // operation ids
	Severities    map[string]drift.Severity
	Waivers       []drift.Waiver
	Checks        map[string]Check
	Observe       bool // metrics, report and journal only: no condition and no event
}

// Check is what the file says of one check.
type Check struct{ Enabled bool }

// raw is the file as it stands.
type raw struct {
	Profile       string                    `yaml:"profile"`
	Language      drift.Language            `yaml:"language"`
	NodePortRange string                    `yaml:"nodePortRange"`
	Operations    []ast.Node                `yaml:"operations"`
	Disabled      []string                  `yaml:"disabled"`
	Severities    map[string]drift.Severity `yaml:"severities"`
	Waivers       []rawWaiver               `yaml:"waivers"`
	Checks        map[string]rawCheck       `yaml:"checks"`
	Mode          string                    `yaml:"mode"`
}

type rawWaiver struct {
	Operation string `yaml:"operation"`
	Subject   string `yaml:"subject"`
	Reason    string `yaml:"reason"`
	Owner     string `yaml:"owner"`
	Expires   string `yaml:"expires"`
}

type rawCheck struct {
	Enabled *bool `yaml:"enabled"`
}

// maxSize is far more than any configuration.
const maxSize = 8 << 20

// Read reads and validates the file. Errors name file, line and column.
func Read(name string) (Config, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return Config{}, fmt.Errorf("read the configuration: %s is not a file of at most %d MiB", name, maxSize>>20)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(name, data)
}

// Parse decodes and validates a configuration.
func Parse(name string, data []byte) (Config, error) {
	var r raw
	file, err := catalog.DecodeFile(name, data, &r)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Profile: r.Profile, Language: r.Language, NodePortRange: r.NodePortRange,
		Disabled: r.Disabled, Severities: r.Severities, Checks: map[string]Check{}, Observe: r.Mode == "observe",
	}
	if c.Operations, err = file.Operations(r.Operations); err != nil {
		return Config{}, err
	}
	for check, v := range r.Checks {
		c.Checks[check] = Check{Enabled: v.Enabled == nil || *v.Enabled}
	}
	if err := c.validate(r); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *Config) validate(r raw) error {
	if c.Language != "" && !slices.Contains(drift.Languages[:], c.Language) {
		return fmt.Errorf("language %q is none of %v", c.Language, drift.Languages)
	}
	if r.Mode != "" && r.Mode != "observe" && r.Mode != "enforce" {
		return fmt.Errorf("mode %q is none of [enforce observe]", r.Mode)
	}
	if c.NodePortRange != "" {
		if _, _, err := sysctl.ParseNodePorts(c.NodePortRange); err != nil {
			return fmt.Errorf("nodePortRange: %w", err)
		}
	}
	for id, s := range c.Severities {
		if s != drift.Critical && s != drift.Warning && s != drift.Info {
			return fmt.Errorf("severities: %s: %q is none of [critical warning info]", id, s)
		}
	}
	for i, w := range r.Waivers {
		waiver, err := w.value()
		if err != nil {
			return fmt.Errorf("waivers[%d]: %w", i, err)
		}
		c.Waivers = append(c.Waivers, waiver)
	}
	return nil
}

func (w rawWaiver) value() (drift.Waiver, error) {
	if w.Operation == "" {
		return drift.Waiver{}, fmt.Errorf("operation is missing")
	}
	if w.Reason == "" {
		return drift.Waiver{}, fmt.Errorf("reason is missing: say why %s is allowed", w.Operation)
	}
	out := drift.Waiver{Operation: w.Operation, Subject: w.Subject, Reason: w.Reason, Owner: w.Owner}
	if w.Expires == "" {
		return out, nil
	}
	if day, err := time.Parse(time.DateOnly, w.Expires); err == nil {
		out.Expires = day.AddDate(0, 0, 1) // through the end of that day
		return out, nil
	}
	var err error
	if out.Expires, err = time.Parse(time.RFC3339, w.Expires); err != nil {
		return drift.Waiver{}, fmt.Errorf("expires %q is neither a date like 2027-01-31 nor RFC 3339", w.Expires)
	}
	return out, nil
}
