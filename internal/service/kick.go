package service

import (
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Kick ends the sessions of a user, or with a full JID that one, and gives their number. Each node that held one is told by
// <presence type='unavailable'><kicked/></presence> with the reason as its <status/> (protocol.md).
func (s *Service) Kick(who stanza.Address, reason string) (ended int) {
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
		if n.Reachable() == routing.Attached {
			s.router.Send(n, appendKicked(nil, session, n.Domain, reason))
		}
	}
	return ended
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
