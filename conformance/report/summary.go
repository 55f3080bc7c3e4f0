package report

import (
	"fmt"
	"strings"

	"github.com/patchbay-im/patchbay/conformance"
)

// summary is the end of a run: how many cases of each level went as they should, the verdict, and the grade of a component.
func summary(run *conformance.Run, reports []string) string {
	var parts []string
	all := run.Tally()
	for _, l := range conformance.Levels {
		if t := tally(all[l]); t != nil {
			parts = append(parts, levelSum(l, t))
		}
	}
	if run.Product != "" {
		parts = append([]string{cut([]byte(run.Product), 60)}, parts...)
	}
	parts = append(parts, span(run.Took))
	if len(reports) > 0 {
		parts = append(parts, strings.Join(reports, " "))
	}
	verdict, example := Verdict(run)
	line := "  " + strings.Join(parts, "   ") + "\n  " + verdict
	if example != "" {
		line += "          rerun one: " + verb(run.Profile) + " ... --only " + example + " --wire"
	}
	if g := GradeOf(run); g != "" {
		line += fmt.Sprintf("\n  grade: %s   %s", g, g.Means())
	}
	return line + "\n"
}

// together writes a list: a, b and c.
func together(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// verb is the command that judges a profile.
func verb(p conformance.Profile) string {
	if p == conformance.Node {
		return "patchbay conformance node"
	}
	return "patchbay conformance"
}

// levelSum is one level: MUST 139/147 (5 failed, 3 known).
func levelSum(l conformance.Level, t tally) string {
	var but []string
	for _, w := range words[1:] {
		if t[w] > 0 {
			but = append(but, fmt.Sprintf("%d %s", t[w], past(w)))
		}
	}
	sum := fmt.Sprintf("%s %d/%d", l, t.good(), t.ran())
	if len(but) > 0 {
		sum += " (" + strings.Join(but, ", ") + ")"
	}
	return sum
}

// ofWord counts the cases of a word, and says how many of each level they are.
func ofWord(run *conformance.Run, word conformance.Word) (count int, says []string) {
	all := run.Tally()
	for _, l := range conformance.Levels {
		if n := all[l][word]; n > 0 {
			says = append(says, fmt.Sprintf("%d %s", n, l))
			count += n
		}
	}
	return count, says
}

// Verdict says whether a run conforms, and if not why, with the id of the first case that is in the way. That all failures were known does
// not make a server conform: then it does as expected.
func Verdict(run *conformance.Run) (verdict, example string) {
	if n, known := ofWord(run, conformance.Known); run.Conforms() && n > 0 {
		return "as expected: known to fail are " + together(known), ""
	}
	if run.Conforms() {
		return "conforms", ""
	}
	count, fails := ofWord(run, conformance.Fail)
	changed, _ := ofWord(run, conformance.Changed)
	var why []string
	switch count {
	case 0:
	case 1:
		why = append(why, fails[0]+" fails")
	default:
		why = append(why, together(fails)+" fail")
	}
	if changed > 0 {
		why = append(why, fmt.Sprintf("%d changed", changed))
	}
	if len(why) == 0 {
		return "does not conform: no case ran", ""
	}
	for i := range run.Results {
		if w := run.Results[i].Word; w == conformance.Fail || w == conformance.Changed {
			example = run.Results[i].Case.ID
			break
		}
	}
	return "does not conform: " + strings.Join(why, ", "), example
}
