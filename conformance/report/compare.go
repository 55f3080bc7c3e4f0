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

// row is a case in all runs that have it.
type row struct {
	is    *conformance.Case
	cells []*conformance.Result // by run; nil if the run has it not
}

// differs reports whether not all runs say the same.
func (r *row) differs() bool {
	for _, c := range r.cells {
		if (c == nil) != (r.cells[0] == nil) || c != nil && c.Word != r.cells[0].Word {
			return true
		}
	}
	return false
}

// rows brings the results of runs together, by profile, section and id.
func rows(columns []Column) (all []*row) {
	type key struct {
		profile conformance.Profile
		id      string
	}
	at := map[key]*row{}
	for i, c := range columns {
		for j := range c.Run.Results {
			r := &c.Run.Results[j]
			k := key{c.Run.Profile, r.Case.ID}
			if at[k] == nil {
				at[k] = &row{r.Case, make([]*conformance.Result, len(columns))}
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
	for _, c := range r.cells {
		word := "-"
		if c != nil {
			word = string(c.Word)
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
			p.Sections = append(p.Sections, matrixSection{Title: title, Anchor: anchor})
		}
		m := matrixRow{ID: r.is.ID, Title: r.is.Title, Level: r.is.Level, Differs: r.differs()}
		if m.Differs {
			p.Differ++
		}
		for i, c := range r.cells {
			m.Cells = append(m.Cells, cellOf(c, columns[i].Page))
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
