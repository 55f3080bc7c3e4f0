package conformance

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const facts = "title: a sentence\nsource: RFC 6120 1\nlevel: MUST\n"

// parse reads a play of the profile component that has these steps.
func parse(steps string) (*Case, error) {
	return Parse("cases/component/A01-a-case.txt", facts+"\n"+steps)
}

func TestParseFacts(t *testing.T) {
	c, err := Parse("cases/modern/J01-one-two.txt", "# about a comment\ntitle: it: holds\nsource: XEP-0198 4\nlevel: policy\nabout: more\n  of it\n"+
		"needs: server, users\nstress: yes\n\nc1 attach\nc1b connect\ncheck 1 = 1\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != "J01-one-two" || c.Rule() != "J01" || c.Title != "it: holds" || c.Source != "XEP-0198 4" || c.Level != Policy || c.About != "more of it" ||
		!slices.Equal(c.Needs, []string{"server", "users"}) || !c.Stress || c.Profile != Modern || !slices.Equal(c.Actors, []string{"c1", "c1b"}) {
		t.Errorf("%+v", c)
	}
}

func TestParseSteps(t *testing.T) {
	c, err := parse(`c1 attach
c1 open to='other.example' from=""
c1 send (pieces of 3, 5 ms apart, times 2) <message to='${c2}'
    id='a b'>${repeat 3 <x>}
c1 send "\x00\u{20ac}\r"
c1 expect message id=$one type=error|result body="a\rb" xml:lang=de error=wait|cancel/gone payload=<q xmlns='u' a='1 2'/> within 5 s -- why
  or stream-error conflict|host-unknown text=any then close
  soft <message to='${c2}'><body>a then b</body>
    </message>
c1 expect all
  message id=m1
  element a@urn:x has=b@c
c1 expect (times 7) message id=m${n}
c1 expect nothing for 300 ms then gone
check length ${one} >= 3
`)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) string { return "<" + name + ">" }
	steps := c.steps
	if got := steps[2].text.expand(value); got != "<message to='<c2>'id='a b'><x><x><x>" || steps[2].pieces != 3 || steps[2].apart != 5*time.Millisecond || steps[2].times != 2 {
		t.Errorf("send: %q %+v", got, steps[2])
	}
	if got := steps[3].text.expand(value); got != "\x00€\r" {
		t.Errorf("quoted: %q", got)
	}
	e := steps[4]
	if len(e.alts) != 3 || e.span != 5*time.Second || e.alts[0].why != "why" || len(e.alts[1].whats) != 2 || !e.alts[2].soft || e.alts[2].whats[0].kind != wXML {
		t.Errorf("expect: %+v", e)
	}
	var keys []string
	for _, m := range e.alts[0].whats[0].marks {
		keys = append(keys, m.key)
	}
	if got := strings.Join(keys, " "); got != "id type body xml:lang error payload" {
		t.Errorf("marks: %s", got)
	}
	if !steps[5].all || len(steps[5].alts) != 2 || steps[6].times != 7 || steps[7].alts[0].whats[0].span != 300*time.Millisecond || !steps[8].check.length {
		t.Errorf("the rest: %+v", steps[5:])
	}
}

// Each fault is told with its line, its column, and what to write instead.
func TestParseFaults(t *testing.T) {
	for _, c := range []struct {
		steps, want string
		col, width  int
	}{
		{"c1 attack", "there is no verb attack", 4, 6},
		{"x1 attach", "an actor is c1", 1, 2},
		{"s attach", "an actor is c1", 1, 1},
		{"c1 attach now", "attach takes nothing", 11, 3},
		{"  c1 attach", "goes on with no step", 1, 1},
		{"c1 wait long", "wait takes a time", 9, 4},
		{"c1 send", "send takes what is to be sent", 8, 1},
		{`c1 send "\x00" "`, "behind the closing", 15, 2},
		{"c1 send (pieces of x) a", "no such option", 10, 11},
		{"c1 send (times 3", "closing )", 9, 1},
		{"c1 send a ${sid}", `nothing is known as "sid"`, 11, 6},
		{"c1 send a ${server}", "a play that speaks of ${server} says so among its facts: needs: server", 11, 9},
		{"c4 attach", "an actor is c1, c2 or c3", 1, 2},
		{"c1 send a ${c4}", `nothing is known as "c4"`, 11, 5},
		{"c1 expect message error=cancel/gon", "there is no stanza error gon (RFC 6120 8.3.3)", 25, 10},
		{"c1 expect message error=*/gone|*/gon", "there is no stanza error gon", 25, 12},
		{"c1 expect message error=cancle/gone", "there is no error of type cancle; there are auth", 25, 11},
		{"c1 expect message lacks=a[b=c", "a child is query", 25, 5},
		{"c1 expect message has=a[b]", "a child is query", 23, 4},
		{"c1 expect message has=a|b", "a child is query", 23, 3},
		{"c1 expect message has=a[b=c]d", "a child is query", 23, 7},
		{"c1 send ${fill}", `nothing is known as "fill"`, 9, 7},
		{"c1 send ${fill many}", "fill takes a number", 9, 12},
		{"c1 send ${fill 99999999}", "are the most", 9, 16},
		{"c1 send a ${c1", "${ has no }", 11, 2},
		{`c1 send "a\qb"`, `there are \r`, 11, 2},
		{`c1 send "a" b`, "behind the closing", 12, 2},
		{`c1 send "a`, "closing", 9, 1},
		{"c1 expect banana", "this cannot come", 11, 6},
		{"c1 expect", "this cannot come", 10, 1},
		{"c1 expect stream-error bad-weather", "no stream error bad-weather", 24, 11},
		{"c1 expect message id=m1 soon", "nothing is known of soon", 25, 4},
		{"c1 expect message within soon", "within takes a time", 26, 4},
		{"c1 expect message error=not-authorized", "error is a type and a condition", 25, 14},
		{`c1 expect message body="a`, "closing", 24, 1},
		{"c1 expect message id=$Big", "small letters", 22, 4},
		{"c1 expect message payload=x", "payload takes", 19, 8},
		{"c1 expect <message>", "has no end", 11, 1},
		{"c1 expect <message><a></b></message>", "no element", 11, 26},
		{"c1 expect nothing", "nothing is nothing for", 18, 1},
		{"c1 expect nothing until c2", "that is attached", 25, 2},
		{"c1 expect all\n  message", "two things", 11, 3},
		{"c1 expect element", "element takes a name", 11, 7},
		{"check ${run}", "check is check", 7, 6},
		{"check ${run} ~ x", "check is check", 7, 10},
		{"check ${run} matches (", "missing", 22, 1},
		{"c1 expect all\n  message then presence\n  presence", "one thing a line", 3, 21},
		{"c1 expect all\n  nothing for 1 s\n  presence", "one thing a line", 3, 15},
		{"c1 expect all\n  eventually message\n  presence", "one thing a line", 3, 18},
		{"c1 expect gone id=1", "gone has no marks", 16, 4},
		{"c1 expect message has=$a", "no value that can be kept", 23, 2},
		{"c1 expect message lacks=a|b", "for several, several marks", 25, 3},
		{"c1 expect message id=$c1", "the name of something else", 22, 3},
		{"c1 expect message id=$n", "the name of something else", 22, 2},
		{"c1 expect message id=$server", "the name of something else", 22, 7},
		{"c1 open to=$a", "takes one value", 9, 5},
		{"c1 open to=a|b", "takes one value", 9, 6},
		{"c1 scram password='a'", "scram takes", 10, 12},
		{"c1 attach\nc1 close", "cannot fail", 1, 1},
	} {
		steps := c.steps
		if !strings.Contains(steps, "expect") && !strings.Contains(steps, "check") && !strings.Contains(c.want, "fail") {
			steps += "\nc1 expect gone"
		}
		_, err := parse(steps)
		var bad *ParseError
		switch {
		case !errors.As(err, &bad):
			t.Errorf("%q: got %v, want an error", c.steps, err)
		case !strings.Contains(bad.What, c.want) || bad.Col+1 != c.col || bad.Width != c.width:
			t.Errorf("%q: got %d+%d %s, want %d+%d %s", c.steps, bad.Col+1, bad.Width, bad.What, c.col, c.width, c.want)
		}
	}
}

func TestParseFileFaults(t *testing.T) {
	steps := "\nc1 attach\nc1 expect gone\n"
	for _, c := range []struct{ file, text, want string }{
		{"cases/component/charref.txt", facts + steps, "named as its rule"},
		{"cases/fun/A01-a.txt", facts + steps, "folder must be a profile"},
		{"cases/component/A01-a.txt", "title: a\nlevel: MUST\n" + steps, "source: is missing"},
		{"cases/component/A01-a.txt", facts + "level: MUST\n" + steps, "said twice"},
		{"cases/component/A01-a.txt", facts + "colour: red\n" + steps, "no fact colour"},
		{"cases/component/A01-a.txt", facts + "needs: luck\n" + steps, "needs names"},
		{"cases/component/A01-a.txt", facts + "about:\n" + steps, "says nothing"},
		{"cases/component/A01-a.txt", strings.Replace(facts, "MUST", "must", 1) + steps, "level is MUST"},
		{"cases/component/A01-a.txt", facts + "c1 attach\n" + steps, "must be a fact"},
		{"cases/node/N01-a.txt", facts + steps, "the actor of a play about a node is s"},
	} {
		if _, err := Parse(c.file, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.file, err, c.want)
		}
	}
}

func TestParseErrorText(t *testing.T) {
	_, err := parse("c1 attach\nc1 expect stream-error bad-weather then close")
	want := "cases/component/A01-a-case.txt:6:24: there is no stream error bad-weather (RFC 6120 4.9.3)\n" +
		"    6 | c1 expect stream-error bad-weather then close\n" +
		"      |                        ^~~~~~~~~~~"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// The plays that the binary carries are all good ones.
func TestCases(t *testing.T) {
	cases, err := Cases()
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{}
	for _, c := range cases {
		key := string(c.Profile) + c.Title
		if other := titles[key]; other != "" {
			t.Errorf("%s has the title of %s", c.ID, other)
		}
		titles[key] = c.ID
	}
}

func FuzzParse(f *testing.F) {
	f.Add(facts + "\nc1 attach\nc1 send <a/>\nc1 expect message id=$x then close -- why\n  or nothing for 3 s\n")
	f.Add(facts + "\nc1 send \"\\x00${fill 3}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := Parse("cases/component/A01-a.txt", text)
		if err != nil && !strings.Contains(err.Error(), "A01-a.txt:") {
			t.Errorf("an error without its place: %v", err)
		}
	})
}

// What quoted writes, unquote reads.
func FuzzQuoted(f *testing.F) {
	f.Add("a\r\n\t\"\\\x00\xff€\ufffd")
	f.Fuzz(func(t *testing.T, s string) {
		got, n, err := unquote(quoted(s))
		if err != nil || got != s || n != len(quoted(s)) {
			t.Errorf("%q: %s gives %q %v", s, quoted(s), got, err)
		}
	})
}
