package catalog

import "github.com/goccy/go-yaml/ast"

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
