// Package demo is what `patchbay demo` shows: three nodes that chat across a router, and what becomes of each stanza.
//
//	Stage    three nodes on the SDK, their conversation, a steady load, the stories    needs only an address
//	Source   where a view gets its numbers and events from                             Stage, with the server's part added
//	Run      draws a Source four times a second, or prints a line per event
//	Render   one screen as a string: pure, so that tests hold it still
package demo

import "time"

// Kind says what an Event tells.
type Kind uint8

// The kinds of events.
const (
	Message Kind = iota // a message arrived at its node
	Bounced             // a message came back: Note says why
	Moved               // a user has changed nodes
	Note                // anything else in one sentence
)

// Event is one line of the conversation. Addresses are short: alice/phone, node1.
type Event struct {
	Time             time.Time
	Kind             Kind
	From, To         string // users
	FromNode, ToNode string
	Body             string
	Latency          time.Duration // from Send to the receiving handler; 0 is not shown
	Note             string
	Outcome          string // one word at the end: written, bounced, "0 lost"
}

// NodeView is a node as the screen shows it.
type NodeView struct {
	Name     string   // node1
	Sessions []string // alice/phone
	In, Out  uint64   // stanzas from the node, to the node
	Grade    string   // what is known of delivery: probing, written, proved; "away" while it is cut off
	Draining bool     // it takes no new users
}

// Count is a term of the ledger.
type Count struct {
	Word string
	N    uint64
}

// Key is a story and the key that tells it.
type Key struct{ Key, Text string }

// Snapshot is everything on the screen at one moment.
type Snapshot struct {
	Server    string // hub1.im.example
	Up        time.Duration
	Component string // address of the component port
	HTTP      string // URL
	Nodes     []NodeView
	Sessions  int
	Rate      float64 // messages per second
	P50, P99  time.Duration
	Accepted  uint64
	Made      uint64  // by the server itself: errors, replies
	Ends      []Count // what was accepted and made is their sum, or the ledger does not add up
	Events    []Event // oldest first
	Keys      []Key
	Attach    string // the command that attaches one more node
}

// Balanced reports whether every accepted stanza is accounted for.
func (s *Snapshot) Balanced() bool {
	var sum uint64
	for _, c := range s.Ends {
		sum += c.N
	}
	return sum == s.Accepted+s.Made
}

// Source feeds a view.
type Source interface {
	Snapshot() Snapshot   // now; safe to keep
	Events() <-chan Event // each event once, for the plain mode; lost for a reader that does not read
	Press(key string)     // a key that the snapshot lists
}
