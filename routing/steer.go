package routing

import (
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// SetDraining makes the server take no new sessions, or take them again.
func (r *Router) SetDraining(on bool) { r.draining.Store(on) }

// Draining reports whether the server as a whole takes no new sessions.
func (r *Router) Draining() bool { return r.draining.Load() }

// SetDraining makes a node take no new sessions, or take them again. It counts for all links of the node's domain, and for
// the next ones too, until the server stops.
func (n *Node) SetDraining(r *Router, on bool) {
	n.home.draining.Store(on)
	for _, src := range n.Sources() {
		r.sessions.SetNodeState(n.ID(), src.current(), n.standing(), time.Time{})
	}
}

// Draining reports whether the node itself takes no new sessions.
func (n *Node) Draining() bool { return n.home.draining.Load() }

// standing is the state of an attached node in the session table.
func (n *Node) standing() storage.NodeState {
	if n.Draining() {
		return storage.Draining
	}
	return storage.Up
}

// TakesSessions reports whether the link may announce sessions that its node does not hold yet.
func (s *Source) TakesSessions() bool { return !s.node.Draining() && !s.r.Draining() }

// Regrant replaces what a link may do, and ends the sessions that its node may not hold any more: it gives their number.
// Stanzas that are being routed may still go by the old grant.
func (s *Source) Regrant(g *Grant) (ended int) {
	was := s.grant.Swap(g)
	lost := slices.DeleteFunc(slices.Clone(was.Users), func(u string) bool { return g.Instances <= 1 && slices.Contains(g.Users, u) })
	if len(lost) == 0 {
		return 0
	}
	return s.r.EndSessions(s.node, func(who stanza.Address) bool { return slices.Contains(lost, string(who.Domain())) })
}

// kickedAtOnce is how many sessions end in one commit.
const kickedAtOnce = 1000

// EndSessions ends the sessions of a node that which names, and gives their number. The node is not told.
func (r *Router) EndSessions(n *Node, which func(who stanza.Address) bool) (ended int) {
	rec, ok := r.sessions.Node(n.ID())
	if !ok {
		return 0
	}
	begin := func() *storage.Batch { return r.sessions.Begin(n.ID(), rec.Inc, r.sessions.NextMark()) }
	b := begin()
	r.sessions.EachOfNode(n.ID(), 0, func(x storage.Session) bool {
		who, _, err := stanza.ParseAddress([]byte(x.JID), false, nil) // canonical
		if err != nil || !which(who) || !b.Kick(who.Bare(), who.Resource()) {
			return true
		}
		if ended++; ended%kickedAtOnce == 0 {
			b.Commit(nil)
			b = begin()
		}
		return true
	})
	b.Commit(nil)
	return ended
}
