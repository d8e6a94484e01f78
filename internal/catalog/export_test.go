package catalog

import (
	"maps"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// DecodeOperationsForTest reads a file that has operations and nothing else.
func DecodeOperationsForTest(name string, data []byte) ([]Operation, error) {
	var raw struct {
		Operations []ast.Node `yaml:"operations"`
	}
	f, err := DecodeFile(name, data, &raw)
	if err != nil {
		return nil, err
	}
	return f.Operations(raw.Operations)
}

// MarkedForTest are the profiles that have marks.
func MarkedForTest(t interface{ Fatal(...any) }) []string {
	all := map[string]marks{}
	if _, err := decodeEmbedded("detect.yaml", &all); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(all))
}
