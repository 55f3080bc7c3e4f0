package main

import (
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/patchbay-im/patchbay/docs"
	"github.com/patchbay-im/patchbay/examples"
	"github.com/patchbay-im/patchbay/internal/config"
)

// verbs gives every verb, also those below ctl, by its words.
func verbs(root *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		all[strings.TrimPrefix(c.CommandPath(), "patchbay ")] = c
		for path, below := range verbs(c) {
			all[strings.TrimPrefix(path, "patchbay ")] = below
		}
	}
	return all
}

// TestHelpOfVerbs holds the page of each verb against testdata/help; each has an example, unless it has verbs itself.
func TestHelpOfVerbs(t *testing.T) {
	all := verbs(newRoot())
	for path := range all {
		got := invoke(t, append(strings.Fields(path), "--help")...)
		if got.code != 0 || got.err != "" {
			t.Errorf("%s --help: %+v", path, got)
		}
		golden(t, "help/"+strings.ReplaceAll(path, " ", "-")+".txt", got.out)
		if same := invoke(t, append([]string{"help"}, strings.Fields(path)...)...); path != "node" && path != "help" && same.out != got.out {
			t.Errorf("help %s says otherwise than %[1]s --help:\n%s", path, same.out)
		}
		if c := all[path]; strings.HasPrefix(path, "ctl ") && c.Example == "" {
			t.Errorf("%s has no example", path)
		}
	}
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) != len(all) {
		t.Errorf("%d pages for %d verbs: %v", len(files), len(all), err)
	}
}

// TestManualIsTrue: the manual names each verb that there is, and none that is not.
func TestManualIsTrue(t *testing.T) {
	all := verbs(newRoot())
	for path := range all {
		word := strings.Fields(path)[len(strings.Fields(path))-1]
		if !regexp.MustCompile(`\b` + word + `\b`).MatchString(manual) {
			t.Errorf("the manual does not name %s", path)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^  (patchbay|ctl) ([a-z]+)(?: ([a-z]+))?`).FindAllStringSubmatch(manual, -1) {
		path := m[2]
		if m[1] == "ctl" {
			path = "ctl " + m[2]
		}
		if all[path] == nil {
			t.Errorf("the manual names %s, which is no verb", path)
		}
	}
}

var shown = regexp.MustCompile(`(?m)^ +(?:export .*\n)?patchbay ([a-z][^\n]*)`)

// TestTopics: a topic fits a terminal, and what it tells to type is understood.
func TestTopics(t *testing.T) {
	files, err := filepath.Glob("topics/*.txt")
	if err != nil || len(files) != len(topics())+1 { // faults is a part of errors
		t.Errorf("topics are %s, %v", files, err)
	}
	for _, topic := range topics() {
		got := invoke(t, "help", topic.name)
		if got.code != 0 || got.err != "" || len(got.out) < 1000 {
			t.Errorf("help %s: %+v", topic.name, got)
		}
		for line := range strings.Lines(got.out) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns+8 || n > columns && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s has a line of %d columns: %s", topic.name, n, line)
			}
		}
		for _, m := range shown.FindAllStringSubmatch(got.out, -1) {
			understood(t, m[1])
		}
	}
	for _, c := range verbs(newRoot()) {
		for _, m := range shown.FindAllStringSubmatch("\n"+c.Example, -1) {
			understood(t, m[1])
		}
	}
}

// understood parses a command line of the manual, up to what the shell does with it and what is said about it.
func understood(t *testing.T, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, "  ")
	line = regexp.MustCompile(` (>|\||&&) .*`).ReplaceAllString(strings.ReplaceAll(line, `"stolen phone"`, "x"), "")
	cmd, args, err := newRoot().Find(strings.Fields(line))
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil && cmd.Name() == "help" {
		err = cmd.RunE(quiet(cmd), cmd.Flags().Args())
	} else if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("the manual says %q: %v", line, err)
	}
}

func quiet(cmd *cobra.Command) *cobra.Command {
	cmd.Root().SetOut(io.Discard)
	return cmd
}

// TestHelpOfWords looks up each reason, condition, key and code.
func TestHelpOfWords(t *testing.T) {
	look := func(topic, word, want string) {
		t.Helper()
		if got := invoke(t, "help", topic+"#"+word); got.code != 0 || !strings.Contains(strings.Join(strings.Fields(got.out), " "), want) {
			t.Errorf("help %s#%s: %+v, want %s", topic, word, got, want)
		}
	}
	reasons := 0
	for _, s := range docs.Sections(docs.Errors) {
		for _, row := range s.Rows {
			look("errors", row[0], strings.Join(strings.Fields(row[len(row)-2]), " "))
			reasons++
		}
	}
	if reasons < 100 {
		t.Errorf("only %d rows of docs/errors.md were found", reasons)
	}
	for _, k := range config.Keys() {
		look("config", k.Path, strings.Join(strings.Fields(k.Doc), " "))
	}
	source, err := os.ReadFile("../../internal/config/faults.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tcode\w+ += "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 20 || len(codes) != len(sections(topicText("faults"))) {
		t.Errorf("%d codes of faults, %d in topics/faults.txt", len(codes), len(sections(topicText("faults"))))
	}
	for _, m := range codes {
		look("errors", m[1], m[1]+" ")
	}
	for _, word := range []string{"grades", "drain", "reload", "metrics", "token"} {
		look("ops", word, word)
	}
	for _, folder := range examples.Folders() {
		want, err := os.ReadFile(map[bool]string{true: "../../examples/go/main.go"}[folder == "go"])
		if folder != "go" {
			matches, _ := filepath.Glob("../../examples/" + folder + "/node.*")
			want, err = os.ReadFile(matches[0])
		}
		if got := invoke(t, "help", "node#"+folder); err != nil || got.out != string(want) {
			t.Errorf("help node#%s is not the example (%v)", folder, err)
		}
	}
	for _, wrong := range []string{"errors#nothing", "nothing", "ctl nothing"} {
		got := invoke(t, append([]string{"help"}, strings.Fields(wrong)...)...)
		if got.code != exitUsage || strings.Count(got.err, "\n") != 2 || !strings.HasSuffix(got.err, "see: patchbay help\n") {
			t.Errorf("help %s: %+v", wrong, got)
		}
	}
}

// TestHelpHandshake: the digest in the manual is that of its id and secret.
func TestHelpHandshake(t *testing.T) {
	text := invoke(t, "help", "wire#attach").out
	if want := fmt.Sprintf("%x", sha1.Sum([]byte("3BF96D32"+"correct-horse-battery-staple"))); !strings.Contains(text, "<handshake>"+want) {
		t.Errorf("no %s in %s", want, text)
	}
}

// TestHelpConfigLoads: the configuration that the manual begins with is good.
func TestHelpConfigLoads(t *testing.T) {
	_, text, _ := strings.Cut(invoke(t, "help", "config#begin").out, "\n")
	dir := t.TempDir()
	for name, content := range map[string]string{"patchbay.yaml": text, "node1.secret": "0123456789abcdef0123456789abcdef\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if cfg, faults := config.Load(filepath.Join(dir, "patchbay.yaml")); cfg == nil || len(faults) > 0 || cfg.Nodes[0].Users[0] != "im.example" {
		t.Errorf("%s: %v", text, faults)
	}
}

func TestCompletion(t *testing.T) {
	for shell, word := range map[string]string{"bash": "__start_patchbay", "zsh": "#compdef patchbay", "fish": "complete -c patchbay", "powershell": "Register-ArgumentCompleter"} {
		if got := invoke(t, "completion", shell); got.code != 0 || !strings.Contains(got.out, word) {
			t.Errorf("completion %s: exit %d, %s", shell, got.code, got.err)
		}
	}
	if got := invoke(t, "completion", "csh"); got.code != exitUsage || strings.Count(got.err, "\n") != 2 {
		t.Errorf("%+v", got)
	}
	serveFixed(t, fixedAnswers())
	for args, want := range map[string]string{
		"ctl nodes ":             "node1.im.example\n",
		"ctl drain ":             "node1.im.example\n",
		"ctl sessions --node ":   "node1.im.example\n",
		"ctl nodes -o ":          "wide\n",
		"ctl top --sort ":        "sessions\n",
		"ctl explain --kind ":    "presence\n",
		"ctl doctor --output ":   "nagios\n",
		"ctl dr":                 "drain\tno new sessions",
		"help ":                  "errors\tevery reason",
		"help ctl ":              "drain\tno new sessions",
		"completion ":            "zsh\n",
		"ctl where ":             ":",
		"ctl nodes a.im.example": ":",
	} {
		if got := invoke(t, append([]string{"__complete"}, strings.Split(args, " ")...)...); !strings.Contains(got.out, want) {
			t.Errorf("%q is completed to %q", args, got.out)
		}
	}
	t.Setenv("PATCHBAY_URL", "127.0.0.1:"+deadPort(t))
	if got := invoke(t, "__complete", "ctl", "nodes", ""); got.code != 0 || strings.Contains(got.err, "nobody listens") {
		t.Errorf("without a server: %+v", got)
	}
}

func TestMan(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	if got := invoke(t, "man", dir); got != (invoked{}) {
		t.Errorf("%+v", got)
	}
	for path := range verbs(newRoot()) {
		page, err := os.ReadFile(filepath.Join(dir, "patchbay-"+strings.ReplaceAll(path, " ", "-")+".1"))
		if path == "help" {
			continue
		}
		if err != nil || !strings.Contains(string(page), "Nov 2023") || !strings.Contains(string(page), "patchbay "+version) {
			t.Errorf("%s: %v\n%s", path, err, page)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "patchbay-node.1"))
	if err != nil || !strings.Contains(string(page), "\n  FROM > TO BODY    the same from another user of this node\n") {
		t.Errorf("lines that stand as they are do not: %v\n%s", err, page)
	}
	if got := invoke(t, "man", "/dev/null/x"); got.code != exitFailed || !strings.Contains(got.err, "make the folder") {
		t.Errorf("%+v", got)
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ lead, text, want string }{
		{"  ", "", "\n"},
		{"a ", "b  c", "a b c\n"},
		{"    ", strings.Repeat("nine char ", 20), "    " + strings.TrimSpace(strings.Repeat("nine char ", 9)) + " nine\n" +
			"    " + "char " + strings.TrimSpace(strings.Repeat("nine char ", 9)) + "\n    nine char\n"},
	} {
		got := fold(c.lead, c.text)
		for line := range strings.Lines(got) {
			if len(line) > columns+1 {
				t.Errorf("%q is too long", line)
			}
		}
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(c.lead+c.text), " ") || c.text == "b  c" && got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// The units that the topic names are those that the configuration takes.
func TestTopicUnits(t *testing.T) {
	page := invoke(t, "help", "config").out
	_, said, found := strings.Cut(page, "Sizes: bytes, or ")
	units, _, _ := strings.Cut(said, ".")
	if !found || len(strings.Fields(units)) < 3 {
		t.Fatalf("no units in %q", units)
	}
	for _, unit := range append(strings.Fields(units), "") {
		text := "server: hub1.im.example\nlimits: {stanza: 12000" + unit + ", queue: 64MiB}\n"
		_, faults := config.Parse("patchbay.yaml", []byte(text), nil)
		for _, f := range faults {
			if f.Code == "size" || strings.Contains(f.Message, "is not a size") {
				t.Errorf("%q: %s", unit, f.Message)
			}
		}
	}
}
