package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/internal/config"
)

// TestInit writes a file, and runs what init says comes next as far as it ends by itself.
func TestInit(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("PATCHBAY_CONFIG", "")
	const want = "patchbay.yaml: server hub1.im.example, one node node1.im.example with a fresh secret; only you can read it. Next:\n" +
		"  patchbay check --config patchbay.yaml\n  patchbay serve --config patchbay.yaml\n"
	if out, code := verb(t, "init"); code != exitDone || out != want {
		t.Errorf("exit %d\n%s", code, out)
	}
	info, err := os.Stat("patchbay.yaml")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if out, code := verb(t, "check", "--config", "patchbay.yaml"); code != exitDone || out != "patchbay.yaml: good. 1 node, 1 user domain.\n" {
		t.Errorf("exit %d\n%s", code, out)
	}
	out, code := verb(t, "init", "--domain", "chat.example", filepath.Join(dir, "it's mine.yaml"))
	if code != exitDone || !strings.Contains(out, `--config '`+dir+`/it'\''s mine.yaml'`) {
		t.Errorf("exit %d\n%s", code, out)
	}
	if cfg, _ := config.Load("it's mine.yaml"); cfg == nil || cfg.Server != "hub1.chat.example" {
		t.Errorf("%+v", cfg)
	}
}

// TestInitRefuses wants no file touched that is there, none left by a failure, and a word on each.
func TestInitRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("patchbay.yaml", []byte("mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere.yaml", "link.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, domain string
		code         int
		want         string
	}{
		{"patchbay.yaml", "im.example", exitFailed, "patchbay.yaml is there already, and init never overwrites"},
		{"link.yaml", "im.example", exitFailed, "link.yaml is there already"},
		{"none/patchbay.yaml", "im.example", exitFailed, "no such file or directory"},
		{"new.yaml", "IM.example", exitUsage, "--domain: IM.example is not in canonical form; mend: im.example"},
		{"new.yaml", "", exitUsage, `--domain: "" is not a domain`},
		{"new.yaml", "a\nb: c", exitUsage, "is not a domain"},
	} {
		var out bytes.Buffer
		err := initFile(&out, c.file, c.domain)
		ee, ok := err.(*exitError)
		if !ok || ee.code != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || out.Len() > 0 {
			t.Errorf("%+v: %v\n%s", c, err, out.String())
		}
	}
	if text, err := os.ReadFile("patchbay.yaml"); err != nil || string(text) != "mine\n" {
		t.Errorf("%s %v", text, err)
	}
	if files, err := filepath.Glob("*"); err != nil || len(files) != 2 {
		t.Errorf("left behind: %v %v", files, err)
	}
}
