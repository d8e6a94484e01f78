package components

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"
)

const (
	// maxYAML is far above any kubelet configuration; the parser's time grows with
	// the square of what it is given.
	maxYAML = 64 << 10
	maxFile = 4 << 20
)

var utf8Mark = []byte("\ufeff")

// syntaxError says where a file is malformed, and nothing of what is there.
type syntaxError struct {
	format       string
	line, column int
}

func (e *syntaxError) Error() string {
	if e.line == 0 {
		return "not valid " + e.format
	}
	return fmt.Sprintf("not valid %s at line %d, column %d", e.format, e.line, e.column)
}

// parseKubelet reads a kubelet configuration: YAML, or JSON, which it also is.
func parseKubelet(data []byte) (map[string]any, error) {
	data = bytes.TrimPrefix(data, utf8Mark)
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
		if tree, err := parseJSON(data); err == nil {
			return tree, nil
		}
	}
	return parseYAML(data)
}

// parseYAML takes the last of two equal keys, as the kubelet does.
func parseYAML(data []byte) (map[string]any, error) {
	if flowDepth(data) > maxDepth {
		return nil, errTooDeep
	}
	var tree map[string]any
	err := yaml.NewDecoder(bytes.NewReader(data), yaml.AllowDuplicateMapKey()).Decode(&tree)
	if err == nil || errors.Is(err, io.EOF) {
		return tree, nil
	}
	failed := &syntaxError{format: "YAML"}
	if at, ok := errors.AsType[yaml.Error](err); ok && at.GetToken() != nil && at.GetToken().Position != nil {
		failed.line, failed.column = at.GetToken().Position.Line, at.GetToken().Position.Column
	}
	return nil, failed
}

// flowDepth is how deeply brackets are nested at most, those in strings included.
func flowDepth(data []byte) int {
	depth, deepest := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		deepest = max(deepest, depth)
	}
	return deepest
}

func parseTOML(data []byte) (map[string]any, error) {
	var tree map[string]any
	err := toml.Unmarshal(bytes.TrimPrefix(data, utf8Mark), &tree)
	if err == nil {
		return tree, nil
	}
	failed := &syntaxError{format: "TOML"}
	if at, ok := errors.AsType[*toml.DecodeError](err); ok {
		failed.line, failed.column = at.Position()
	}
	return nil, failed
}

func parseJSON(data []byte) (map[string]any, error) {
	data = bytes.TrimPrefix(data, utf8Mark)
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var tree map[string]any
	err := decoder.Decode(&tree)
	if err == nil {
		if _, more := decoder.Token(); errors.Is(more, io.EOF) {
			return tree, nil
		}
	}
	return nil, jsonError(data, decoder, err)
}

func jsonError(data []byte, decoder *json.Decoder, err error) error {
	offset := decoder.InputOffset()
	if at, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = at.Offset
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	return &syntaxError{
		format: "JSON", line: 1 + bytes.Count(before, []byte("\n")), column: len(before) - bytes.LastIndexByte(before, '\n'),
	}
}
