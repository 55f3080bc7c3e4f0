package routing

import (
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// SetDraining makes the server take no new sessions, or take them again. Its nodes are told (urn:patchbay:sessions:1), those
// that attach later at their attach.
func (r *Router) SetDraining(on bool) {
	r.draining.Store(on)
	r.tellDrains()
}

// Draining reports whether the server as a whole takes no new sessions.
func (r *Router) Draining() bool { return r.draining.Load() }

// SetDraining makes a node take no new sessions, or take them again. It counts for all links of the node's domain, and for
// the next ones too, until the server stops. The peers are told.
func (n *Node) SetDraining(r *Router, on bool) {
	n.home.draining.Store(on)
	r.sessions.Stand(n.ID(), n.standing) // one that attaches at this moment looks by itself, behind its record
	for _, m := range n.home.all() {
		m.tellDrain(r)
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

// mayHold reports whether a node with the grant may have sessions of a user domain.
func (g *Grant) mayHold(domain string) bool {
	return g.Instances <= 1 && slices.Contains(g.Users, domain)
}

// within reports whether a node with the grant may hold no more than one with another.
func (g *Grant) within(other *Grant) bool {
	return !slices.ContainsFunc(g.Users, func(u string) bool { return g.mayHold(u) && !other.mayHold(u) })
}

// Regrant replaces what a link may do, and ends the sessions that its node may not hold any more: it gives their number.
// Stanzas that are being routed may still go by the old grant; sessions that they announce end with their batch.
func (s *Source) Regrant(g *Grant) (ended int) {
	if s.grant.Swap(g).within(g) {
		return 0
	}
	s.narrowed.Store(true) // what was announced before the reader finds this, is found here
	return s.revoke()
}

// revoke ends the sessions that the node may not hold, and gives their number.
func (s *Source) revoke() (ended int) {
	g := s.Grant()
	return s.r.endSessions(s.node, func(who stanza.Address) bool { return !g.mayHold(string(who.Domain())) })
}

// kickedAtOnce is how many sessions end in one commit.
const kickedAtOnce = 1000

// endSessions ends the sessions of a node that which names, tells the node, and gives their number.
func (r *Router) endSessions(n *Node, which func(who stanza.Address) bool) (ended int) {
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
		r.service.Revoked(n, who)
		if ended++; ended%kickedAtOnce == 0 {
			b.Commit(nil)
			b = begin()
		}
		return true
	})
	b.Commit(nil)
	return ended
}
