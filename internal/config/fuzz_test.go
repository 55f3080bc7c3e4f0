package config

import (
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
