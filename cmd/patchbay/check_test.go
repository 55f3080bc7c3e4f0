package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/internal/admin/api"
)

// verb runs the command as a shell would, and gives what it printed and its exit code.
func verb(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code = run(root)
	if stderr.Len() > 0 {
		t.Errorf("%v writes to stderr: %s", args, stderr.String())
	}
	return stdout.String(), code
}

// planted are the faults of testdata/twelve.yaml: where they stand, and the text that stands there.
var planted = []struct {
	line int
	text string // the fault's column is where it begins
	nth  int    // of its kind on the line, from 0
	code string
	path string
}{
	{3, "im.example", 0, "type", "users"},
	{5, "0.0.0.0:5347", 0, "plaintext", "listen.component"},
	{6, "127.0.0.1,", 0, "network", "listen.plaintext_from"},
	{7, "htttp", 0, "unknown", "listen.htttp"},
	{10, "hunter2-hunter2", 0, "secret", "nodes[node1.im.example].secret"},
	{12, `"${PATCHBAY_TEST_UNSET}"`, 0, "variable", "nodes[node2.im.example].secret"},
	{12, "everyone", 0, "choice", "nodes[node2.im.example].speak"},
	{13, "node1.im.example", 0, "twice", "nodes[node1.im.example].domain"},
	{16, "4096", 0, "range", "limits.stanza"},
	{17, "16 MB", 0, "size", "limits.queue"},
	{18, "72hours", 0, "time", "timers.grace"},
	{18, "handshake", 1, "twice", "timers.handshake"},
}

// TestCheckTwelve wants every fault of a file in one run of the verb, each at its line and column, and no secret.
func TestCheckTwelve(t *testing.T) {
	const file = "patchbay.yaml"
	text, err := os.ReadFile("testdata/twelve.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATCHBAY_CONFIG", "")
	t.Chdir(t.TempDir())
	if err := os.WriteFile(file, text, 0o600); err != nil { // a checkout has modes of its own, and there is a warning for them
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	screen, code := verb(t, "check")
	asJSON, codeJSON := verb(t, "check", "-o", "json")
	if code != exitFailed || codeJSON != exitFailed {
		t.Errorf("exit %d, and %d with -o json", code, codeJSON)
	}
	t.Chdir(here)
	golden(t, "twelve.txt", screen)
	var faults []api.Fault
	if err := json.Unmarshal([]byte(asJSON), &faults); err != nil {
		t.Fatalf("%v:\n%s", err, asJSON)
	}
	if len(faults) != len(planted) {
		t.Errorf("%d faults of %d:\n%s", len(faults), len(planted), screen)
	}
	for _, p := range planted {
		column := 1
		for range p.nth + 1 {
			column += strings.Index(lines[p.line-1][column-1:], p.text) + 1
		}
		column-- // the first search began one behind the last find
		i := slices.IndexFunc(faults, func(f api.Fault) bool { return f.Line == p.line && f.Column == column })
		if i < 0 || faults[i].Code != p.code || faults[i].Path != p.path || faults[i].Warning || faults[i].Mend == "" && p.code != "choice" {
			t.Errorf("line %d column %d: want %s of %s:\n%s", p.line, column, p.code, p.path, asJSON)
		}
		if !strings.Contains(screen, fmt.Sprintf("  %s:%d:%d", file, p.line, column)) {
			t.Errorf("line %d column %d is not on the screen:\n%s", p.line, column, screen)
		}
	}
	for _, secret := range []string{"hunter2", "nobody-may-read"} {
		if strings.Contains(screen+asJSON, secret) {
			t.Errorf("%q is shown:\n%s%s", secret, screen, asJSON)
		}
	}
}

// TestCheck looks at files that are good or have a warning only, and at ones that are not there.
func TestCheck(t *testing.T) {
	const good = "server: hub1.im.example\nusers: [im.example, vip.example]\nnodes: [{domain: a.example, secret: a-secret-of-24-bytes-abc}]\n"
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("patchbay.yaml", good)
	write("warns.yaml", good+"listen: {http: '0.0.0.0:5280'}\n")
	t.Setenv("PATCHBAY_CONFIG", "")
	for _, c := range []struct {
		env  string
		args []string
		code int
		want string
	}{
		{"", nil, exitDone, "patchbay.yaml: good. 1 node, 2 user domains.\n"},
		{"", []string{"-o", "json"}, exitDone, "[]\n"},
		{"warns.yaml", nil, exitDone, "warns.yaml: 1 warning\n  warning warns.yaml:4  listen.http is on 0.0.0.0: "},
		{"warns.yaml", nil, exitDone, "\nwarns.yaml: good. 1 node, 2 user domains.\n"},
		{"warns.yaml", []string{"-o", "json"}, exitDone, `"warning": true`},
		{"warns.yaml", []string{"--config", "patchbay.yaml"}, exitDone, "patchbay.yaml: good."},
		{"none.yaml", nil, exitFailed, "none.yaml: 1 fault\n  none.yaml  cannot be read: no such file or directory      mend: patchbay init none.yaml makes one\n"},
		{"none.yaml", []string{"-o", "json"}, exitFailed, `"code": "unreadable"`},
	} {
		t.Setenv("PATCHBAY_CONFIG", c.env)
		out, code := verb(t, append([]string{"check"}, c.args...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s %v: exit %d\n%s\nwant %q", c.env, c.args, code, out, c.want)
		}
	}
	for _, args := range [][]string{{"check", "-o", "yaml"}, {"check", "patchbay.yaml"}} {
		root := newRoot()
		root.SetArgs(args)
		root.SetOut(&bytes.Buffer{})
		if _, err := root.ExecuteC(); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}
