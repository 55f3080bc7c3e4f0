package component

import (
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// takeDrain answers the notice that the server drains the node, or does so no more, and has OnDrain told what is new. Only
// dispatch calls it.
func (n *Node) takeDrain(in inbound) bool {
	child := firstChild(in.rest)
	on := child == sessionsName("drain")
	if !on && child != sessionsName("undrain") || attr(in.start, "type") != string(stanza.SetIQ) {
		return false
	}
	from, err := jid.Parse(attr(in.start, "from"))
	if err != nil || from.Localpart() != "" || from.Resourcepart() != "" {
		return false // no user drains a node
	}
	n.reply(in, stanza.ResultIQ, nil)
	n.drainer = nil
	if on {
		n.drainer = in.link
	}
	n.tellDrain(on)
	return true
}

// drainOver ends a drain of which the link that is attached now has said nothing: a server says so first of all.
// Only dispatch calls it.
func (n *Node) drainOver() {
	n.mu.Lock()
	l := n.cur
	n.mu.Unlock()
	if l != nil && n.drainer != l {
		n.drainer = nil
		n.tellDrain(false)
	}
}

func (n *Node) tellDrain(on bool) {
	if n.draining == on {
		return
	}
	n.draining = on
	if n.cfg.OnDrain != nil {
		n.cfg.OnDrain(on)
	}
}
