package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// FuzzParse compares with a plain YAML decoder: what Parse accepts must decode to the same server name there, with no
// key given twice. Whatever it says must have a place within the file, fit on a screen, and hold no secret.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{good, "", "\t", "a: *b", "a: &b [*b]", "<<: {}", "secret: |\n x\n", "nodes:\n- secret: [a, b]\n", "? a\n: b", "users: [a\u2028]", "---\n---\n", "\ufeffserver: a\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		conf, faults := Parse("patchbay.yaml", data, lookup)
		if (conf == nil) != faults.Fatal() {
			t.Fatalf("config %v with %s", conf, screen(faults))
		}
		lines := len(newPage("", data).lines)
		for _, fault := range faults {
			if fault.Code == "" || fault.Message == "" || fault.File == "" || fault.Line > lines || strings.ContainsAny(fault.Message+fault.Mend+fault.Source, "\n\r\x1b") {
				t.Errorf("a fault that cannot be shown: %#v", fault)
			}
		}
		if conf == nil {
			return
		}
		for _, secret := range conf.secrets() {
			if text := screen(faults); strings.Contains(text, string(secret)) {
				t.Errorf("the secret %s is shown: %s", string(secret), text)
			}
		}
		plain := struct {
			Server string         `yaml:"server"`
			Other  map[string]any `yaml:",inline"`
		}{Server: Default().Server}
		if err := yaml.Unmarshal(data, &plain); err != nil {
			t.Fatalf("accepted, but another decoder says %v", err)
		}
		if !strings.Contains(plain.Server, "$") && plain.Server != conf.Server {
			t.Errorf("server %q, another decoder says %q", conf.Server, plain.Server)
		}
		if again, _ := Parse("patchbay.yaml", data, lookup); !reflect.DeepEqual(again, conf) {
			t.Error("the same file, read twice, gives two configurations")
		}
	})
}

// FuzzHidden puts a secret behind the word secret anywhere in a text: whatever stands around it, nothing of it is shown.
func FuzzHidden(f *testing.F) {
	for _, before := range []string{"", "nodes:\n- ", "nodes: [{domain: a.example, ", "users: [\"", "log: {level: x, ", "log: |\n ", "? ", "x", "nodes.", "nodes[0].", "- - ", "{", "'", "! ", "&a ", "a: b\t"} {
		for _, after := range []string{"", "\n", "}", "]}]\nzebra: 1\n", "\"]", "'", " # x", ": x\n", "\u2028log: x", "\n  more\nlog: x", ", log: 5}", "\xff"} {
			f.Add(before, after)
		}
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		conf, faults := Parse("patchbay.yaml", []byte(before+"secret: "+hidden+after), lookup)
		for _, text := range []string{screen(faults), fmt.Sprintf("%+v", faults), fmt.Sprintf("%+v", conf), faults.Error()} {
			if !strings.Contains(before+after, hidden[8:]) && strings.Contains(text, hidden[8:]) {
				t.Errorf("the secret is shown: %s", text)
			}
		}
	})
}
