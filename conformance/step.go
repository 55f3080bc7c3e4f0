package conformance

import "time"

// verb is what a step does.
type verb string

const (
	vAttach    verb = "attach"
	vClear     verb = "clear"
	vConnect   verb = "connect"
	vAccept    verb = "accept"
	vOpen      verb = "open"
	vHandshake verb = "handshake"
	vSend      verb = "send"
	vExpect    verb = "expect"
	vClose     verb = "close"
	vDrop      verb = "drop"
	vReset     verb = "reset"
	vWait      verb = "wait"
	vHold      verb = "hold"
	vGoOn      verb = "go"
	vMute      verb = "mute"
	vAttend    verb = "attend"
	vAlone     verb = "alone"
	vStartTLS  verb = "starttls"
	vScram     verb = "scram"
	vCheck     verb = "check"
)

// place is where in a file something stands.
type place struct {
	line  int // from 1
	col   int // bytes, from 0
	width int // bytes, at least 1
}

// step is one line of a play, with the lines that go on with it.
type step struct {
	at    place
	actor string // empty for check
	verb  verb

	// of send
	text   template
	pieces int           // bytes at once, 0 for all
	split  int           // bytes of the first of two pieces, 0 for none
	apart  time.Duration // between pieces

	times int           // how often the step is done; of send and expect
	marks []mark        // of open and scram: attributes
	span  time.Duration // of wait and alone: how long; of expect: until it must have come, 0 for the usual
	all   bool          // of expect: the alternatives come all, in any order
	alts  []alternative // of expect
	check check
}

// alternative is one of the right answers.
type alternative struct {
	at    place
	soft  bool
	seeks bool // what does not fit is passed over
	why   string
	whats []what // one behind the other
}

// what is one thing to come.
type what struct {
	at         place
	kind       whatKind
	name       string   // of a stanza or an element; "" for any
	space      string   // of an element
	conditions []string // of a stream error: one of these
	marks      []mark
	xml        template      // of wXML: the element
	span       time.Duration // of nothing for
	actor      string        // of nothing until
}

type whatKind string

const (
	wHeader      whatKind = "header"
	wHandshake   whatKind = "handshake"
	wStanza      whatKind = "stanza"
	wStreamError whatKind = "stream-error"
	wElement     whatKind = "element"
	wXML         whatKind = "xml"
	wEnd         whatKind = "end"
	wEOF         whatKind = "eof"
	wClose       whatKind = "close"
	wGone        whatKind = "gone"
	wNothing     whatKind = "nothing"
	wMarker      whatKind = "nothing until"
)

// mark is one thing that must hold of what has come: key=value.
type mark struct {
	at     place
	key    string // "id", "xml:lang", "body", "error", "has", ...
	values []template
	keep   string // the value is kept under this name
}

// check compares what was kept.
type check struct {
	length bool // of the left side, in bytes
	left   template
	op     string // "=", "!=", "<=", ">=", "matches"
	right  template
}
