package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/components"
	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/firewall"
	"github.com/nodeguard/nodeguard/internal/hostconfig"
	"github.com/nodeguard/nodeguard/internal/identity"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/sysctl"
	"github.com/nodeguard/nodeguard/internal/volumes"
)

const reference = "../../docs/reference.yaml"

// TestReferenceIsValid decodes the reference as a user's file, and lets a check use
// it: rules are decoded there.
func TestReferenceIsValid(t *testing.T) {
	if _, err := config.Read(reference); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"check", "--root", t.TempDir(), "--config", reference}, &stdout, &stderr); code != exitInSupport {
		t.Errorf("a check with the reference exits %d: %s%s", code, &stdout, &stderr)
	}
}

// TestReferenceNamesEveryKey compares the reference with the types that decode a
// user's file.
func TestReferenceNamesEveryKey(t *testing.T) {
	wanted := rawKeys(t, "../../internal/config/raw.go")
	for _, name := range checkNames() {
		wanted = append(wanted, "checks/"+name)
	}
	wanted = append(wanted, keys("operations", reflect.TypeFor[catalog.Operation]())...)
	wanted = slices.DeleteFunc(wanted, func(key string) bool {
		within, of, _ := strings.Cut(key, "/") // an override's are those of the file
		return within == "overrides" && strings.Contains(of, "/")
	})
	for name, rule := range map[string]reflect.Type{
		sysctl.Name: reflect.TypeFor[sysctl.Rule](), paths.Name: reflect.TypeFor[paths.Rule](),
		"firewall": reflect.TypeFor[firewall.Rule](), "components": reflect.TypeFor[components.Rule](),
		identity.Name: reflect.TypeFor[identity.Rule](), hostconfig.Name: reflect.TypeFor[hostconfig.Rule](), volumes.Name: reflect.TypeFor[volumes.Rule](),
	} {
		wanted = append(wanted, keys("operations/rules/"+name, rule)...)
	}
	documented := documentedKeys(t)
	for _, key := range wanted {
		if !slices.ContainsFunc(documented, func(d string) bool { ok, _ := path.Match(key, d); return ok }) {
			t.Errorf("%s does not name %s", reference, key)
		}
	}
}

func documentedKeys(t *testing.T) []string {
	data, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return treeKeys("", tree)
}

// treeKeys are the paths of a document's keys; lists have none of their own.
func treeKeys(at string, tree any) []string {
	var out []string
	switch tree := tree.(type) {
	case []any:
		for _, element := range tree {
			out = append(out, treeKeys(at, element)...)
		}
	case map[string]any:
		for name, value := range tree {
			out = append(append(out, path.Join(at, name)), treeKeys(path.Join(at, name), value)...)
		}
	}
	return out
}

// keys are the paths of the keys that a type decodes, * standing for a user's own.
func keys(at string, of reflect.Type) []string {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keys(at, of.Elem())
	case reflect.Map:
		return keys(at+"/*", of.Elem())
	case reflect.Struct:
	default:
		return nil
	}
	var out []string
	for field := range of.Fields() {
		if name, ok := field.Tag.Lookup("yaml"); ok {
			out = append(append(out, at+"/"+name), keys(at+"/"+name, field.Type)...)
		}
	}
	return out
}

// rawKeys are the same for the configuration's own types, which nobody else sees:
// their source tells.
func rawKeys(t *testing.T, source string) []string {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]*ast.StructType{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			if s, ok := spec.Type.(*ast.StructType); ok {
				structs[spec.Name.Name] = s
			}
		}
		return true
	})
	if structs["raw"] == nil {
		t.Fatalf("%s has no struct raw", source)
	}
	return sourceKeys("", structs["raw"], structs)
}

func sourceKeys(at string, of ast.Expr, structs map[string]*ast.StructType) []string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return sourceKeys(at, of.X, structs)
	case *ast.ArrayType:
		return sourceKeys(at, of.Elt, structs)
	case *ast.MapType:
		return sourceKeys(at+"/*", of.Value, structs)
	case *ast.Ident:
		if s := structs[of.Name]; s != nil {
			return sourceKeys(at, s, structs)
		}
	case *ast.StructType:
		var out []string
		for _, field := range of.Fields.List {
			if field.Tag == nil {
				continue
			}
			name, ok := reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Lookup("yaml")
			if name == ",inline" {
				out = append(out, sourceKeys(at, field.Type, structs)...)
			} else if ok {
				out = append(append(out, path.Join(at, name)), sourceKeys(path.Join(at, name), field.Type, structs)...)
			}
		}
		return out
	}
	return nil
}
