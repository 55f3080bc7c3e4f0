package routing

import (
	"slices"
	"strings"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// NodeFacts is what is known of one node at this moment, all links of its domain together.
type NodeFacts struct {
	Domain     string
	State      NodeState // the best of its links; Never also for a node that only the configuration knows
	Draining   bool      // it takes no new sessions
	Links      int       // open, or being opened
	LinksMax   int       // as many as may share the domain
	Sessions   int
	In         uint64        // stanzas read from it since the start
	Out        uint64        // and written to it
	Queue      uint64        // stanzas that wait for it in memory
	QueueBytes uint64        // their bytes
	QueueMax   uint64        // bytes that may wait there
	Oldest     time.Duration // age of the oldest stanza that waits, to a tick of housekeeping (250 ms); 0: nothing waits
	Since      time.Time     // the last change of State
	GraceEnds  time.Time     // Away: then its sessions end too; else zero
	Confirming bool          // it is back, and has not said yet who is still there
	Multicast  bool          // it takes one stanza for several of its users (XEP-0033)

	Grade         Grade  // the lowest of its links, or of the last ones while it has none
	Unproved      uint64 // stanzas written to its links and not proved
	UnprovedBytes uint64 // their bytes
	Window        uint64 // bytes that may be written and not proved
	OutboxStanzas uint64 // stanzas that wait for it on disk
	OutboxBytes   uint64 // their bytes
	Spilling      bool   // it is attached, and what comes for it goes to its outbox: it reads too slowly
}

// Word is the state as tables show it; draining is said of a node that is attached.
func (f *NodeFacts) Word() string {
	if f.Draining && f.State == Attached {
		return "draining"
	}
	return f.State.String()
}

// Facts gives every node that is known here, by domain: those that the configuration names, and those that were ever
// attached. One that was taken out of the configuration and never came is not among them.
func (r *Router) Facts() []NodeFacts {
	var all []NodeFacts
	now := r.clock.Load()
	for _, n := range r.Nodes() {
		if n.home == n && (n.ID() != 0 || n.Reachable() != Never) {
			all = append(all, r.facts(n, now))
		}
	}
	slices.SortFunc(all, func(a, b NodeFacts) int { return strings.Compare(a.Domain, b.Domain) })
	return all
}

// facts looks at the links of one domain, one after the other.
func (r *Router) facts(home *Node, now int64) NodeFacts {
	f := NodeFacts{Domain: home.Domain, State: home.Reachable(), Draining: home.Draining()}
	if id := home.ID(); id != 0 {
		f.Sessions = r.sessions.Count(id)
		if rec, ok := r.sessions.Node(id); ok && f.State == Away {
			f.GraceEnds = rec.Until
		}
	}
	f.LinksMax, f.Multicast = len(home.all()), f.State == Attached
	for _, m := range home.all() {
		f.add(m, now)
	}
	if f.State == Past && home.ID() == 0 {
		f.State = Never // only the configuration knows it
	}
	return f
}

// add adds one of the nodes that share the domain.
func (f *NodeFacts) add(m *Node, now int64) {
	q := m.queue.stats()
	f.Out, f.Queue, f.QueueBytes = f.Out+q.Written, f.Queue+q.Waiting-uint64(q.KeptStanzas), f.QueueBytes+uint64(q.Bytes)
	f.Unproved, f.UnprovedBytes = f.Unproved+q.Unproved, f.UnprovedBytes+uint64(q.UnprovedBytes)
	f.OutboxStanzas, f.OutboxBytes = f.OutboxStanzas+uint64(q.KeptStanzas), f.OutboxBytes+uint64(q.Kept)
	f.Window += uint64(q.Window)
	if since := m.queue.oldest(); since > 0 {
		f.Oldest = max(f.Oldest, time.Duration(now-since))
	}
	state := m.State()
	if state >= Away || f.QueueMax == 0 {
		f.QueueMax += uint64(q.Limit)
	}
	f.grade(m.Grade())
	f.Spilling = f.Spilling || q.Spilling && state == Attached
	f.Confirming = f.Confirming || m.confirms.Load()
	f.Multicast = f.Multicast && (state != Attached || m.multicast.Load())
	m.mu.Lock()
	defer m.mu.Unlock()
	f.In += m.read
	if m.src != nil {
		f.In += m.src.accepted.Load()
		f.Links++
	}
	if state == f.State && (f.Since.IsZero() || m.since.Before(f.Since)) {
		f.Since = m.since
	}
}

// grade takes the grade of one of the nodes that share the domain.
func (f *NodeFacts) grade(g Grade) {
	if g != GradeNone && (f.Grade == GradeNone || g < f.Grade) {
		f.Grade = g
	}
}

// NodeReasons gives the stanzas that came from a node and were not delivered since the start, by reason. Under the
// server's own domain are those that it made itself, and those of nodes that it has forgotten: over all domains of
// Facts and this one, the sum is Ledger.Reasons.
func (r *Router) NodeReasons(domain string) map[Reason]uint64 {
	n := r.Node(domain)
	if domain == r.cfg.Server {
		n = r.nobody
	}
	if n == nil {
		return nil
	}
	counts := map[Reason]uint64{}
	for why := range reasons {
		if c := n.lost[why].Load(); c > 0 {
			counts[why] = c
		}
	}
	if n != r.nobody {
		return counts
	}
	for _, m := range r.Nodes() {
		if lost := m.queue.stats().Unsaid; lost > 0 {
			counts[NoticeLost] += lost
		}
	}
	return counts
}

// lost counts stanzas of a node that end undelivered, and not in a batch of work.
func (r *Router) lost(why Reason, from *Node, n uint64) {
	r.tally.why[why].Add(n)
	from.home.lost[why].Add(n)
}

// from gives the node that a stanza came from, or the one that stands for the server and for nodes long forgotten.
func (r *Router) from(id storage.NodeID) *Node {
	if n := r.table.node(id); n != nil {
		return n
	}
	return r.nobody
}
