package routing

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// Grant is what the configuration lets a node do. It is data, and is not changed once in use.
type Grant struct {
	Users       []string // user domains whose sessions it may announce
	SpeakDomain bool     // may use any address of those domains as from, not only users it holds
	TakeOver    bool     // its log-ins may take a session that another node holds
	Instances   int      // links that may share its domain; 0 is 1

	DropUnproved bool // at an unclean end of a link of the grade written, what was written counts as it did: it is not sent again
}

// MayAnnounce reports whether the grant covers a user domain.
func (g *Grant) MayAnnounce(domain []byte) bool {
	for _, u := range g.Users {
		if u == string(domain) {
			return true
		}
	}
	return false
}

// Node is an IM back-end that is, was or may be attached here, under its own domain. It outlives its links. Where
// several links may share a domain, each is a Node of its own: see instances.go.
type Node struct {
	// set once
	Domain string
	queue  *Queue
	home   *Node // the first of the domain's nodes: the one itself, where there is one

	// of home: all nodes of the domain, replaced whole under its mu; nil where there is one
	instances atomic.Pointer[[]*Node]

	draining  atomic.Bool   // of home: it takes no new sessions
	turn      atomic.Uint64 // rises with each grace that begins to be ended
	wanted    atomic.Bool   // a link waits until its grace has been ended
	busy      atomic.Bool   // its reader is at work, and reads nothing
	ending    atomic.Bool   // its grace is being ended
	confirms  atomic.Bool   // it has come back, and has not said yet who is still there
	telling   atomic.Uint64 // who found news of a drain: one of them tells them
	toldDrain atomic.Uint64 // the incarnation whose peer was told of a drain last, 0 if the drain is over: by who tells
	grade     atomic.Uint32 // Grade of its link, or of its last one
	coming    atomic.Int32  // of home: links of the domain that have started, or are about to
	multicast atomic.Bool   // it takes one stanza for several of its users (XEP-0033), and has said so

	custody atomic.Pointer[custody] // of its last link whose peer counts

	lost [reasons]atomic.Uint64 // of home: stanzas that came from here and were not delivered

	// written under mu, read without it
	state atomic.Uint32 // NodeState
	id    atomic.Uint32 // storage.NodeID, 0 until the first attach

	// guarded by mu
	mu        sync.Mutex
	src       *Source       // the attached or attaching link
	links     int           // of home: links of the domain that have started
	left      chan struct{} // closed when src has gone
	leaving   bool          // src is going: of its stream there is what is held
	granted   *Grant        // what the last link that went might do
	held      *Source       // the last link, while it may be resumed
	rec       storage.NodeRecord
	since     time.Time     // the last change of state
	read      uint64        // stanzas of links that have ended
	timer     *time.Timer   // ends the grace, or the time to confirm
	expiring  chan struct{} // not nil while the grace is being ended, or another link takes over what waits; closed when that is done
	returning bool          // it was attached before a restart, and its sessions are not confirmed yet
}

// State is the node's state now.
func (n *Node) State() NodeState { return NodeState(n.state.Load()) }

// setState changes the state, and keeps count of the nodes that are away.
func (n *Node) setState(r *Router, s NodeState) {
	was := NodeState(n.state.Swap(uint32(s)))
	if was == Away {
		r.away.Add(-1)
	}
	if s == Away {
		r.away.Add(1)
	}
}

// become changes the state of a node without a link, unless it has another one already: a link may attach meanwhile.
func (n *Node) become(s, next NodeState) { n.state.CompareAndSwap(uint32(s), uint32(next)) }

// ID is the node's number in the session table, 0 if it was never attached.
func (n *Node) ID() storage.NodeID { return storage.NodeID(n.id.Load()) }

// Queue tells what waits for the node.
func (n *Node) Queue() QueueStats { return n.queue.stats() }

// Source is the node's link, nil when it has none; gone is closed when that link has gone.
func (n *Node) Source() (src *Source, gone <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.src, n.left
}

// Stream is that of the node's link, or of one that dropped and may be resumed; nil if there is none.
func (n *Node) Stream() *Source {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.src != nil && !n.leaving:
		return n.src.stream
	case n.held != nil:
		return n.held.stream
	}
	return nil
}

// Since is the time of the last change of state.
func (n *Node) Since() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.since
}

// stopTimer ends a running grace or confirmation. Called with mu held.
func (n *Node) stopTimer() {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
}
