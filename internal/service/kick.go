package service

import (
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Kick ends the sessions of a user, or with a full JID that one, and gives their number. Each node that held one is told by
// <presence type='unavailable'><kicked/></presence> with the reason as its <status/> (protocol.md); one that is away is
// told at its return.
func (s *Service) Kick(who stanza.Address, reason string) (ended int) {
	for range takeOvers {
		n := s.kick(who, reason)
		if ended += n; n == 0 {
			break
		}
	}
	return ended
}

// takeOvers bounds how often Kick looks again for sessions that were taken over while it ended others.
const takeOvers = 5

func (s *Service) kick(who stanza.Address, reason string) (ended int) {
	for _, x := range s.sessions.Where(who.Bare()) {
		session, _, err := stanza.ParseAddress([]byte(x.JID), false, nil) // canonical
		rec, ok := s.sessions.Node(x.Node)
		if err != nil || !ok || !who.IsBare() && string(who.Resource()) != string(session.Resource()) {
			continue
		}
		n := s.router.Node(rec.Domain)
		if n == nil || !s.end(n, session, rec) {
			continue // it has just left
		}
		ended++
		s.router.Send(n, appendKicked(nil, session, n.Domain, reason))
	}
	return ended
}

// Revoked tells a node that a session of it has ended, because its domain is not granted any more. There may be many: what
// has no room in the queue is not told.
func (s *Service) Revoked(n *routing.Node, who stanza.Address) {
	s.router.Notify(n, appendKicked(nil, who, n.Domain, "the domain is no longer granted to this node (nodes[].users)"))
}

// end ends a session of a node, and reports whether it was there. What waits for it at a node that is away goes on before
// anything newer.
func (s *Service) end(n *routing.Node, session stanza.Address, rec storage.NodeRecord) bool {
	if n.State() == routing.Away {
		s.router.Moving(session.Bare())
		defer s.router.Moved(session.Bare())
	}
	b := s.sessions.Begin(rec.ID, rec.Inc, s.sessions.NextMark())
	kicked := b.Kick(session.Bare(), session.Resource())
	b.Commit(nil)
	if kicked {
		s.router.Forsake(session, n)
	}
	return kicked
}

// appendKicked appends the notice for the node that held the session.
func appendKicked(dst []byte, who stanza.Address, to, reason string) []byte {
	dst = append(dst, "<presence type='unavailable' from='"...)
	dst = stanza.AppendEscaped(dst, who.Bytes())
	dst = append(dst, "' to='"...)
	dst = append(dst, to...)
	dst = append(dst, "'><kicked xmlns='"+stanza.NSSessions+"'/>"...)
	if reason != "" {
		dst = append(dst, "<status>"...)
		dst = stanza.AppendEscapedText(dst, []byte(reason))
		dst = append(dst, "</status>"...)
	}
	return append(dst, "</presence>"...)
}
