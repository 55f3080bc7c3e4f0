package report

import (
	"sync"

	"github.com/patchbay-im/patchbay/conformance"
)

// section is a letter of the catalogue of rules.
type section struct{ letter, title string }

func (s section) String() string { return s.letter + " " + s.title }

// sectionTitles gives the titles of the catalogue, by letter.
var sectionTitles = sync.OnceValue(func() map[string]string {
	titles := map[string]string{}
	for _, r := range conformance.Rules() {
		titles[r.ID[:1]] = r.Section
	}
	return titles
})

// sectionOf is the section of a case: the first letter of its id. A run of another version may have cases of others.
func sectionOf(c *conformance.Case) section {
	letter := "?"
	if c.ID != "" {
		letter = c.ID[:1]
	}
	if title := sectionTitles()[letter]; title != "" {
		return section{letter, title}
	}
	return section{letter, "Others"}
}

// words are those of a result, in the order in which tables show them.
var words = []conformance.Word{conformance.Pass, conformance.Soft, conformance.Fail, conformance.Known, conformance.Changed, conformance.Skipped}

// group is the results of one section.
type group struct {
	section
	results []*conformance.Result
}

// groups divides results by section, in the order in which sections first come.
func groups(results []conformance.Result) (all []*group) {
	at := map[section]*group{}
	for i := range results {
		s := sectionOf(results[i].Case)
		if at[s] == nil {
			at[s] = &group{section: s}
			all = append(all, at[s])
		}
		at[s].results = append(at[s].results, &results[i])
	}
	return all
}

// tally counts words.
type tally map[conformance.Word]int

func (g *group) tally() tally {
	t := tally{}
	for _, r := range g.results {
		t[r.Word]++
	}
	return t
}

// ran is how many cases were played.
func (t tally) ran() int { return t.good() + t[conformance.Fail] + t[conformance.Known] }

// good is how many of them went as they should, or in a way that is permitted.
func (t tally) good() int { return t[conformance.Pass] + t[conformance.Soft] + t[conformance.Changed] }
