package conformance

import (
	"strings"
	"time"
)

// Level is how strongly the source of a rule asks for it (RFC 2119).
type Level string

// The levels, strictest first.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
	May    Level = "MAY"
	Policy Level = "policy" // a choice of patchbay's, no document asks for it
)

// Levels lists the levels, strictest first.
var Levels = [...]Level{Must, Should, May, Policy}

// Profile is what a case judges.
type Profile string

// The profiles; each is a folder of cases.
const (
	Component Profile = "component" // any server of XEP-0114
	Modern    Profile = "modern"    // modern component streams (pb:modern)
	Sessions  Profile = "sessions"  // urn:patchbay:sessions:1
	Node      Profile = "node"      // a component: the suite is the server
)

// Profiles lists the profiles.
var Profiles = [...]Profile{Component, Modern, Sessions, Node}

// Case is one play, read from a file. It is not changed after Parse.
type Case struct {
	ID      string // the name of the file, "C19-charref-cr"
	Title   string
	Source  string // where the rule stands: "RFC 6120 4.9.3.18"
	About   string // more, may be empty
	Level   Level
	Profile Profile
	Stress  bool     // heavy or destructive
	Needs   []string // what the run must know: "server", "users"
	Actors  []string // in the order of their first step, "c1", "c1b"
	File    string   // "cases/component/C19-charref-cr.txt"
	Lines   []string // the file, for the one who looks at a fault

	steps []step
	named []string // components of which a value is used
}

// Rule is the rule of the catalogue that the case is of.
func (c *Case) Rule() string {
	rule, _, _ := strings.Cut(c.ID, "-")
	return rule
}

// Word is what became of a case.
type Word string

// The words of a result.
const (
	Pass    Word = "pass"
	Soft    Word = "soft"    // a permitted alternative
	Fail    Word = "fail"    //
	Known   Word = "known"   // a fail that the file of expectations names
	Changed Word = "changed" // it passes, and the file of expectations says it fails
	Skipped Word = "skipped" // it did not run; Why says why
)

// Result is what became of one case.
type Result struct {
	Case  *Case
	Word  Word
	Why   string        // of soft, known, changed and skipped
	Fault *Fault        // of fail and known
	Took  time.Duration // from the first step to the last
	Wire  []Record      // what was sent and received, in order
}

// Fault is where a play did not go as it should.
type Fault struct {
	Line  int           // of Case.Lines, from 1; 0 when it was none of them
	Col   int           // the first byte of the line that did not hold, from 0
	Width int           // in bytes, at least 1
	Got   string        // what came instead, in the words of the language: `body="a\nb"`
	After time.Duration // how long the step had been waiting
}

// Record is what one actor sent or received at once, or a note of what it did.
type Record struct {
	At    time.Duration // since the case began
	Actor string
	Kind  RecordKind
	Bytes []byte // as on the wire; the words of a note
}

// RecordKind says which way the bytes of a record went.
type RecordKind byte

// The kinds of records.
const (
	Sent     RecordKind = '>'
	Received RecordKind = '<'
	Noted    RecordKind = '*' // connected, closed, reset, TLS
)

// Run is one run of the suite against one target.
type Run struct {
	Version string // of patchbay
	Target  string // "127.0.0.1:5347"
	Product string // what the target says it is (XEP-0092), may be empty
	Profile Profile
	Safe    bool // without the cases of stress
	Started time.Time
	Took    time.Duration
	Results []Result // in the order of their cases
}

// Tally counts the results of a run by level and word.
func (r *Run) Tally() map[Level]map[Word]int {
	tally := map[Level]map[Word]int{}
	for i := range r.Results {
		res := &r.Results[i]
		if tally[res.Case.Level] == nil {
			tally[res.Case.Level] = map[Word]int{}
		}
		tally[res.Case.Level][res.Word]++
	}
	return tally
}

// Conforms reports whether no case failed or changed, and at least one ran.
func (r *Run) Conforms() bool {
	ran := false
	for i := range r.Results {
		switch r.Results[i].Word {
		case Fail, Changed:
			return false
		case Skipped:
		default:
			ran = true
		}
	}
	return ran
}
