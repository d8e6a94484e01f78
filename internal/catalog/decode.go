package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// File is a YAML file of operations. Its decoder is kept: parts of the file are
// decoded later, and may refer to anchors of earlier ones.
type File struct {
	name    string
	decoder *yaml.Decoder
}

// DecodeFile decodes a YAML file strictly; errors begin with FILE:LINE:COLUMN.
func DecodeFile(name string, data []byte, into any) (*File, error) {
	f := &File{name: name, decoder: yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())}
	err := safely(func() error { return f.decoder.Decode(into) })
	if errors.Is(err, io.EOF) {
		return f, nil // an empty file says nothing
	}
	if err != nil {
		return nil, positioned(name, err)
	}
	return f, f.end()
}

// end makes sure that nothing follows which would be ignored without a word.
func (f *File) end() error {
	var more any
	if err := safely(func() error { return f.decoder.Decode(&more) }); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: a second YAML document: put all of it into one", f.name)
	}
	return nil
}

// part decodes a part of the file.
func (f *File) part(node ast.Node, into any) error {
	if node == nil {
		return fmt.Errorf("%s: an entry of a list is empty", f.name)
	}
	return positioned(f.name, safely(func() error { return f.decoder.DecodeFromNode(node, into) }))
}

// safely turns a panic of the decoder, which is not ours, into an error.
func safely(decode func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("it cannot be decoded as YAML")
		}
	}()
	return decode()
}

// positioned turns an error of the decoder into one line with its place.
func positioned(file string, err error) error {
	if err == nil {
		return nil
	}
	var located yaml.Error
	if errors.As(err, &located) && located.GetToken() != nil && located.GetToken().Position != nil {
		at := located.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", file, at.Line, at.Column, located.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%s: %s", file, first)
}

// at places an error of our own at a part of the file.
func (f *File) at(node ast.Node, err error) error {
	if node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	p := node.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %w", f.name, p.Line, p.Column, err)
}

// Operations decodes and validates operations. Two of one id are an error.
func (f *File) Operations(nodes []ast.Node) ([]Operation, error) {
	var out []Operation
	seen := map[string]bool{}
	for _, node := range nodes {
		o, err := f.operation(node)
		if err != nil {
			return nil, err
		}
		if seen[o.ID] {
			return nil, f.at(node, fmt.Errorf("operation %s is there twice", o.ID))
		}
		seen[o.ID] = true
		out = append(out, o)
	}
	return out, nil
}

func (f *File) operation(node ast.Node) (Operation, error) {
	var o Operation
	if err := f.part(node, &o); err != nil {
		return o, err
	}
	o.file, o.node, o.ruled = f, node, f
	if err := o.validate(); err != nil {
		return o, f.at(node, fmt.Errorf("operation %s: %w", o.ID, err))
	}
	return o, nil
}
