package report

import "github.com/patchbay-im/patchbay/conformance"

// section is a letter of the catalogue of rules.
type section struct{ letter, title string }

func (s section) String() string { return s.letter + " " + s.title }

var sections = []section{
	{"A", "Stream opening"}, {"B", "Handshake"}, {"C", "Closing and errors"}, {"D", "TLS and SASL"}, {"E", "Dialback"}, {"F", "Addresses"},
	{"G", "Stanza addressing"}, {"H", "IQ and stanza errors"}, {"I", "Routing and delivery"}, {"J", "Extensions"}, {"N", "Being a node"},
}

// sectionOf is the section of a case: the first letter of its id.
func sectionOf(c *conformance.Case) section {
	letter := "?"
	if c.ID != "" {
		letter = c.ID[:1]
	}
	for _, s := range sections {
		if s.letter == letter {
			return s
		}
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
