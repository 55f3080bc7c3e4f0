package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/patchbay-im/patchbay/conformance"
)

// pointed is a fault as it is shown: the line of the play, and what points at the place in it.
type pointed struct {
	Line   int    // 0 if it was none of them
	Source string // the line
	Before string // as wide as what stands before the place
	Caret  string // ^~~~
	Got    string // what came instead
}

// point makes a fault of a case ready to be shown.
func point(c *conformance.Case, f *conformance.Fault) pointed {
	p := pointed{Line: f.Line, Got: "got " + cut([]byte(f.Got), mostGot)}
	if f.Got == "" {
		p.Got = "got nothing"
	}
	if f.After > 0 {
		p.Got += " after " + span(f.After)
	}
	if f.Line < 1 || f.Line > len(c.Lines) {
		p.Line = 0
		return p
	}
	line := c.Lines[f.Line-1]
	from := min(max(f.Col, 0), len(line))
	to := min(from+max(f.Width, 1), len(line))
	p.Source = Visible([]byte(line))
	p.Before = strings.Repeat(" ", shown(line[:from]))
	p.Caret = "^" + strings.Repeat("~", max(shown(line[from:to])-1, 0))
	return p
}

// shown is how many characters a text takes.
func shown(s string) int { return utf8.RuneCountInString(Visible([]byte(s))) }

// mostGot bounds what is said of what came instead; the wire log has more.
const mostGot = 1000

// place is where a play did not go as it should: file:line.
func place(r *conformance.Result) string {
	if r.Fault == nil || r.Fault.Line < 1 {
		return r.Case.File
	}
	return fmt.Sprintf("%s:%d", r.Case.File, r.Fault.Line)
}

// indent puts the same before each line.
func indent(lead, text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimRight(lead+line, " \n") + "\n")
	}
	return out.String()
}
