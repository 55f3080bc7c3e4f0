package report

import (
	"slices"

	"github.com/patchbay-im/patchbay/conformance"
)

// Grade is how much a router can know of a stanza that it has handed to a component (docs/protocol.md, section 13): all of it rests
// on whether the component answers pings.
type Grade string

// The grades that a run of the profile node can tell apart.
const (
	Proved  Grade = "proved"  // what was written before a ping that was answered is known to have been read
	Written Grade = "written" // a stanza was handed to the connection, and may be lost with it
)

// probes are the cases in which a ping is answered: in both forms that a router tries.
var probes = []string{"N04-ping-is-answered", "N05-ping-result", "N05-ping-in-the-client-namespace"}

// GradeOf is the grade of the component that a run has judged; empty if the run is of another profile, or no ping was sent.
func GradeOf(run *conformance.Run) Grade {
	var grade Grade
	for i := range run.Results {
		r := &run.Results[i]
		switch {
		case run.Profile != conformance.Node || !slices.Contains(probes, r.Case.ID) || r.Word == conformance.Skipped:
		case pong(r):
			return Proved
		default:
			grade = Written
		}
	}
	return grade
}

// pong reports whether a ping was answered. A foreign namespace may be passed over in silence, so soft is an answer to the others
// only.
func pong(r *conformance.Result) bool {
	switch r.Word {
	case conformance.Pass, conformance.Changed:
		return true
	case conformance.Soft:
		return r.Case.ID != probes[2]
	}
	return false
}

// Means says what a grade is, in a sentence.
func (g Grade) Means() string {
	switch g {
	case Proved:
		return "it answers pings, so a router knows what it has read, and keeps the rest for it"
	case Written:
		return "it answers no ping, so what was handed to its connection may be lost with it"
	}
	return ""
}
