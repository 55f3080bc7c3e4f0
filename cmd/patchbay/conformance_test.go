package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/conformance/report"
)

// spoiled is a way to a server that makes something else of the carriage returns that components send: rule C19 is broken.
func spoiled(t *testing.T, addr, other string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var links sync.WaitGroup
	links.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", addr)
			if err != nil {
				_ = near.Close()
				continue
			}
			links.Go(func() { spoil(far, near, other) })
			links.Go(func() { _, _ = io.Copy(near, far); _ = near.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		links.Wait()
	})
	return l.Addr().String()
}

func spoil(far, near net.Conn, other string) {
	buf := make([]byte, 1<<16)
	for {
		n, err := near.Read(buf)
		if _, failed := far.Write(bytes.ReplaceAll(buf[:n], []byte("&#13;"), []byte(other))); err != nil || failed != nil {
			_ = far.Close()
			return
		}
	}
}

// judge runs the suite with two components against addr, by one rule.
func judge(t *testing.T, addr, secret string, more ...string) invoked {
	t.Helper()
	t.Setenv("JUDGED", secret)
	args := []string{"conformance", "--addr", addr, "--node", "a.im.example=env:JUDGED", "--node", "b.im.example=env:JUDGED", "--only", "C19-charref-cr"}
	return invoke(t, append(args, more...)...)
}

// TestConformance: a server that keeps the rule conforms, and the reports say so.
func TestConformance(t *testing.T) {
	addr, secret := nodeServer(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	got := judge(t, addr, secret, "--wire", "--server-domain", "hub1.localhost", "--report", file("good.json"), "--report", file("good.html"), "--report", file("good.tap"), "--report", file("good.xml"))
	if got.code != exitDone || got.err != "" {
		t.Fatalf("%+v", got)
	}
	for _, want := range []string{"patchbay conformance   " + addr + "   profile component   safe   1 case\n", "pass     C19-charref-cr MUST    a carriage return", "MUST 1/1", "\n  conforms\n", "> c1  <message from='a.im.example'"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %q in\n%s", want, got.out)
		}
	}
	for _, name := range []string{"good.json", "good.html", "good.tap", "good.xml"} {
		text, err := os.ReadFile(file(name))
		if err != nil || !bytes.Contains(text, []byte("C19-charref-cr")) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if bytes.Contains(text, []byte(secret)) || strings.Contains(got.out, secret) {
			t.Errorf("%s or the screen shows the secret", name)
		}
	}
	raw, err := os.Open(file("good.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	run, err := report.Load(raw)
	if err != nil || !run.Conforms() || run.Version != version || run.Profile != conformance.Component || len(run.Results) != 1 {
		t.Errorf("%+v, %v", run, err)
	}
}

// TestConformanceSaves: a report that cannot be written does not take the outcome away, nor another report.
func TestConformanceSaves(t *testing.T) {
	addr, secret := nodeServer(t)
	dir := t.TempDir()
	loop, good := filepath.Join(dir, "loop.html"), filepath.Join(dir, "good.json")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	got := judge(t, addr, secret, "--report", loop, "--report", good)
	if got.code != exitFailed || !strings.HasPrefix(got.err, "patchbay: write the report: open "+loop) || !strings.HasSuffix(got.out, "ms   "+good+"\n  conforms\n") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(good); err != nil {
		t.Error(err)
	}
}

// TestConformanceFails: one that breaks it does not, unless that is known; and what is known and has changed is said.
func TestConformanceFails(t *testing.T) {
	addr, secret := nodeServer(t)
	dir := t.TempDir()
	wrong, expect := spoiled(t, addr, "&#10;"), filepath.Join(dir, "expect.txt")
	got := judge(t, wrong, secret, "--report", filepath.Join(dir, "wrong.json"), "--report", filepath.Join(dir, "wrong.html"))
	for _, want := range []string{"FAILED  C19-charref-cr MUST", "charref-cr.txt:8\n           8 |  c2 expect message id=m1 body=\"a\\rb\"\n             |  ", "> c1  <message from=", "does not conform: 1 MUST fails", "--only C19-charref-cr --wire"} {
		if got.code != exitFailed || got.err != "" || !strings.Contains(got.out, want) {
			t.Errorf("exit %d, no %q in\n%s%s", got.code, want, got.out, got.err)
		}
	}
	got = judge(t, wrong, secret, "--expect", expect, "--update-expect")
	if text, err := os.ReadFile(expect); got.code != exitDone || err != nil || !strings.Contains(string(text), "\nC19-charref-cr fail \"unexplained: ") || !strings.Contains(got.err, "1 added, 0 taken out") {
		t.Errorf("%+v, %v:\n%s", got, err, text)
	}
	if err := os.WriteFile(expect, []byte("C19-charref-cr fail \"by choice\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got = judge(t, wrong, secret, "--expect", expect); got.code != exitDone || !strings.Contains(got.out, "KNOWN   C19-charref-cr") || !strings.Contains(got.out, expect+":1: \"by choice\"") || !strings.Contains(got.out, "as expected: known to fail are 1 MUST\n") {
		t.Errorf("%+v", got)
	}
	if got = judge(t, addr, secret, "--expect", expect, "--report", filepath.Join(dir, "right.json")); got.code != exitFailed || !strings.Contains(got.out, "CHANGED C19-charref-cr") || !strings.Contains(got.out, "does not conform: 1 changed") {
		t.Errorf("%+v", got)
	}
	matrix := filepath.Join(dir, "sub", "matrix.html")
	if err := os.Mkdir(filepath.Dir(matrix), 0o700); err != nil {
		t.Fatal(err)
	}
	got = invoke(t, "conformance", "compare", filepath.Join(dir, "wrong.json"), filepath.Join(dir, "right.json"), "--report", matrix)
	text, err := os.ReadFile(matrix)
	if got.code != exitDone || !strings.Contains(got.out, "cases that differ: 1 of 1\n") || err != nil || !strings.Contains(string(text), `href="../wrong.html#C19-charref-cr"`) || strings.Contains(string(text), "right.html") {
		t.Errorf("%+v, %v\n%s", got, err, text)
	}
}

// TestConformanceHidesSecrets that a server sends back to who can prove them.
func TestConformanceHidesSecrets(t *testing.T) {
	addr, secret := nodeServer(t)
	dir := t.TempDir()
	args := []string{"--wire", "--expect", filepath.Join(dir, "expect.txt"), "--update-expect"}
	files := []string{"run.json", "run.html", "run.tap", "run.xml"}
	for _, name := range files {
		args = append(args, "--report", filepath.Join(dir, name))
	}
	got := judge(t, spoiled(t, addr, secret), secret, args...)
	texts := map[string]string{"the screen": got.out + got.err}
	for _, name := range append(files, "expect.txt") {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts {
		if strings.Contains(text, secret) || !strings.Contains(text, "a${c1.secret}b") {
			t.Errorf("%s shows the secret, or nothing in its place:\n%s", name, text)
		}
	}
}

// TestConformanceCodes: wrong use is told from what cannot be reached.
func TestConformanceCodes(t *testing.T) {
	t.Setenv("JUDGED", "dev-judged")
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.txt")
	if err := os.WriteFile(bad, []byte("C19-charref-cr pass \"x\"\nC99-none fail \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	held := filepath.Join(dir, "held.html")
	if err := os.Mkdir(held, 0o700); err != nil {
		t.Fatal(err)
	}
	dead := "127.0.0.1:" + deadPort(t)
	for _, c := range []struct {
		args, want string
		code       int
	}{
		{"conformance", "say whom to judge: --addr HOST:PORT", 2},
		{"conformance --addr h:1", "name a component: --node DOMAIN=SECRET", 2},
		{"conformance --addr h:1 --node a", "a component is named --node DOMAIN=SECRET", 2},
		{"conformance --addr h:1 --node a=", "a component is named --node DOMAIN=SECRET", 2},
		{"conformance --addr h:1 --node a=env:NO_SUCH", "the environment has no NO_SUCH", 2},
		{"conformance --addr h:1 --node a=@/no/such", "read the secret", 2},
		{"conformance --addr h:1 --node a=dev-x --node a=dev-y", "a is named twice: each --node is another component", 2},
		{"conformance --addr h:1 --node a.example=dev-x --node A.Example=dev-y", "A.Example is named twice", 2},
		{"conformance --addr h:1 --node u@a=dev-x", "--node DOMAIN=SECRET takes a domain, c1.example for example, not \"u@a\"", 2},
		{"conformance --addr h:1 --node a<b=dev-x", "takes a domain, c1.example for example, not \"a<b\"", 2},
		{"conformance --addr h --node a=dev-x", "--addr takes HOST:PORT, 127.0.0.1:5347 for example, not \"h\"", 2},
		{"conformance --addr :5347 --node a=dev-x", "--addr takes HOST:PORT", 2},
		{"conformance --addr h:65536 --node a=dev-x", "--addr takes HOST:PORT", 2},
		{"conformance --addr h:0 --node a=dev-x", "--addr takes HOST:PORT", 2},
		{"conformance node --listen h: --node a=dev-x", "--listen takes HOST:PORT", 2},
		{"conformance --addr h:1 --node a=dev-x --report /no/such/run.html", "/no/such/run.html cannot be written: there is no directory /no/such", 2},
		{"conformance --addr h:1 --node a=dev-x --update-expect --expect /no/such/e.txt", "/no/such/e.txt cannot be written: there is no directory /no/such", 2},
		{"conformance --addr h:1 --node a=dev-x --report " + held, held + " cannot be written: it is a directory", 2},
		{"conformance --list --only=", "--only names nothing: give it a case, a rule or a section", 2},
		{"conformance --list --skip=", "--skip names nothing", 2},
		{"conformance --addr h:1 --node a=dev-x --node b=dev-x --node c=dev-x --node d=dev-x", "at most 3 components", 2},
		{"conformance --addr h:1 --node a=dev-x --report run.pdf", "a report ends in .html, .json, .tap, .xml, not \".pdf\"", 2},
		{"conformance --addr h:1 --node a=dev-x --update-expect", "--update-expect rewrites the file of --expect", 2},
		{"conformance --addr h:1 --node a=dev-x --expect /no/such", "read what is expected", 2},
		{"conformance --addr h:1 --node a=dev-x --expect " + bad, bad + ":1: a line is", 2},
		{"conformance --addr h:1 --node a=dev-x --expect " + bad, bad + ":2: there is no case \"C99-none\": take the line out, or let --update-expect do it", 2},
		{"conformance --profile node --addr h:1", "a node is judged by patchbay conformance node", 2},
		{"conformance --profile s2s", "--profile is component, modern or sessions, not \"s2s\"", 2},
		{"conformance --level most", "--level is must, should, may or policy, not \"most\"", 2},
		{"conformance --list --only C19,Z77", "--only: \"Z77\" is no case, rule or section of the profile component", 2},
		{"conformance --list --skip Z77", "--skip: \"Z77\" is no case", 2},
		{"conformance --list --only C19-charref-cr --skip c19", "no case of the profile component is left to run", 1},
		{"conformance --safe --stress", "--safe leaves out what --stress runs: give one of them", 2},
		{"conformance judge", "patchbay conformance has no verb \"judge\"", 2},
		{"conformance --addr " + dead + " --node a=env:JUDGED", "connection refused; does the server run, and is this its port for components?", 3},
		{"conformance node --node a=dev-x", "say where the component will come: --listen HOST:PORT", 2},
		{"conformance node --listen h:1 --node a=dev-x --node b=dev-y", "one component is judged", 2},
		{"conformance node x", "takes no \"x\"", 2},
		{"conformance recipe", "needs PRODUCT", 2},
		{"conformance recipe sendmail", "there is no recipe for \"sendmail\"; there are ejabberd", 2},
		{"conformance compare", "at least two runs", 2},
		{"conformance compare a b --report m.pdf", "the matrix is a page", 2},
		{"conformance compare /no/such /no/such", "read a run", 1},
		{"conformance compare " + bad + " " + bad, bad + ": read a run: invalid character 'C' looking for beginning of value; --report RUN.json keeps a run", 1},
	} {
		got := invoke(t, strings.Fields(c.args)...)
		if got.code != c.code || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: exit %d, want %d with %q: %s%s", c.args, got.code, c.code, c.want, got.out, got.err)
		}
	}
}

// TestConformanceRefused: a server that does not know the component was not reached; a literal secret is warned of, once,
// and not shown.
func TestConformanceRefused(t *testing.T) {
	addr, _ := nodeServer(t)
	got := invoke(t, "conformance", "--addr", addr, "--node", "a.im.example=correct-horse", "--node", "b.im.example=battery-staple", "--only", "C19-charref-cr")
	if got.code != exitNoReach || strings.Count(got.err, "can be seen by others") != 1 || strings.Contains(got.err+got.out, "correct-horse") || !strings.Contains(got.err, "a.im.example: not attached: stream-error not-authorized") || !strings.Contains(got.err, "; the secret of --node must be the one in the server's configuration\n") {
		t.Errorf("%+v", got)
	}
	t.Setenv("JUDGED", "dev-judged")
	if got := invoke(t, "conformance", "--addr", addr, "--node", "a.other.example=env:JUDGED", "--only", "C19-charref-cr"); got.code != exitNoReach || !strings.Contains(got.err, "host-unknown") || !strings.Contains(got.err, "; the server must know this component: patchbay conformance recipe") {
		t.Errorf("%+v", got)
	}
	if got := invoke(t, "conformance", "--list", "--only", "c19"); got.code != exitDone || !regexp.MustCompile(`(?m)^C19-charref-cr +MUST    a carriage return`).MatchString(got.out) {
		t.Errorf("%+v", got)
	}
}

// TestConformanceInterrupted: who ends a run has no verdict, and no report.
func TestConformanceInterrupted(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var mute sync.WaitGroup
	mute.Go(func() {
		if nc, err := l.Accept(); err == nil { // a server that says nothing
			end()
			_, _ = io.Copy(io.Discard, nc)
			_ = nc.Close()
		}
	})
	file := filepath.Join(t.TempDir(), "run.json")
	t.Setenv("JUDGED", "dev-judged")
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"conformance", "--addr", l.Addr().String(), "--node", "a.im.example=env:JUDGED", "--node", "b.im.example=env:JUDGED", "--only", "C19", "--report", file})
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetContext(ctx)
	if code := run(root); code != exitFailed || errs.String() != "patchbay: ended before all cases had run\n" || strings.Contains(out.String(), "conform:") {
		t.Errorf("exit %d: %s%s", code, &out, &errs)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a report of a run that did not end")
	}
	_ = l.Close()
	mute.Wait()
}

// TestConformanceHidesSecretsOfRefusals: a server that refuses a component may say why.
func TestConformanceHidesSecretsOfRefusals(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var rude sync.WaitGroup
	rude.Go(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(nc, "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='a.im.example'><stream:error>"+
			"<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>it is not dev-judged</text></stream:error></stream:stream>")
		_ = nc.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
		_ = nc.Close()
	})
	t.Cleanup(func() {
		_ = l.Close()
		rude.Wait()
	})
	got := judge(t, l.Addr().String(), "dev-judged")
	if got.code != exitNoReach || strings.Contains(got.err, "dev-judged") || !strings.Contains(got.err, "it is not ${c1.secret}") {
		t.Errorf("%+v", got)
	}
}

// TestConformanceChooses: levels, cases, rules and sections.
func TestConformanceChooses(t *testing.T) {
	var all []*conformance.Case
	for _, c := range []struct {
		id      string
		level   conformance.Level
		profile conformance.Profile
	}{
		{"A01-a", conformance.Must, conformance.Component}, {"A01-b", conformance.Should, conformance.Component}, {"A02-a", conformance.May, conformance.Component},
		{"B01-a", conformance.Policy, conformance.Component}, {"B01-b", conformance.Must, conformance.Component},
		{"J01-a", conformance.Must, conformance.Modern}, {"J01-b", conformance.Policy, conformance.Modern},
	} {
		all = append(all, &conformance.Case{ID: c.id, Level: c.level, Profile: c.profile})
	}
	for _, c := range []struct {
		j    judging
		want string
	}{
		{judging{profile: "component"}, "A01-a A01-b A02-a B01-b"},
		{judging{profile: "component", level: "policy"}, "A01-a A01-b A02-a B01-a B01-b"},
		{judging{profile: "component", level: "should"}, "A01-a A01-b B01-b"},
		{judging{profile: "component", level: "MUST"}, "A01-a B01-b"},
		{judging{profile: "component", only: []string{"B01"}}, "B01-a B01-b"},
		{judging{profile: "component", only: []string{"b"}, level: "may"}, "B01-b"},
		{judging{profile: "component", only: []string{"A01-b", "B01-a"}}, "A01-b B01-a"},
		{judging{profile: "component", skip: []string{"A", "B01-b"}, level: "policy"}, "B01-a"},
		{judging{profile: "component", only: []string{"A"}, skip: []string{"A01"}}, "A02-a"},
		{judging{profile: "modern"}, "J01-a J01-b"},
		{judging{profile: "modern", level: "may"}, "J01-a"},
	} {
		cases, err := c.j.choose(all)
		var ids []string
		for _, chosen := range cases {
			ids = append(ids, chosen.ID)
		}
		if got := strings.Join(ids, " "); err != nil || got != c.want {
			t.Errorf("%+v chooses %s, want %s (%v)", c.j, got, c.want, err)
		}
	}
}

func TestRecipe(t *testing.T) {
	for _, name := range conformance.Recipes() {
		want, _ := conformance.Recipe(name)
		got := invoke(t, "conformance", "recipe", strings.ToUpper(name))
		if got.code != 0 || got.out != want {
			t.Errorf("%s: %+v", name, got)
		}
		command := regexp.MustCompile(`(?m)^  (patchbay conformance --addr(?:.*\\\n)*.*)$`).FindStringSubmatch(want)
		if command == nil {
			t.Fatalf("the recipe of %s has no command", name)
		}
		understood(t, strings.TrimPrefix(strings.Join(strings.Fields(strings.ReplaceAll(command[1], "\\\n", " ")), " "), "patchbay "))
	}
}
