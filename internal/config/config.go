// Package config is the user's file: decoded strictly into the raw form, then
// turned into values that nobody has to check again.
package config

import (
	"fmt"
	"os"
	"slices"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/sysctl"
)

// Config is what the user's file says; the zero value is a file that says nothing.
type Config struct {
	Settings                     // of every node
	Language      drift.Language // "" where the file does not say
	NodePortRange string         // "" where it is to be found out
	Overrides     []Override     // in the order in which they apply
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
	c := Config{Language: r.Language, NodePortRange: r.NodePortRange}
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	if c.Settings, err = r.settings(file, name); err != nil {
		return Config{}, err
	}
	for i, o := range r.Overrides {
		override, err := o.value(file, fmt.Sprintf("%s: overrides[%d]", name, i))
		if err != nil {
			return Config{}, err
		}
		c.Overrides = append(c.Overrides, override)
	}
	return c, nil
}

func (c Config) validate() error {
	if c.Language != "" && !slices.Contains(drift.Languages[:], c.Language) {
		return fmt.Errorf("language %q is none of %v", c.Language, drift.Languages)
	}
	if c.NodePortRange != "" {
		if _, _, err := sysctl.ParseNodePorts(c.NodePortRange); err != nil {
			return fmt.Errorf("nodePortRange: %w", err)
		}
	}
	return nil
}
