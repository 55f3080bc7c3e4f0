package config

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// form is how a kind of value looks, as far as a schema can tell. What it takes may still be a fault; what it refuses is
// one, but for a name or a path without quotes that YAML reads as a number.
type form struct {
	pattern string   // of its text; "" is any
	words   []string // the only texts
	flag    bool     // true or false
	digits  bool     // a text that may be only digits, which YAML takes for a number
	lo, hi  int64    // of a number; both 0: it is none
}

// domainForm is a name without what no domain has. Letters of other scripts may stand in it.
const domainForm = `[^A-Z .*:/@"'<>&\[\]]+(\.[^A-Z .*:/@"'<>&\[\]]+)*`

// secretForm is a text of MinSecret characters, or one whose bytes a schema cannot count.
const secretForm = `^.{16,}$|[^\x00-\x7F]`

// variableForm is a value that the environment says.
const variableForm = `\$\{`

// Schema gives the JSON Schema (draft 2020-12) of the configuration, for editors: keys, types, ranges, defaults and
// what each is for. Rules of several keys, and what the environment says, only check knows.
func Schema() []byte {
	top := root.schema("")
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "patchbay.yaml"
	top["description"] = "The configuration of a patchbay server. Made from its table of keys: go test ./internal/config -run TestDocuments -rewrite"
	var out bytes.Buffer
	to := json.NewEncoder(&out)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	_ = to.Encode(top) // maps of texts and numbers, into memory: it cannot fail
	return out.Bytes()
}

// thing is one JSON object.
type thing = map[string]any

// schema is that of a branch of the table.
func (b *branch) schema(path string) thing {
	switch {
	case b.key != nil:
		return b.key.schema()
	case b.kids[eachEntry] != nil:
		return described(path, thing{"type": []string{"array", "null"}, "items": b.kids[eachEntry].entry(path + eachEntry)})
	case b.kids[eachName] != nil:
		return described(path, thing{"type": []string{"object", "null"}, "propertyNames": thing{"pattern": "^" + domainForm + "$"},
			"additionalProperties": b.kids[eachName].schema(join(path, eachName))})
	}
	kids := thing{}
	for _, name := range b.current() {
		kids[name] = b.kids[name].schema(join(path, name))
	}
	return described(path, thing{"type": []string{"object", "null"}, "properties": kids, "additionalProperties": false})
}

// entry is schema for one of nodes, which has a name. Whether it needs a secret depends on tls.ca.
func (b *branch) entry(path string) thing {
	t := b.schema(path)
	t["type"], t["required"] = "object", []string{"domain"}
	return t
}

func described(path string, t thing) thing {
	if doc := sections[path]; doc != "" {
		t["description"] = doc
	}
	return t
}

func (k *key) schema() thing {
	t := k.form.schema()
	if k.list {
		items := thing{"type": "array", "items": t}
		if k.most > 0 {
			items["maxItems"] = k.most
		}
		if k.either {
			items = thing{"anyOf": []thing{t, items}}
		}
		t = items
	}
	t["description"] = k.doc
	if !k.live {
		t["description"] = k.doc + " (needs a restart)"
	}
	var def any
	if err := yaml.Unmarshal([]byte(k.def), &def); err == nil && def != nil {
		t["default"] = def
	}
	return t
}

// schema is that of one value. A variable may stand for each.
func (f form) schema() thing {
	pattern := func(p string) string { return p + "|" + variableForm }
	switch {
	case f.words != nil:
		return thing{"anyOf": []thing{{"enum": f.words}, {"type": "string", "pattern": variableForm}}}
	case f.flag:
		return thing{"type": []string{"boolean", "string"}, "pattern": pattern("^(true|false)$")}
	case f.hi > 0:
		return thing{"type": []string{"integer", "string"}, "minimum": f.lo, "maximum": f.hi, "pattern": pattern(f.pattern)}
	case f.digits:
		return thing{"type": []string{"string", "number"}, "pattern": pattern(f.pattern)}
	case f.pattern != "":
		return thing{"type": "string", "pattern": pattern(f.pattern)}
	}
	return thing{"type": "string"}
}
