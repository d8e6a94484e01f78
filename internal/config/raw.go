package config

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// raw is the file as it stands.
type raw struct {
	RawSettings   `yaml:",inline"`
	Language      drift.Language `yaml:"language"`
	NodePortRange string         `yaml:"nodePortRange"`
	Overrides     []rawOverride  `yaml:"overrides"`
}

// RawSettings are Settings as the file has them; exported for the decoder alone.
type RawSettings struct {
	Profile    string                    `yaml:"profile"`
	Mode       string                    `yaml:"mode"`
	Operations []ast.Node                `yaml:"operations"`
	Disabled   []string                  `yaml:"disabled"`
	Severities map[string]drift.Severity `yaml:"severities"`
	Waivers    []rawWaiver               `yaml:"waivers"`
	Checks     map[string]rawCheck       `yaml:"checks"`
	Intervals  rawIntervals              `yaml:"intervals"`
	Accept     []rawAcceptance           `yaml:"accept"`
	Journal    rawJournal                `yaml:"journal"`
}

type rawOverride struct {
	NodeSelector rawSelector `yaml:"nodeSelector"`
	RawSettings  `yaml:",inline"`
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

type rawIntervals struct {
	Resync         string `yaml:"resync"`
	BaselineSettle string `yaml:"baselineSettle"`
}

type rawJournal struct {
	MaxAge  string `yaml:"maxAge"`
	MaxSize string `yaml:"maxSize"`
}

type rawAcceptance struct {
	Scope   string `yaml:"scope"`
	Digest  string `yaml:"digest"`
	Reason  string `yaml:"reason"`
	Expires string `yaml:"expires"`
}
