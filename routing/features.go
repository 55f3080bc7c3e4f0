package routing

import (
	"crypto/rand"

	"github.com/patchbay-im/patchbay/stanza"
)

const nsDiscoInfo = "http://jabber.org/protocol/disco#info" // XEP-0030

// ask asks the node, once on each link, what it can do: when it has a user for the first time. Until it has answered
// that it takes one stanza for several users (XEP-0033 2) each user gets one. Its answer is matched by the id alone,
// which is random: several libraries answer without a from.
func (s *Source) ask() {
	if s.asked != "" || !s.r.sessions.HasSessions(s.node.ID()) {
		return
	}
	s.asked = "pb-" + rand.Text()
	if !s.r.Ping(s.node, []byte("<iq type='get' id='"+s.asked+"' from='"+s.r.cfg.Server+"' to='"+s.node.Domain+
		"'><query xmlns='"+nsDiscoInfo+"'/></iq>")) {
		s.asked = "" // its queue is full: at the next announce
	}
}

// told reads the answer to ask.
func (s *Source) told(it *item) {
	if s.asked == "" || it.h.Type != stanza.TypeResult || string(it.id()) != s.asked {
		return
	}
	w := it.h.Walk()
	w.Prefixes = s.Prefixes()
	for w.Next() {
		if w.Depth() != 3 || string(w.Local()) != "feature" || string(w.Space()) != nsDiscoInfo {
			continue
		}
		if feature, _, _ := w.Attr("var"); string(feature) == stanza.NSAddress {
			s.node.multicast.Store(true)
			return
		}
	}
}

// Multicast reports whether the node takes one stanza for several of its users (XEP-0033).
func (n *Node) Multicast() bool { return n.multicast.Load() }
