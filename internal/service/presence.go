package service

import (
	"errors"
	"strconv"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// presence announces or withdraws a session by directed presence, which every XMPP library can send
// (protocol.md 1.2). There is no reply on success.
func (s *Service) presence(src *routing.Source, h *stanza.Header, from, to stanza.Address) routing.Reason {
	switch h.Type {
	case stanza.TypeNone, stanza.TypeUnavailable:
	case stanza.TypeError:
		return routing.ErrorToNobody
	default:
		return routing.NoRoster
	}
	if from.IsBare() || len(from.Local()) == 0 || string(from.Domain()) != string(to.Domain()) ||
		!src.Grant().MayAnnounce(to.Domain()) {
		return routing.AnnounceRefused
	}
	if src.Grant().Instances > 1 {
		return routing.ManyInstances
	}
	leaves := h.Type == stanza.TypeUnavailable
	if !leaves && !src.TakesSessions() && !s.holds(src, from) {
		return routing.Drained
	}
	b := s.begin(src)
	if leaves {
		b.Withdraw(from.Bare(), from.Resource())
		b.Commit(nil)
		return routing.None
	}
	expected := s.router.Expect(from.Bare(), src.Node())
	change, prev, err := s.announce(src, b, from, priority(h))
	b.Commit(nil)
	s.router.Announced(from.Bare(), expected)
	switch {
	case errors.Is(err, storage.ErrTooManyResources):
		s.sessions.Excuse(from.Bare(), src.Node().ID())
		return routing.AnnounceLimit
	case err != nil:
		return routing.AnnounceRefused
	}
	if change == storage.Held {
		if src.Sync().Running {
			s.notifyReplaced(src.Node(), from, prev)
			return routing.None
		}
		return routing.HeldElsewhere
	}
	src.Accepted()
	return routing.None
}

// announce makes src's node the holder of a session. What waits for it at a node that is away comes first: before
// the change, and once more after it for what was on its way meanwhile. What comes in between waits.
func (s *Service) announce(src *routing.Source, b *storage.Batch, who stanza.Address, prio int8) (storage.Change, storage.NodeID, error) {
	pol := policy(src)
	if s.router.SomebodyAway() && pol != storage.Never {
		if m := s.sessions.Find(s.sessions.Hash(who.Bare()), who.Bare(), who.Resource(), nil); len(m) > 0 && m[0].Node != src.Node().ID() {
			s.router.Moving(who.Bare())
			defer s.router.Moved(who.Bare())
			s.move(src, who, m[0].Node)
		}
	}
	change, prev, err := b.Announce(who.Bare(), who.Resource(), prio, pol)
	if change == storage.Taken && err == nil {
		s.move(src, who, prev)
		s.taken(src, who, prev)
	}
	return change, prev, err
}

// move takes along what waits for a session at its old node.
func (s *Service) move(src *routing.Source, who stanza.Address, old storage.NodeID) {
	if rec, ok := s.sessions.Node(old); ok && old != src.Node().ID() {
		if n := s.router.Node(rec.Domain); n != nil {
			s.router.Move(who, n, src.Node())
		}
	}
}

// begin starts a batch of changes by a link. Inside a sync its touches carry the sync's mark.
func (s *Service) begin(src *routing.Source) *storage.Batch {
	inc, mark := src.Incarnation()
	if st := src.Sync(); st.Running {
		mark = st.Mark
	}
	return s.sessions.Begin(src.Node().ID(), inc, mark)
}

// holds reports whether a session is one of the link's node already: a drained node may confirm it, and change its
// priority.
func (s *Service) holds(src *routing.Source, who stanza.Address) bool {
	m := s.sessions.Find(s.sessions.Hash(who.Bare()), who.Bare(), who.Resource(), nil)
	return len(m) > 0 && m[0].Node == src.Node().ID()
}

// policy says what an announce by this link does with a session that another node holds.
func policy(src *routing.Source) storage.Policy {
	switch {
	case src.Sync().Running:
		return storage.Sync
	case src.Grant().TakeOver:
		return storage.Take
	}
	return storage.Never
}

// priority reads <priority/> (RFC 6121 4.7.2.3), 0 if there is none or it is no number from -128 to 127. It has no
// prefix, so that its namespace is found at once: it is the stanza's, or is declared on the element itself.
func priority(h *stanza.Header) int8 {
	for w := h.Walk(); w.Next(); {
		if w.Depth() == 2 && string(w.Name()) == "priority" && string(w.Space()) == stanza.NSClient {
			n, err := strconv.ParseInt(string(w.AppendText(nil)), 10, 8)
			if err != nil {
				return 0
			}
			return int8(n)
		}
	}
	return 0
}

// taken tells the node that held a session until now that another has it: one that is away hears it from its next sync, unless
// its link may be resumed, for then there is none.
func (s *Service) taken(src *routing.Source, who stanza.Address, prev storage.NodeID) {
	rec, ok := s.sessions.Node(prev)
	if !ok {
		return
	}
	src.Log.WithField("jid", who.String()).WithField("from", rec.Domain).Info("session taken over")
	if n := s.router.Node(rec.Domain); n != nil && (n.State() == routing.Attached || n.Grade() == routing.GradeAcked) {
		s.router.Send(n, appendReplaced(nil, who, n.Domain, src.Node().Domain))
	}
}

// notifyReplaced tells a node in a sync by presence that another node keeps the session it named.
func (s *Service) notifyReplaced(n *routing.Node, who stanza.Address, holder storage.NodeID) {
	if rec, ok := s.sessions.Node(holder); ok {
		s.router.Send(n, appendReplaced(nil, who, n.Domain, rec.Domain))
	}
}

// appendReplaced appends <presence type='unavailable'><replaced/></presence> (protocol.md 1).
func appendReplaced(dst []byte, who stanza.Address, to, by string) []byte {
	dst = append(dst, "<presence type='unavailable' from='"...)
	dst = stanza.AppendEscaped(dst, who.Bytes())
	dst = append(dst, "' to='"...)
	dst = append(dst, to...)
	dst = append(dst, "'><replaced xmlns='"+stanza.NSSessions+"' node='"...)
	dst = append(dst, by...)
	return append(dst, "'/></presence>"...)
}
