package service

import (
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
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
		b := s.sessions.Begin(x.Node, rec.Inc, s.sessions.NextMark())
		kicked := b.Kick(session.Bare(), session.Resource())
		b.Commit(nil)
		if !kicked {
			continue // it has just left
		}
		ended++
		if n := s.router.Node(rec.Domain); n != nil && n.Reachable() == routing.Attached {
			s.router.Send(n, appendKicked(nil, session, n.Domain, reason))
		}
	}
	return ended
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
