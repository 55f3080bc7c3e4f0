package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
)

// golden holds a text against a file of testdata. PATCHBAY_GOLDEN=update writes the file: look at the difference.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("PATCHBAY_GOLDEN") == "update" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != got {
		t.Errorf("%s differs (%v):\n%s", path, err, got)
	}
}

const ms = time.Millisecond

// play makes a case of a text, as Parse would.
func play(id string, level conformance.Level, title, source string, steps ...string) *conformance.Case {
	c := &conformance.Case{ID: id, Level: level, Title: title, Source: source, Profile: conformance.Component, File: "cases/component/" + id + ".txt"}
	c.Lines = append([]string{"title: " + title, "source: " + source, "level: " + string(level), ""}, steps...)
	return c
}

// hostile is what a peer may send in order to act on the one who reads the report.
const hostile = "<body onload='alert(1)'>a<script>x</script>\r\n\x00\x1b[2J\x9b\u202e\u2066\xff&amp;</textarea>--></pre>\ufeff</body>"

// handmade is a run with each word, each kind of record, and hostile bytes.
func handmade() *conformance.Run {
	cr := play("C19-charref-cr", conformance.Must, "a carriage return written as &#13; arrives as one", "XML 1.0 2.11, 4.1",
		"c1 attach", "c2 attach", "c1 send <message to='${c2}' id='m1'><body>a&#13;b</body></message>", `c2 expect message id=m1 body="a\rb"`)
	cr.About = "Who writes code over XMPP has files with carriage returns."
	long := []conformance.Record{{At: 0, Actor: "c1", Kind: conformance.Noted, Bytes: []byte("connected")}}
	for i := range 20 {
		long = append(long, conformance.Record{At: time.Duration(i) * ms, Actor: "c1", Kind: conformance.Sent, Bytes: fmt.Appendf(nil, "<message id='m%d'/>", i)})
	}
	long = append(long, conformance.Record{At: 21 * ms, Actor: "c1", Kind: conformance.Received, Bytes: bytes.Repeat([]byte("x"), 12_000)},
		conformance.Record{At: 22 * ms, Actor: "c1b", Kind: conformance.Received, Bytes: []byte(hostile)})
	return &conformance.Run{Version: "0.1.0", Target: "127.0.0.1:5347", Product: "ejabberd 23.01", Profile: conformance.Component, Safe: true,
		Started: time.Date(2026, 11, 23, 7, 15, 0, 0, time.UTC), Took: 48_200 * ms, Results: []conformance.Result{
			{Case: play("A01-header", conformance.Must, "an initial header is answered by a header", "RFC 6120 4.2", "c1 open", "c1 expect header"), Word: conformance.Pass, Took: 2 * ms,
				Wire: []conformance.Record{{At: ms, Actor: "c1", Kind: conformance.Sent, Bytes: []byte("<stream:stream>\n")}}},
			{Case: play("A04-unknown", conformance.Must, "an unknown content namespace is refused", "RFC 6120 4.8.2", "c1 open xmlns='jabber:none'", "c1 expect stream-error invalid-namespace then close"),
				Word: conformance.Fail, Took: 1004 * ms, Fault: &conformance.Fault{Line: 6, Col: 10, Width: 30, After: 1000 * ms}},
			{Case: play("A19-slow", conformance.Policy, "a header that does not come is waited for in vain", "RFC 6120 13.12", "c1 connect"), Word: conformance.Skipped, Why: "heavy or destructive: --stress"},
			{Case: play("C08-comment", conformance.Must, "a comment ends the stream", "RFC 6120 4.9.3.18", "c1 send <!-- a -->", "c1 expect stream-error restricted-xml then close", "  soft gone"),
				Word: conformance.Soft, Why: "it ended the stream, and did not say why", Took: 5 * ms},
			{Case: cr, Word: conformance.Fail, Took: 7 * ms, Fault: &conformance.Fault{Line: 8, Col: 24, Width: 11, Got: `body="a\nb"`, After: 3 * ms}, Wire: []conformance.Record{
				{At: 3 * ms, Actor: "c1", Kind: conformance.Sent, Bytes: []byte("<message to='c2.example' id='m1'><body>a&#13;b</body></message>")},
				{At: 6 * ms, Actor: "c2", Kind: conformance.Received, Bytes: []byte("<message to='c2.example' from='c1.example' id='m1'><body>a\rb</body></message>")}}},
			{Case: play("C20-depth", conformance.Policy, "3000 levels are too deep", "RFC 6120 13.12", "c1 send x"), Word: conformance.Fail, Took: 90 * ms,
				Fault: &conformance.Fault{Line: 0, Got: "the suite could not connect: " + hostile}, Wire: long},
			{Case: play("G01-absent", conformance.Must, "a stanza without from is refused", "XEP-0114 3", "c1 send <message/>"), Word: conformance.Fail, Fault: &conformance.Fault{Line: 5, Col: 8, Width: 10, Got: "nothing"}},
			{Case: play("G02-forged", conformance.Must, "a forged sender is refused", "RFC 6120 4.9.3.9", "c1 send <message/>"), Word: conformance.Pass},
			{Case: play("I01-order", conformance.Should, "messages come in order", "RFC 6120 10.1", "c1 send x"), Word: conformance.Skipped, Why: "needs a user domain: --users"},
			{Case: play("I02-order", conformance.Should, "errors come in order", "RFC 6120 10.1", "c1 send x"), Word: conformance.Skipped, Why: "needs a user domain: --users"},
		}}
}

const expected = `# ejabberd 23.01

# by choice of the product, see its documentation
G01-absent fail "the server \"fills it in\""
G02-forged fail "any name of the server passes"
`

func expectations(t *testing.T) *Expectations {
	t.Helper()
	e, faults := ParseExpectations("expect/ejabberd-23.txt", expected)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return e
}

// judged is the run with each word.
func judged(t *testing.T) *conformance.Run { return expectations(t).JudgeRun(handmade()) }

// onScreen gives what a screen tells of a run.
func onScreen(t *testing.T, s Screen, run *conformance.Run) string {
	t.Helper()
	var b bytes.Buffer
	s.Out, s.Expect = &b, expectations(t)
	var cases []*conformance.Case
	for i := range run.Results {
		cases = append(cases, run.Results[i].Case)
	}
	s.Begin(run, cases)
	for _, r := range run.Results {
		s.Result(r)
	}
	s.End(run, []string{"out.html", "out.xml"})
	return b.String()
}

// TestScreen holds what a pipe and a terminal get against testdata.
func TestScreen(t *testing.T) {
	golden(t, "piped.txt", onScreen(t, Screen{}, judged(t)))
	golden(t, "piped-wire.txt", onScreen(t, Screen{Wire: true}, judged(t)))
	golden(t, "live.txt", strings.ReplaceAll(onScreen(t, Screen{Live: true, Width: 100, Colour: true}, judged(t)), "\r", "<redraw>"))
	good := judged(t)
	good.Results = good.Results[:1]
	golden(t, "good.txt", onScreen(t, Screen{}, good))
	good.Results = nil
	if got := onScreen(t, Screen{}, good); !strings.Contains(got, "does not conform: no case ran\n") {
		t.Errorf("nothing ran: %s", got)
	}
}

// TestReports holds the reports against testdata.
func TestReports(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"run.tap", "run.xml", "run.json", "run.html"} {
		file := filepath.Join(dir, name)
		if err := Save(file, judged(t)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, string(got))
	}
	if err := Save(filepath.Join(dir, "run.pdf"), judged(t)); err == nil || !strings.Contains(err.Error(), ".html, .json, .tap, .xml") {
		t.Errorf("a report in pdf: %v", err)
	}
	if err := Save(filepath.Join(dir, "none", "run.tap"), judged(t)); err == nil {
		t.Error("a report into no folder is written")
	}
}

// TestNothingRaw: no report and no screen has a character that acts.
func TestNothingRaw(t *testing.T) {
	texts := map[string]string{"live": onScreen(t, Screen{Live: true}, judged(t)), "piped": onScreen(t, Screen{Wire: true}, judged(t))}
	for ending, write := range writers {
		var b bytes.Buffer
		if err := write(&b, judged(t)); err != nil {
			t.Fatal(err)
		}
		texts[ending] = b.String()
	}
	for name, text := range texts {
		if name == "live" {
			text = strings.NewReplacer("\r", "", "\x1b[K", "").Replace(text)
		}
		for _, raw := range []string{"\x00", "\x1b", "\u202e", "\ufeff", "\r", "\x9b", "\xff"} {
			if name != ".json" && strings.Contains(text, raw) {
				t.Errorf("%s has %q", name, raw)
			}
		}
		if name == ".html" && (strings.Contains(text, "<script") || strings.Contains(text, "onload='")) {
			t.Errorf("%s has elements that a peer sent", name)
		}
		if left := map[string]string{"piped": "7,904", ".html": "9,952", "live": "11,700", ".tap": "11,700", ".xml": "11,700"}[name]; !strings.Contains(text, left) {
			t.Errorf("%s does not say that %s bytes were left out", name, left)
		}
	}
}
