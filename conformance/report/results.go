package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// WriteResults writes runs side by side as Markdown: how many cases of each level and of each section went as they should, and
// behind that the failures of each run, with what explains them.
func WriteResults(w io.Writer, columns []Column) error {
	var b strings.Builder
	b.WriteString("## By level\n")
	resultHead(&b, columns)
	for _, l := range conformance.Levels {
		resultRow(&b, string(l), columns, func(c *conformance.Case) bool { return c.Level == l })
	}
	resultRow(&b, "all", columns, func(*conformance.Case) bool { return true })
	gradeRow(&b, columns)
	if all := allSections(columns); len(all) > 1 {
		b.WriteString("\n## By section\n")
		resultHead(&b, columns)
		for _, s := range all {
			resultRow(&b, s.String(), columns, func(c *conformance.Case) bool { return sectionOf(c) == s })
		}
	}
	for _, c := range columns {
		deviations(&b, c.Run)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// gradeRow writes the grades of components, if some were judged.
func gradeRow(b *strings.Builder, columns []Column) {
	row, any := "| grade |", false
	for _, c := range columns {
		g := GradeOf(c.Run)
		any = any || g != ""
		row += " " + string(g) + " |"
	}
	if any {
		b.WriteString(row + "\n")
	}
}

// allSections are the sections of all runs, in the order of their letters.
func allSections(columns []Column) (all []section) {
	for _, c := range columns {
		for _, g := range groups(c.Run.Results) {
			if !slices.Contains(all, g.section) {
				all = append(all, g.section)
			}
		}
	}
	slices.SortFunc(all, func(a, b section) int { return strings.Compare(a.letter, b.letter) })
	return all
}

// columnName is a run in the head of a table. Most servers are judged by the first profile, and components by the only one for them,
// so that goes without saying.
func columnName(run *conformance.Run) string {
	if run.Profile == conformance.Component || run.Profile == conformance.Node {
		return nameOf(run)
	}
	return nameOf(run) + ", " + string(run.Profile)
}

func resultHead(b *strings.Builder, columns []Column) {
	b.WriteString("| |")
	for _, c := range columns {
		b.WriteString(" " + markdown(columnName(c.Run)) + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
}

// resultRow writes how many cases of one kind went as they should in each run, if there are any.
func resultRow(b *strings.Builder, name string, columns []Column, of func(*conformance.Case) bool) {
	row, any := "| "+markdown(name)+" |", false
	for _, c := range columns {
		t := tally{}
		for i := range c.Run.Results {
			if r := &c.Run.Results[i]; of(r.Case) {
				t[r.Word]++
			}
		}
		any = any || t.ran() > 0
		row += " " + resultCell(t) + " |"
	}
	if any {
		b.WriteString(row + "\n")
	}
}

// resultCell counts: 139 of 147, 6 soft.
func resultCell(t tally) string {
	if t.ran() == 0 {
		return "–"
	}
	cell := fmt.Sprintf("%d of %d", t.good(), t.ran())
	if n := t[conformance.Soft]; n > 0 {
		cell += fmt.Sprintf(", %d soft", n)
	}
	return cell
}

// deviations writes the failures of a run.
func deviations(b *strings.Builder, run *conformance.Run) {
	fmt.Fprintf(b, "\n## %s\n", markdown(columnName(run)))
	rows := 0
	for i := range run.Results {
		r := &run.Results[i]
		why := r.Why
		switch r.Word {
		case conformance.Known:
		case conformance.Fail:
			why = expectationOf(r).reason
		default:
			continue
		}
		if rows++; rows == 1 {
			b.WriteString("| case | level | what is right | what it does |\n|---|---|---|---|\n")
		}
		fmt.Fprintf(b, "| %s | %s | %s (%s) | %s |\n", markdown(r.Case.ID), r.Case.Level, markdown(r.Case.Title), markdown(r.Case.Source), markdown(why))
	}
	if rows == 0 {
		b.WriteString("Nothing that was played fails.\n")
	}
}

var markdownEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", "|", `\|`, "*", `\*`, "_", `\_`, "[", `\[`, "`", "\\`", `\`, `\\`)

// markdown makes a text one that Markdown shows as it stands, on one line.
func markdown(text string) string { return markdownEscapes.Replace(Visible([]byte(text))) }
