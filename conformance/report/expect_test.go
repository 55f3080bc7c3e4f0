package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/patchbay-im/patchbay/conformance"
)

func TestParseExpectations(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{expected, ""}, {"", ""}, {"\n\n# only a comment", ""}, {"A01-x fail \"a \\\"b\\\" c\"\r\n", ""}, {"  A01-x   fail   \"why\"", ""},
		{"A01-x pass \"why\"", `x.txt:1: a line is: ID fail "reason"; there is no word "pass"`},
		{"# a\nA01-x", `x.txt:2: a line is: ID fail "reason"; there is no word ""`},
		{"A01-x fail", `x.txt:1: the reason stands in double quotes: A01-x fail "reason"`},
		{"A01-x fail why", `x.txt:1: the reason stands in double quotes: A01-x fail "reason"`},
		{"A01-x fail `why`", `x.txt:1: the reason stands in double quotes: A01-x fail "reason"`},
		{"A01-x fail \"why\" more", `x.txt:1: the reason stands in double quotes: A01-x fail "reason"`},
		{"A01-x fail \" \"", `x.txt:1: say why it fails`},
		{"A01-x fail \"a\"\nB01-x fail \"b\"\nA01-x fail \"c\"\nC fail", "x.txt:3: A01-x stands on line 1 already\n" + `x.txt:4: the reason stands in double quotes: C fail "reason"`},
	} {
		_, faults := ParseExpectations("x.txt", c.in)
		var got []string
		for _, f := range faults {
			got = append(got, f.Error())
		}
		if strings.Join(got, "\n") != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

// TestJudge: each word with and without a line in the file.
func TestJudge(t *testing.T) {
	e, _ := ParseExpectations("x.txt", "A01-x fail \"why\"\n")
	for _, c := range []struct{ id, in, want string }{
		{"A01-x", "fail", "known why"}, {"A01-x", "pass", "changed why"}, {"A01-x", "soft", "changed why"}, {"A01-x", "skipped", "skipped was"},
		{"A02-x", "fail", "fail was"}, {"A02-x", "pass", "pass was"}, {"A02-x", "soft", "soft was"}, {"A02-x", "skipped", "skipped was"},
	} {
		r := conformance.Result{Case: &conformance.Case{ID: c.id}, Word: conformance.Word(c.in), Why: "was"}
		for of, e := range map[string]*Expectations{"file": e, "none": nil} {
			want := c.want
			if e == nil {
				want = c.in + " was"
			}
			if got := e.Judge(r); fmt.Sprint(got.Word, " ", got.Why) != want {
				t.Errorf("%s %s by the %s: %s %s, want %s", c.id, c.in, of, got.Word, got.Why, want)
			}
		}
	}
	if got := e.Where("A01-x") + e.Where("A02-x"); got != "x.txt:1" {
		t.Errorf("it stands at %s", got)
	}
}

// resultsOf makes a run of "ID word" pairs.
func resultsOf(pairs ...string) (run *conformance.Run, all []*conformance.Case) {
	run = &conformance.Run{}
	for _, p := range pairs {
		id, word, _ := strings.Cut(p, " ")
		c := &conformance.Case{ID: id, Level: conformance.Must}
		r := conformance.Result{Case: c, Word: conformance.Word(word)}
		if r.Word == conformance.Fail {
			r.Fault = &conformance.Fault{Got: `body="a"` + "\x1b"}
		}
		if all = append(all, c); word != "" {
			run.Results = append(run.Results, r)
		}
	}
	return run, all
}

// TestUpdated: what fails comes in, what passes goes, all else stays.
func TestUpdated(t *testing.T) {
	const before = "# all of it\n\n# about A01\nA01-x fail \"one\"\n\n# about C01\nC01-x fail \"three\"  \nC02-x fail \"four\"\nQ99-x fail \"renamed\"\nZ01-x fail \"not run\"\n"
	const after = "# all of it\n\n# about A01\nA01-x fail \"one\"\n\nB01-x fail \"unexplained: body=\\\"a\\\"\\\\x1B\"\n# about C01\nC01-x fail \"three\"  \nZ01-x fail \"not run\"\n"
	e, faults := ParseExpectations("x.txt", before)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	run, all := resultsOf("A01-x known", "A02-x pass", "B01-x fail", "C01-x skipped", "C02-x pass", "Z01-x ")
	got, added, removed := e.Updated(run, all)
	if got != after || added != 1 || removed != 2 {
		t.Errorf("%d added, %d removed:\n%s", added, removed, got)
	}
	again, faults := ParseExpectations("x.txt", got)
	if len(faults) > 0 || len(again.Unknown(all)) > 0 {
		t.Errorf("it cannot be read again: %v %v", faults, again.Unknown(all))
	}
	if twice, added, removed := again.Updated(again.JudgeRun(run), all); twice != got || added+removed != 0 {
		t.Errorf("a second time it says:\n%s", twice)
	}
	if w := again.JudgeRun(run).Results[2].Word; w != conformance.Known {
		t.Errorf("what was added is %s", w)
	}
	if f := e.Unknown(all); len(f) != 1 || f[0].Error() != `x.txt:9: there is no case "Q99-x": take the line out, or let --update-expect do it` {
		t.Errorf("unknown are %v", f)
	}
	none, _ := ParseExpectations("x.txt", "")
	run.Results = run.Results[2:3]
	got, _, _ = none.Updated(run, all)
	if want := expectHead + "B01-x fail \"unexplained: body=\\\"a\\\"\\\\x1B\"\n"; got != want {
		t.Errorf("a new file says:\n%s", got)
	}
}

func TestInsert(t *testing.T) {
	lines := func(text string) (all []expectLine) {
		e, _ := ParseExpectations("x.txt", text)
		return e.lines
	}
	for _, c := range []struct{ before, want string }{
		{"", "B"}, {"A fail \"x\"", "A B"}, {"C fail \"x\"", "B C"}, {"# top\nC fail \"x\"", "# B C"}, {"A fail \"x\"\n# of C\nC fail \"x\"", "A B # C"},
		{"# top\n\n# of C\nC fail \"x\"", "#  B # C"},
	} {
		var got []string
		for _, l := range insert(lines(c.before), expectLine{id: "B", text: "B"}) {
			got = append(got, l.text[:min(1, len(l.text))])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q becomes %q, want %q", c.before, got, c.want)
		}
	}
}

// FuzzExpectations: a file that is read, and updated by a run that changes nothing, says the same.
func FuzzExpectations(f *testing.F) {
	f.Add(expected)
	f.Fuzz(func(t *testing.T, text string) {
		e, faults := ParseExpectations("x.txt", text)
		if len(faults) > 0 || len(e.lines) == 0 {
			return
		}
		var all []*conformance.Case
		for _, l := range e.lines {
			all = append(all, &conformance.Case{ID: l.id})
		}
		got, _, _ := e.Updated(&conformance.Run{}, all)
		again, faults := ParseExpectations("x.txt", got)
		same := func(a, b expectLine) bool { return a.id == b.id && a.reason == b.reason }
		if len(faults) > 0 || !slices.EqualFunc(again.lines, e.lines, same) {
			t.Errorf("%q becomes %q: %v", text, got, faults)
		}
	})
}
