package report

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// Column is a run among others.
type Column struct {
	Run  *conformance.Run
	File string // where it was read
	Page string // its HTML report, seen from the matrix; "" if there is none
}

// row is a case in all runs of its profile.
type row struct {
	is    *conformance.Case
	cells []*conformance.Result // by run; nil if the run has it not
	of    []int                 // the runs of the profile
}

// differs reports whether the targets of the profile did not all do the same. That a file of expectations names a failure, or a case was
// left out in one way or another, is no difference of theirs.
func (r *row) differs() bool {
	first := did(r.cells[r.of[0]])
	return slices.ContainsFunc(r.of, func(i int) bool { return did(r.cells[i]) != first })
}

// did is what the target of a result did.
func did(r *conformance.Result) conformance.Word {
	switch {
	case r == nil:
		return conformance.Skipped
	case r.Word == conformance.Known:
		return conformance.Fail
	case r.Word == conformance.Changed:
		return conformance.Pass
	}
	return r.Word
}

// rows brings the results of runs together, by profile, section and id.
func rows(columns []Column) (all []*row) {
	type key struct {
		profile conformance.Profile
		id      string
	}
	at, of := map[key]*row{}, map[conformance.Profile][]int{}
	for i, c := range columns {
		of[c.Run.Profile] = append(of[c.Run.Profile], i)
	}
	for i, c := range columns {
		for j := range c.Run.Results {
			r := &c.Run.Results[j]
			k := key{c.Run.Profile, r.Case.ID}
			if at[k] == nil {
				at[k] = &row{r.Case, make([]*conformance.Result, len(columns)), of[c.Run.Profile]}
				all = append(all, at[k])
			}
			at[k].cells[i] = r
		}
	}
	slices.SortStableFunc(all, func(a, b *row) int {
		if n := strings.Compare(string(a.is.Profile), string(b.is.Profile)); n != 0 {
			return n
		}
		return strings.Compare(a.is.ID, b.is.ID)
	})
	return all
}

// Compare writes side by side what differs between runs, and the counts of each.
func Compare(w io.Writer, columns []Column) error {
	var b strings.Builder
	for i, c := range columns {
		fmt.Fprintf(&b, "%2d  %s   %s, %s   %s   %s\n", i+1, target(c.Run), c.Run.Profile, safety(c.Run), stamp(c.Run.Started), Visible([]byte(c.File)))
	}
	all, differ, wide := rows(columns), 0, len("case")
	for _, r := range all {
		if r.differs() {
			wide = max(wide, shown(r.is.ID))
			differ++
		}
	}
	if differ > 0 {
		fmt.Fprintf(&b, "\n%-*s  %-6s", wide, "case", "level")
		for i := range columns {
			fmt.Fprintf(&b, "  %-8d", i+1)
		}
		b.WriteString("\n")
	}
	for _, r := range all {
		if r.differs() {
			fmt.Fprintf(&b, "%-*s  %-6s%s  %s\n", wide, Visible([]byte(r.is.ID)), r.is.Level, cells(r), Visible([]byte(r.is.Title)))
		}
	}
	fmt.Fprintf(&b, "\ncases that differ: %d of %d\n\n", differ, len(all))
	b.WriteString("  ")
	for _, word := range words {
		fmt.Fprintf(&b, "  %7s", word)
	}
	b.WriteString("\n")
	for i, c := range columns {
		fmt.Fprintf(&b, "%2d", i+1)
		for _, n := range tallyOf(c.Run).counts() {
			fmt.Fprintf(&b, "  %7d", n)
		}
		verdict, _ := Verdict(c.Run)
		fmt.Fprintf(&b, "   %s\n", verdict)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cells(r *row) string {
	var b strings.Builder
	for i, c := range r.cells {
		word := ""
		switch {
		case c != nil:
			word = string(c.Word)
		case slices.Contains(r.of, i):
			word = "-"
		}
		fmt.Fprintf(&b, "  %-8s", word)
	}
	return b.String()
}

func tallyOf(run *conformance.Run) tally {
	t := tally{}
	for i := range run.Results {
		t[run.Results[i].Word]++
	}
	return t
}

// The parts of the matrix.
type (
	matrixPage struct {
		frame
		Differ   int
		Count    int
		Runs     []matrixRun
		Sections []matrixSection
	}
	matrixRun struct {
		Name, Page, Profile, Safe, Started, Verdict string
		Counts                                      []int
	}
	matrixSection struct {
		Title, Anchor string
		Runs          []matrixRun // of its profile
		Rows          []matrixRow
	}
	matrixRow struct {
		ID, Title string
		Level     conformance.Level
		Differs   bool
		Cells     []matrixCell
	}
	matrixCell struct {
		Word            conformance.Word
		Mark, Why, Link string
	}
)

// WriteMatrix writes runs side by side as one page that needs no other file: every case, by section. A word links to its
// case in the report of its run, where there is one.
func WriteMatrix(w io.Writer, columns []Column) error {
	p := matrixPage{frame: newFrame()}
	for _, c := range columns {
		verdict, _ := Verdict(c.Run)
		p.Runs = append(p.Runs, matrixRun{nameOf(c.Run), c.Page, string(c.Run.Profile), safety(c.Run), stamp(c.Run.Started), verdict, tallyOf(c.Run).counts()})
	}
	all, profiles := rows(columns), map[conformance.Profile]bool{}
	for _, r := range all {
		profiles[r.is.Profile] = true
	}
	for _, r := range all {
		title := sectionOf(r.is).String()
		anchor := "section-" + sectionOf(r.is).letter
		if len(profiles) > 1 {
			title, anchor = title+", profile "+string(r.is.Profile), anchor+"-"+string(r.is.Profile)
		}
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Anchor != anchor {
			s := matrixSection{Title: title, Anchor: anchor}
			for _, i := range r.of {
				s.Runs = append(s.Runs, p.Runs[i])
			}
			p.Sections = append(p.Sections, s)
		}
		m := matrixRow{ID: r.is.ID, Title: r.is.Title, Level: r.is.Level, Differs: r.differs()}
		if m.Differs {
			p.Differ++
		}
		for _, i := range r.of {
			m.Cells = append(m.Cells, cellOf(r.cells[i], columns[i].Page))
		}
		s := &p.Sections[len(p.Sections)-1]
		s.Rows = append(s.Rows, m)
	}
	p.Count = len(all)
	return pages.ExecuteTemplate(w, "matrix.html", p)
}

func cellOf(r *conformance.Result, page string) matrixCell {
	if r == nil {
		return matrixCell{}
	}
	c := matrixCell{Word: r.Word, Mark: mark(r.Word), Why: Visible([]byte(r.Why))}
	if page != "" {
		c.Link = page + "#" + url.PathEscape(r.Case.ID)
	}
	return c
}
