package admin

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// schemas are made of the types of package api: the shape by reflection, the words from their comments.
type schemas struct {
	t     *testing.T
	named object
	words map[string]string // Type or Type.Field -> its comment
}

func newSchemas(t *testing.T) *schemas {
	s := &schemas{t: t, named: object{}, words: map[string]string{}}
	files, err := filepath.Glob("api/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no types", err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, s.read)
	}
	return s
}

// read takes the comments of a declaration.
func (s *schemas) read(n ast.Node) bool {
	d, ok := n.(*ast.GenDecl)
	if !ok {
		return true
	}
	for _, spec := range d.Specs {
		typ, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		name := typ.Name.Name
		s.words[name] = plain(d.Doc)
		if st, ok := typ.Type.(*ast.StructType); ok {
			for _, f := range st.Fields.List {
				for _, id := range f.Names {
					s.words[name+"."+id.Name] = plain(f.Comment)
				}
			}
		}
	}
	return true
}

// plain is a comment as one line.
func plain(c *ast.CommentGroup) string {
	return strings.Join(strings.Fields(c.Text()), " ")
}

// of gives the schema of a value's type: a reference for a struct.
func (s *schemas) of(v any) object { return s.schema(reflect.TypeOf(v)) }

func (s *schemas) schema(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return s.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.schema(t.Elem())}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64:
		return object{"type": "number", "format": "double"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer", "format": "int64"}
	case reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return object{"type": "string", "format": "date-time"}
		}
		s.define(t)
		return object{"$ref": "#/components/schemas/" + t.Name()}
	}
	s.t.Fatalf("%s has no schema", t)
	return nil
}

// define puts the schema of a struct under its name.
func (s *schemas) define(t reflect.Type) {
	if s.named[t.Name()] != nil {
		return
	}
	d := object{"type": "object", "additionalProperties": false}
	s.named[t.Name()] = d // before its fields: they may hold it
	if text := s.words[t.Name()]; text != "" {
		d["description"] = text
	}
	properties, required := object{}, []string{}
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			s.t.Errorf("%s.%s has no name in JSON", t.Name(), f.Name)
		}
		p := s.schema(f.Type)
		if text := s.words[t.Name()+"."+f.Name]; text != "" {
			if p["$ref"] != nil { // nothing may stand beside a reference
				p = object{"allOf": []any{p}}
			}
			p["description"] = text
		}
		properties[name] = p
		if option != "omitempty" {
			required = append(required, name)
		}
	}
	d["properties"] = properties
	if len(required) > 0 {
		d["required"] = required
	}
}
