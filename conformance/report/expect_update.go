package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// Unexplained begins the reason of a failure that nobody has explained yet: what was got stands behind it.
const Unexplained = "unexplained: "

// expectHead begins a file that was not there before.
const expectHead = "# What fails, and is known: ID fail \"reason\" (docs/conformance.md). A case that is named here and passes has changed.\n\n"

// Updated is what a file of expectations says after a run: failures that it did not name are added, cases that pass or are
// none of all are taken out. Reasons, comments and cases that did not run stay as they are.
func (e *Expectations) Updated(run *conformance.Run, all []*conformance.Case) (text string, added, removed int) {
	lines := slices.Clone(e.lines)
	if len(lines) == 0 {
		for line := range strings.Lines(expectHead) {
			lines = append(lines, expectLine{text: strings.TrimRight(line, "\n")})
		}
	}
	gone := map[string]bool{}
	for _, f := range e.Unknown(all) {
		gone[e.lines[f.Line-1].id] = true
	}
	for i := range run.Results {
		r := &run.Results[i]
		switch r.Word {
		case conformance.Pass, conformance.Soft, conformance.Changed:
			gone[r.Case.ID] = e.line(r.Case.ID) >= 0
		case conformance.Fail, conformance.Known:
			if e.line(r.Case.ID) < 0 {
				lines = insert(lines, expectationOf(r))
				added++
			}
		}
	}
	var b strings.Builder
	for _, l := range lines {
		if l.id != "" && gone[l.id] {
			removed++
			continue
		}
		b.WriteString(l.text + "\n")
	}
	return b.String(), added, removed
}

// expectationOf is the line for a failure that has none.
func expectationOf(r *conformance.Result) expectLine {
	got := "it did not go on"
	if r.Fault != nil && r.Fault.Got != "" {
		got = r.Fault.Got
	}
	l := expectLine{id: r.Case.ID, reason: Unexplained + cut([]byte(got), 100)}
	l.text = fmt.Sprintf("%s fail %s", l.id, strconv.Quote(l.reason))
	return l
}

// insert puts a line before the first one whose id comes after its own, and before that one's comment; or at the end. A
// comment at the top of the file is none of a line.
func insert(lines []expectLine, l expectLine) []expectLine {
	at := slices.IndexFunc(lines, func(other expectLine) bool { return other.id > l.id })
	if at < 0 {
		return append(lines, l)
	}
	above := at
	for above > 0 && strings.HasPrefix(strings.TrimSpace(lines[above-1].text), "#") {
		above--
	}
	if above > 0 {
		at = above
	}
	return slices.Insert(lines, at, l)
}
