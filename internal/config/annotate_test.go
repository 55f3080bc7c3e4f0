package config

import (
	"regexp"
	"strings"
	"testing"
)

var shownOnly = regexp.MustCompile(`(?m)^    # `)

// unveiled makes keys of those that a file of init only shows.
func unveiled(file string) string { return shownOnly.ReplaceAllString(file, "    ") }

// TestAnnotated wants a file without a fault, with every key of the table in it, each with its default.
func TestAnnotated(t *testing.T) {
	for _, domain := range []string{"im.example", "müller.example", "x", "1", "a-long-name.of.several.labels.example"} {
		text, err := Annotated("patchbay.yaml", domain)
		if err != nil {
			t.Errorf("%s: %v", domain, err)
			continue
		}
		for _, file := range []string{text, unveiled(text)} {
			conf, faults := Parse("patchbay.yaml", []byte(file), lookup)
			if len(faults) > 0 {
				t.Fatalf("%s\n%s", screen(faults), file)
			}
			if conf.Server != "hub1."+domain || conf.Users[0] != domain || conf.Nodes[0].Domain != "node1."+domain || len(conf.Nodes[0].Secret[0]) != 32 {
				t.Errorf("%s: %+v", domain, conf)
			}
			want := Default()
			want.Server, want.Users, want.Nodes = conf.Server, conf.Users, conf.Nodes
			for _, c := range Diff(want, conf) {
				if !strings.HasPrefix(c.Path, keyOffline) {
					t.Errorf("%s is no default: %+v", c.Path, c)
				}
			}
		}
		for _, k := range keys {
			path := strings.Replace(strings.Replace(k.path, eachEntry, "[0]", 1), eachName, domain, 1)
			conf, _ := parse("patchbay.yaml", []byte(unveiled(text)), lookup)
			mark, ok := conf.marks[path]
			if !ok {
				t.Errorf("%s: %s is not in it", domain, k.path)
			} else if line := strings.Split(text, "\n")[mark.Line-1]; strings.Contains(line, "# R ") == k.live {
				t.Errorf("%s: the mark of %s is wrong: %s", domain, k.path, line)
			}
			if doc := strings.Fields(k.doc); !strings.Contains(text, " "+strings.Join(doc[:2], " ")) {
				t.Errorf("%s: nothing is said of %s", domain, k.path)
			}
		}
	}
	first, _ := Annotated("patchbay.yaml", "im.example")
	second, _ := Annotated("patchbay.yaml", "im.example")
	if first == second {
		t.Error("two files have the same secret")
	}
	for i, line := range strings.Split(first, "\n") {
		if len(line) > 160 || line != strings.TrimRight(line, " ") {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
}

// TestAnnotatedRefuses wants a reason where a domain cannot be one.
func TestAnnotatedRefuses(t *testing.T) {
	for domain, want := range map[string]string{
		"":                                    "is not a domain",
		"IM.example":                          "is not in canonical form; mend: im.example",
		"a b":                                 "is not a domain",
		"*.im.example":                        "is not a domain",
		"im.example: {}\nusers: []":           "is not a domain",
		strings.Repeat("a.", 509) + "example": "is not a domain",
	} {
		if text, err := Annotated("patchbay.yaml", domain); err == nil || text != "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", domain, err, want)
		}
	}
}
