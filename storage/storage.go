package storage

import (
	"errors"
	"time"
)

// Limits of the session table.
const (
	maxBare      = 2047 // bytes of a bare JID: RFC 7622 3.1, 1023 for each part and the @
	maxResource  = 1023 // bytes of a resourcepart: RFC 7622 3.4
	MaxResources = 256  // sessions of one bare JID: bounds what a look-up must probe
)

// Errors of the session table. ErrClosed is the offline store's too.
var (
	ErrTooManyResources = errors.New("announce: the user has 256 sessions")
	ErrBadAddress       = errors.New("announce: not a full JID")
	ErrStale            = errors.New("announce: the node has attached again or has ended")
	ErrClosed           = errors.New("use the store: closed")
)

// NodeID is a node's number in this table: small, stable on disk, never 0 for a node.
type NodeID uint32

// Mark orders statements about sessions: each attach and each sync start takes a new, higher one.
type Mark uint32

// NodeState is the state of a node record (docs: design, the session table).
type NodeState uint8

// The states of a node record. Sessions of a node in any state but Gone are alive.
const (
	Up       NodeState = iota // attached
	Draining                  // attached, takes no new sessions
	Away                      // dropped, inside its grace
	Gone                      // dropped, grace over: its sessions have ended
)

// NodeRecord is what the table keeps of a node, apart from its sessions: losing or moving a node is a
// change of this one record.
type NodeRecord struct {
	ID     NodeID
	Domain string
	Inc    uint64 // incarnation: rises at each attach
	Base   uint64 // sessions of an incarnation below Base are dead
	Server string // the server on which the node is
	State  NodeState
	Until  time.Time // end of the grace, when Away
	Seen   time.Time // last attach or drop
}

// Match is one live session found by Find.
type Match struct {
	Node     NodeID
	Priority int8
}

// EndedSession is a session that is no more.
type EndedSession struct {
	JID   string
	Node  NodeID
	Since time.Time
	Ended time.Time
	Why   Why
}

// Loaded says what the table held when it was opened.
type Loaded struct {
	Nodes    int
	Sessions int
	Dead     int           // of Sessions: ended before they were in memory, still to be swept
	Took     time.Duration // until all were in memory
}

// Session is a live session with all that is known of it, for people and for where.
type Session struct {
	JID      string
	Node     NodeID
	Inc      uint64
	Version  uint64
	Priority int8
	Since    time.Time
}

// Policy says what Announce does with a session that another node holds.
type Policy uint8

const (
	Take  Policy = iota // the newest log-in wins
	Never               // the holder keeps it
	Sync                // taken only from a holder that is away, or that has not confirmed it since its own attach
)

// Change tells what Announce did.
type Change uint8

const (
	Created   Change = iota // a new session
	Confirmed               // it was held here already, with this priority: touched in memory, nothing written
	Updated                 // held here, new priority
	Taken                   // held by another node until now
	Held                    // held by another node, which keeps it: nothing changed
)

// Why tells how a session ended.
type Why uint8

const (
	Withdrawn   Why = iota // the node said so
	Replaced               // another node took it
	Unconfirmed            // the node came back and did not name it again
	NodeLeft               // the node's grace passed
	Kicked                 // an operator ended it
)

var whyWords = [...]string{"withdrawn", "replaced", "unconfirmed", "node-left", "kicked"}

// String gives the word for people: "withdrawn", "replaced", "unconfirmed", "node-left" or "kicked".
func (w Why) String() string { return whyWords[w] }

var changeWords = [...]string{"created", "confirmed", "updated", "taken", "held"}

// String gives the word for people: "created", "confirmed", "updated", "taken" or "held".
func (c Change) String() string { return changeWords[c] }

// String gives the word of protocol 5: "up", "draining", "away" or "gone".
func (s NodeState) String() string { return [...]string{"up", "draining", "away", "gone"}[s] }
