package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// compiled reads the schema as an editor would, with another program's eyes.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("patchbay.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("patchbay.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 2020 {
		t.Errorf("it is of draft %d", s.DraftVersion)
	}
	return s
}

// refused gives the places of a file that the schema refuses, sorted: "/limits/depth".
func refused(t *testing.T, s *jsonschema.Schema, file string) (places []string) {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, file)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var bad *jsonschema.ValidationError
	if err := s.Validate(value); !errors.As(err, &bad) {
		return nil
	}
	var visit func(e *jsonschema.ValidationError)
	visit = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 {
			places = append(places, "/"+strings.Join(e.InstanceLocation, "/"))
		}
		for _, cause := range e.Causes {
			visit(cause)
		}
	}
	visit(bad)
	slices.Sort(places)
	return slices.Compact(places)
}

// TestSchemaTakes wants the schema to take what the parser takes: the file of init, and one with other values.
func TestSchemaTakes(t *testing.T) {
	s := compiled(t)
	fresh, err := Annotated("patchbay.yaml", "im.example")
	if err != nil {
		t.Fatal(err)
	}
	files := []string{fresh, unveiled(fresh), base, good}
	for _, turn := range turns {
		files = append(files, strings.Replace(base, turn[0], turn[1], 1))
	}
	for _, line := range []string{
		"limits: {depth: '64', stanza: 10000, queue: '1GiB', addresses: '${N}'}", "admin: {tap_bodies: 'true', hosts: [127.0.0.1, '::1']}",
		"timers: {grace: '${N}', ping: 1m30s}", "log: {level: '${LEVEL}'}", "listen: {component: ':0', plaintext_from: ['::/0', '${NET}']}\ntls:\n",
		"server: müller.example", "data: ':memory:'", "offline: {domains: {vip.example: {}}}", "contacts: ['xmpp:ops@im.example']", "users: [im.example, '${VIP}']",
		"nodes: [{domain: '*.im.example', secret: 1234567890123456}, {domain: b.example, secret: ['${SHORT}', üüüüüüüü]}]",
		"nodes: [{domain: a.example}]\ntls: {cert: a.pem, key: a.key, ca: ca.pem}",
	} {
		name, _, _ := strings.Cut(line, ":")
		env := func(name string) (string, bool) {
			v, ok := map[string]string{"N": "10s", "LEVEL": "info", "NET": "10.0.0.0/8", "SHORT": hidden, "VIP": "vip.example"}[name]
			if strings.Contains(line, "limits") {
				v = "10"
			}
			return v, ok
		}
		file := replaceKey(good, name) + line + "\n"
		if conf, faults := Parse("patchbay.yaml", []byte(file), env); conf == nil {
			t.Errorf("the parser refuses %s: %s", line, screen(faults))
		}
		files = append(files, file)
	}
	for _, file := range files {
		if places := refused(t, s, file); len(places) > 0 {
			t.Errorf("the schema refuses %v of\n%s", places, file)
		}
	}
}

// TestSchemaRefuses wants the schema to see what it can see of the file of twelve faults, at the places where they are,
// and of single keys.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	twelve, err := os.ReadFile("../../cmd/patchbay/testdata/twelve.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := strings.Replace(string(twelve), ", handshake: 20s", "", 1) // YAML itself refuses a key that stands twice
	want := "/limits/queue /limits/stanza /listen /listen/plaintext_from/0 /nodes/0/secret /nodes/1/speak /timers/grace /users"
	if got := strings.Join(refused(t, s, file), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for line, want := range map[string]string{
		"limits: {depth: 7}":                          "/limits/depth",
		"limits: {depth: 1025}":                       "/limits/depth",
		"limits: {depth: many}":                       "/limits/depth",
		"limits: {stanza: 9999}":                      "/limits/stanza",
		"limits: [1]":                                 "/limits",
		"timers: {ping: 30}":                          "/timers/ping",
		"timers: {ping: 3d}":                          "/timers/ping",
		"log: {level: warn}":                          "/log/level",
		"admin: {tap_bodies: yes please}":             "/admin/tap_bodies",
		"admin: {hosts: ['http://x']}":                "/admin/hosts/0",
		"server: Hub1.im.example":                     "/server",
		"server: a..b":                                "/server",
		"server:":                                     "/server",
		"data: ''":                                    "/data",
		"contacts: [ops]":                             "/contacts/0",
		"listen: {http: '5280'}":                      "/listen/http",
		"federation: {}":                              "/",
		"offline: {domains: {vip.example: {x: 1}}}":   "/offline/domains/vip.example",
		"offline: {domains: {VIP.example: {}}}":       "/",
		"offline: {forward_to: '*.im.example'}":       "/offline/forward_to",
		"nodes: [{secret: a-secret-of-24-bytes-abc}]": "/nodes/0",
		"nodes: [{secret: a-secret-of-24-bytes}]":     "/nodes/0",
		"nodes: [{domain: '*.*.a', secret: a-secret-of-24-bytes}]":                                           "/nodes/0/domain",
		"nodes: [{domain: a.a, secret: [a-secret-of-24-bytes, b-secret-of-24-bytes, c-secret-of-24-bytes]}]": "/nodes/0/secret",
	} {
		name, _, _ := strings.Cut(line, ":")
		text := replaceKey(good, name) + line + "\n"
		if got := refused(t, s, text); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s", line, got, want)
		}
		if conf, _ := Parse("patchbay.yaml", []byte(text), lookup); conf != nil {
			t.Errorf("the parser takes %s", line)
		}
	}
}
