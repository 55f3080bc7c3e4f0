package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// Expectations are the failures that are known of a product: a file with lines
//
//	C19-charref-cr fail "the parser normalises it"
//
// and comments, which begin with #. A failure that the file names is known; a case that it names and that passes has
// changed, so that the file stays true.
type Expectations struct {
	file  string
	lines []expectLine
}

// expectLine is a line of the file; a comment or an empty line has no id.
type expectLine struct {
	text   string
	id     string
	reason string
}

// Misread is a line of a file of expectations that cannot be.
type Misread struct {
	File string
	Line int // from 1
	What string
}

// Error says where, and what is wrong.
func (e *Misread) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What) }

// ParseExpectations reads the text of a file, and gives all that is wrong with it.
func ParseExpectations(file, text string) (*Expectations, []*Misread) {
	e := &Expectations{file: file}
	var faults []*Misread
	seen := map[string]int{}
	for line := range strings.Lines(text) {
		l, what := parseExpectLine(strings.TrimRight(line, "\r\n"))
		e.lines = append(e.lines, l)
		if first := seen[l.id]; l.id != "" && first > 0 {
			what = fmt.Sprintf("%s stands on line %d already", l.id, first)
		}
		seen[l.id] = len(e.lines)
		if what != "" {
			faults = append(faults, &Misread{file, len(e.lines), what})
		}
	}
	return e, faults
}

// parseExpectLine reads one line, and says what is wrong with it, "" if nothing.
func parseExpectLine(text string) (l expectLine, what string) {
	l.text = text
	bare := strings.TrimSpace(text)
	if bare == "" || strings.HasPrefix(bare, "#") {
		return l, ""
	}
	id, rest, _ := strings.Cut(bare, " ")
	word, quoted, _ := strings.Cut(strings.TrimSpace(rest), " ")
	quoted = strings.TrimSpace(quoted)
	reason, err := strconv.Unquote(quoted)
	switch {
	case word != string(conformance.Fail):
		return l, fmt.Sprintf("a line is: ID fail \"reason\"; there is no word %s", strconv.Quote(word))
	case err != nil || !strings.HasPrefix(quoted, `"`):
		return l, `the reason stands in double quotes: ` + id + ` fail "reason"`
	case strings.TrimSpace(reason) == "":
		return l, "say why it fails"
	}
	l.id, l.reason = id, reason
	return l, ""
}

// Unknown finds the lines that name no case.
func (e *Expectations) Unknown(cases []*conformance.Case) (faults []*Misread) {
	for i, l := range e.lines {
		if l.id != "" && !slices.ContainsFunc(cases, func(c *conformance.Case) bool { return c.ID == l.id }) {
			faults = append(faults, &Misread{e.file, i + 1, "there is no case " + strconv.Quote(l.id) + ": take the line out, or let --update-expect do it"})
		}
	}
	return faults
}

// Judge makes a failure that the file names known, with the reason; and what it names and passes, changed. A nil e expects
// nothing.
func (e *Expectations) Judge(r conformance.Result) conformance.Result {
	at := e.line(r.Case.ID)
	if at < 0 {
		return r
	}
	switch r.Word {
	case conformance.Fail:
		r.Word, r.Why = conformance.Known, e.lines[at].reason
	case conformance.Pass, conformance.Soft:
		r.Word, r.Why = conformance.Changed, e.lines[at].reason
	}
	return r
}

// JudgeRun judges each result of a run. The one it was given stays as it is.
func (e *Expectations) JudgeRun(run *conformance.Run) *conformance.Run {
	judged := *run
	judged.Results = make([]conformance.Result, len(run.Results))
	for i, r := range run.Results {
		judged.Results[i] = e.Judge(r)
	}
	return &judged
}

// Where is the place of a case in the file, "expect/prosody.txt:12"; "" if it does not name it.
func (e *Expectations) Where(id string) string {
	at := e.line(id)
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", e.file, at+1)
}

func (e *Expectations) line(id string) int {
	if e == nil {
		return -1
	}
	return slices.IndexFunc(e.lines, func(l expectLine) bool { return l.id == id })
}
