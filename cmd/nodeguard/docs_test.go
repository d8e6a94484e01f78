package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

var updateDocs = flag.Bool("update-docs", false, "write the generated parts of docs/")

const (
	operationsBegin = "<!-- operations -->\n"
	operationsEnd   = "<!-- /operations -->\n"
)

// Every condition has its page, and the page lists its operations as the
// catalogue has them.
func TestConditionPages(t *testing.T) {
	for _, a := range areas() {
		name := filepath.Join("..", "..", "docs", "conditions", a.condition+".md")
		data, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%s has no page: %v", a.condition, err)
			continue
		}
		before, rest, begun := strings.Cut(string(data), operationsBegin)
		_, after, ended := strings.Cut(rest, operationsEnd)
		if !begun || !ended || len(before) < 500 {
			t.Errorf("%s: the page is empty or has no place for the operations", name)
			continue
		}
		want := before + operationsBegin + operationsTable(t, a) + operationsEnd + after
		if *updateDocs {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if want != string(data) {
			t.Errorf("%s is not what the catalogue says: go test ./cmd/nodeguard -run TestConditionPages -update-docs", name)
		}
	}
}

func operationsTable(t *testing.T, a area) string {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| operation | severity | what was done | what it breaks | recovery |\n|---|---|---|---|---|\n")
	for _, name := range c.Names() {
		own, err := c.Own(name)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := c.Profile(name) // with the rules that it takes over
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range own.Operations {
			if o, _ := whole.Operation(o.ID); len(o.Rules[a.name]) > 0 {
				said := o.In(drift.English)
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s (%s) |\n", o.ID, said.Severity, said.Title, said.Impact, said.Recovery.Text, said.Recovery.Class)
			}
		}
	}
	return b.String()
}
