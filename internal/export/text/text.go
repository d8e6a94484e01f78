// Package text prints a report for people at a terminal and for their scripts.
package text

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Options of printing.
type Options struct {
	Language drift.Language
	Color    bool
	Checks   []drift.CheckPolicy // what was looked at, for formats that also list what is in support
}

// Formats are the names that Print takes.
var Formats = [...]string{"table", "wide", "json", "yaml", "junit"}

// Print writes the report in a format.
func Print(w io.Writer, format string, r drift.Report, o Options) error {
	switch format {
	case "table", "wide":
		return table(w, r, o, format == "wide")
	case "json":
		return JSON(w, r)
	case "yaml":
		return YAML(w, r)
	case "junit":
		return junit(w, r, o)
	default:
		return fmt.Errorf("there is no output format %q", format)
	}
}

// JSON writes any value as indented JSON.
func JSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// YAML writes any value as YAML with its JSON keys.
func YAML(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	out, err := yaml.JSONToYAML(data)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}
