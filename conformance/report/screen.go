package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/conformance"
)

// Screen tells of a run on a terminal or into a pipe. Its methods are called one after the other: Begin, Result for each
// case, End.
type Screen struct {
	// set once
	Out    io.Writer
	Live   bool // Out is a terminal: count by section, in place of a line for each case
	Colour bool
	Width  int           // columns of the terminal; 0 if not known
	Wire   bool          // print the wire log of each case
	Expect *Expectations // for the places in it; may be nil

	// owned by whoever calls
	bars *bars
	ids  int // columns of the longest id
}

// The colours of words: they only repeat what the word says.
var colours = map[conformance.Word]string{
	conformance.Pass: "32", conformance.Soft: "36", conformance.Fail: "31", conformance.Known: "33", conformance.Changed: "35", conformance.Skipped: "90",
}

// Begin says what is judged, and by which cases.
func (s *Screen) Begin(run *conformance.Run, cases []*conformance.Case) {
	safe := "safe"
	if !run.Safe {
		safe = "stress"
	}
	s.printf("patchbay conformance   %s   profile %s   %s   %s\n", target(run), run.Profile, safe, count(len(cases), "case"))
	for _, c := range cases {
		s.ids = min(max(s.ids, len(c.ID)), 32)
	}
	s.bars = newBars(cases)
}

// target is the address of what is judged, and what it says it is.
func target(run *conformance.Run) string {
	if run.Product == "" {
		return Visible([]byte(run.Target))
	}
	return fmt.Sprintf("%s (%s)", Visible([]byte(run.Target)), cut([]byte(run.Product), 60))
}

// Result tells what became of a case.
func (s *Screen) Result(r conformance.Result) {
	s.bars.add(&r)
	if s.Live {
		s.printf("%s", s.bars.draw(sectionOf(r.Case), s.Width, s.paint))
		return
	}
	s.printf("%s\n", strings.TrimRight(s.line(&r), " "))
	if s.Wire {
		s.printf("%s", indent("         ", wireLog(r.Wire, whole)))
	}
}

// line is a case on one line.
func (s *Screen) line(r *conformance.Result) string {
	line := fmt.Sprintf("%s %-*s %-6s  %s", s.paint(r.Word, fmt.Sprintf("%-8s", r.Word)), s.ids, r.Case.ID, r.Case.Level, r.Case.Title)
	switch r.Word {
	case conformance.Fail:
		return line + "  " + place(r)
	case conformance.Pass:
		return line
	}
	return line + "  (" + Visible([]byte(r.Why)) + ")"
}

// paint colours a text as a word is coloured.
func (s *Screen) paint(w conformance.Word, text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[" + colours[w] + "m" + text + "\x1b[0m"
}

// End tells of each failure, of what was known and has changed, and sums up. Reports are the files that were written.
func (s *Screen) End(run *conformance.Run, reports []string) {
	if s.Live {
		s.printf("%s", s.bars.leave(s.Width, s.paint))
	} else {
		s.printf("%s", s.bars.lines(s.paint))
	}
	by := map[conformance.Word][]*conformance.Result{}
	for i := range run.Results {
		r := &run.Results[i]
		by[r.Word] = append(by[r.Word], r)
	}
	for _, r := range by[conformance.Fail] {
		s.failed(r)
	}
	for _, w := range []conformance.Word{conformance.Known, conformance.Changed} {
		for _, r := range by[w] {
			s.named(r)
		}
	}
	s.skipped(by[conformance.Skipped])
	if s.Wire && s.Live {
		s.wires(run)
	}
	s.printf("%s", summary(run, reports))
}

// failed shows a failure: the line of the play, what came instead, and what was on the wire.
func (s *Screen) failed(r *conformance.Result) {
	s.printf("%s\n", s.title(r, "FAILED"))
	s.printf("        %s\n", place(r))
	s.printf("%s", indent("        ", faultText(r)))
	s.printf("%s", indent("          ", briefLog(r)))
}

// faultText is the line of the play with a mark at the place, and what came instead.
func faultText(r *conformance.Result) string {
	if r.Fault == nil {
		return ""
	}
	p := point(r.Case, r.Fault)
	if p.Line == 0 {
		return p.Got + "\n"
	}
	return fmt.Sprintf("%4d |  %s\n     |  %s%s %s\n", p.Line, p.Source, p.Before, p.Caret, p.Got)
}

// title is the first line about a case: what it says, and where that stands.
func (s *Screen) title(r *conformance.Result, word string) string {
	line := fmt.Sprintf("%-7s %s %s  %s", word, r.Case.ID, r.Case.Level, r.Case.Title)
	gap := max(s.width()-utf8.RuneCountInString(line)-utf8.RuneCountInString(r.Case.Source), 3)
	line += strings.Repeat(" ", gap) + r.Case.Source
	return strings.Replace(line, word, s.paint(r.Word, word), 1)
}

// width is how many columns there are, within what can be read well.
func (s *Screen) width() int {
	if s.Width == 0 {
		return 120
	}
	return min(s.Width, 120)
}

// named shows a case that the file of expectations names.
func (s *Screen) named(r *conformance.Result) {
	s.printf("%s\n", s.title(r, strings.ToUpper(string(r.Word))))
	told := "is expected to fail, and passes"
	if r.Word == conformance.Known {
		told = place(r)
	}
	s.printf("        %s   %s: %s\n", told, s.Expect.Where(r.Case.ID), strconv.Quote(r.Why))
}

// skipped lists the cases that did not run, by the reason.
func (s *Screen) skipped(results []*conformance.Result) {
	var order []string
	by := map[string][]string{}
	for _, r := range results {
		if by[r.Why] == nil {
			order = append(order, r.Why)
		}
		by[r.Why] = append(by[r.Why], r.Case.ID)
	}
	for _, why := range order {
		s.printf("%s %s: %s\n", s.paint(conformance.Skipped, "SKIPPED"), count(len(by[why]), "case"), Visible([]byte(why)))
		s.printf("%s", indent("        ", fold(by[why], s.width()-8)))
	}
}

// fold writes words in lines of so many columns.
func fold(words []string, most int) string {
	var out strings.Builder
	column := 0
	for _, w := range words {
		if column > 0 && column+1+len(w) > most {
			out.WriteString("\n")
			column = 0
		}
		if column > 0 {
			out.WriteString(" ")
			column++
		}
		out.WriteString(w)
		column += len(w)
	}
	return out.String() + "\n"
}

// wires prints the wire log of each case that ran.
func (s *Screen) wires(run *conformance.Run) {
	for i := range run.Results {
		r := &run.Results[i]
		if r.Word != conformance.Skipped {
			s.printf("%s\n%s", s.line(r), indent("         ", wireLog(r.Wire, whole)))
		}
	}
}

// printf writes to Out. An error is that of a closed pipe: who has stopped reading wants no more.
func (s *Screen) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.Out, format, args...) }
