package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// example is one of the nodes in the folder examples, as their authors would run it.
type example struct {
	name   string // of its folder
	speaks string // the last word of its greeting
	domain string
	user   string // its one user
	file   string // what it saves, in the directory it runs in
	cr     string // how what it sends for a carriage return is read: some libraries write it as it is
}

// examples stand in the order in which each greets the next, and the last the first.
var examples = []example{
	{"go", "Go", "go.im.example", "alice@im.example/go", "messages-go.jsonl", "\r"},
	{"python-slixmpp", "slixmpp", "slixmpp.im.example", "bob@im.example/slixmpp", "messages-slixmpp.db", "\n"},
	{"python-stdlib", "Python", "python.im.example", "carol@im.example/python", "messages-python.db", "\r"},
	{"nodejs", "Node.js", "nodejs.im.example", "dave@im.example/node", "messages-nodejs.jsonl", "\n"},
}

var buildExample = sync.OnceValues(func() (string, error) { return compile("example", "examples/go") })

// command gives the command that runs an example in a directory.
func (e example) command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	script := func(name string) string {
		path, err := filepath.Abs(filepath.Join("..", "..", "examples", e.name, name))
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	var words []string
	switch e.name {
	case "go":
		binary, err := buildExample()
		if err != nil {
			t.Fatal(err)
		}
		words = []string{binary}
	case "nodejs":
		words = []string{nodejs(t), script("node.js")}
	case "python-slixmpp":
		slixmpp(t)
		fallthrough
	default:
		needsPython(t)
		words = []string{python, script("node.py")}
	}
	cmd := exec.Command(words[0], append(words[1:], args...)...)
	cmd.Dir = dir
	return cmd
}

// needsPython ends a test on a machine without Python.
func needsPython(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import asyncio, sqlite3; anext").CombinedOutput(); err != nil {
		missing(t, "needs Python 3.10 as %s (%v): %.200s", python, err, out)
	}
}

// slixmpp ends a test on a machine without that library.
func slixmpp(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import slixmpp").CombinedOutput(); err != nil {
		missing(t, "needs python3-slixmpp for %s (%v): %.200s", python, err, out)
	}
}

// nodejs gives the interpreter for the scripts of @xmpp/component.
func nodejs(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		missing(t, "needs Node.js: %v", err)
	}
	if _, err := os.Stat(filepath.Join("..", "..", "examples", "nodejs", "node_modules", "@xmpp", "component")); err != nil {
		missing(t, "needs @xmpp/component: run npm ci in examples/nodejs: %v", err)
	}
	return path
}

// run starts an example against a server, with its secret in the environment.
func (e example) run(t *testing.T, s *server, dir, greet string) *process {
	t.Helper()
	return start(t, e.against(s, e.command(t, dir, greet)))
}

func (e example) against(s *server, cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(os.Environ(), "PATCHBAY_ADDR="+s.addr, "PATCHBAY_SECRET="+s.secret)
	return cmd
}

// ends asks an example to end, and sees that it does so in order.
func (e example) ends(t *testing.T, s *server, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != 0 {
		t.Errorf("%s ended with %d:\n%s", e.name, code, strings.Join(p.output(), "\n"))
	}
	s.find(t, regexp.MustCompile("node closed its stream .*node="+e.domain))
}

// row is one message that an example has saved.
type row struct{ from, id, to, body string }

// says is a row as examples print it, without the quotes.
func (r row) says() string { return r.from + " -> " + r.to + ": " + r.body }

// dump writes a table of SQLite as the other examples write their files.
const dump = `import json, sqlite3, sys
for r in sqlite3.connect(sys.argv[1]).execute("SELECT * FROM messages ORDER BY rowid"): print(json.dumps(r))`

// saved reads what an example has saved, in order.
func (e example) saved(t *testing.T, dir string) (rows []row) {
	t.Helper()
	path := filepath.Join(dir, e.file)
	text, err := os.ReadFile(path)
	if strings.HasSuffix(path, ".db") {
		text, err = exec.Command(python, "-c", dump, path).Output()
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r [4]string
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %v: %.200s", path, err, line)
		}
		rows = append(rows, row{r[0], r[1], r[2], r[3]})
	}
	return rows
}

// TestExamples lets all examples talk to each other, across a kill of the server.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "patchbay-data")
	s := serve(t, data)
	nodes := make([]*process, len(examples))
	for i := len(examples) - 1; i >= 0; i-- { // whom it greets is there, but for the first of them
		cmd := examples[i].command(t, dir) // the secret is in ./patchbay-data, and whom it greets goes without saying
		cmd.Env = append(os.Environ(), "PATCHBAY_ADDR="+s.addr)
		nodes[i] = start(t, cmd)
		nodes[i].find(t, regexp.MustCompile("^announced "+examples[i].user+"$"))
	}
	last := len(examples) - 1
	nodes[last].find(t, regexp.MustCompile("^not delivered to alice@im.example: service-unavailable: alice@im.example has no session on any node; "))
	for i := range examples[:last] {
		converse(t, nodes, i, 1)
	}
	s.kill()
	s = serve(t, data, "listen.component="+s.addr)
	for i := range examples {
		nodes[i].findNth(t, regexp.MustCompile("^announced "), 2)
	}
	for i := range examples[:last] {
		converse(t, nodes, i, 2)
	}
	converse(t, nodes, last, 1)
	for i, e := range examples {
		e.ends(t, s, nodes[i])
	}
	l := s.stop(t)
	if l["bounced"]+l["dropped"]+l["waiting"] != 0 {
		t.Errorf("no stanza is lost: %v", l)
	}
	if faults := s.faults(); len(faults) > 0 {
		t.Errorf("the server says %q", faults)
	}
	remembered(t, dir)
}

// answer is how an example begins to answer; what begins so is not answered.
const answer = "you said: "

func greeting(i int) string { return "hello from " + examples[i].speaks }

// converse waits until an example has greeted the next one, and was answered, for the n-th time.
func converse(t *testing.T, nodes []*process, i, n int) {
	t.Helper()
	me, next := examples[i], (i+1)%len(examples)
	line := func(from, to, body string) *regexp.Regexp {
		return regexp.MustCompile("^" + regexp.QuoteMeta(from+" -> "+to+": ") + `['"]` + regexp.QuoteMeta(body) + `['"]$`)
	}
	nodes[next].findNth(t, line(me.user, examples[next].bare(), greeting(i)), n)
	nodes[i].findNth(t, line(examples[next].user, me.user, answer+greeting(i)), n)
}

// bare gives the bare address of an example's user.
func (e example) bare() string { return strings.SplitN(e.user, "/", 2)[0] }

// remembered holds what the examples have saved against what they have said: all of it, once, at both ends alike, and
// what came before its answer.
func remembered(t *testing.T, dir string) {
	t.Helper()
	times := map[row]int{}
	for i, e := range examples {
		next, before := examples[(i+1)%len(examples)], examples[(i+len(examples)-1)%len(examples)]
		hello := row{e.user, "", next.bare(), greeting(i)}.says()
		answered := row{next.user, "", e.user, answer + greeting(i)}.says()
		greeted := row{before.user, "", e.bare(), "hello from " + before.speaks}.says()
		answers := row{e.user, "", before.user, answer + "hello from " + before.speaks}.says()
		want := []string{hello, hello, answered, greeted, answers}
		if i < len(examples)-1 { // the last has greeted before there was anybody
			want = append(want, answered)
		}
		if i > 0 {
			want = append(want, greeted, answers)
		}
		var got []string
		for _, r := range e.saved(t, dir) {
			times[r]++
			got = append(got, r.says())
		}
		if slices.Index(got, answers) < slices.Index(got, greeted) {
			t.Errorf("%s saves an answer before what it answers", e.name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has saved\n\t%s\nnot\n\t%s", e.name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	lone := 0
	for r, n := range times {
		if n == 1 {
			lone++
		} else if n != 2 || r.id == "" {
			t.Errorf("%q is saved %d times", r, n)
		}
	}
	if lone != 1 {
		t.Errorf("%d messages are saved at one end only: %v", lone, times)
	}
}
