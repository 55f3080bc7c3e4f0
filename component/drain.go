package component

import (
	"sync"

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
	if err != nil || from.Localpart() != "" || from.Resourcepart() != "" || attr(in.start, "to") != n.domain.String() {
		return false // no user drains a node, and none is drained
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

// tellDrain has OnDrain called, on a goroutine of its own: what it does may take long, and while a handler waits no more than a
// window of stanzas comes.
func (n *Node) tellDrain(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drains.on = on
	if n.cfg.OnDrain == nil || n.drains.running || n.drains.told == on {
		return
	}
	n.drains.running = true
	n.drains.calls.Go(n.callOnDrain) // dispatch waits for it, before Done
}

// callOnDrain calls OnDrain until what it was told last is so.
func (n *Node) callOnDrain() {
	for {
		n.mu.Lock()
		on := n.drains.on
		if n.drains.told == on {
			n.drains.running = false
			n.mu.Unlock()
			return
		}
		n.drains.told = on
		n.mu.Unlock()
		n.cfg.OnDrain(on)
	}
}

// drains is what is known of drains.
type drains struct {
	calls sync.WaitGroup // of OnDrain

	// guarded by mu of Node
	on      bool // a drain is on
	told    bool // and was, when OnDrain was called last
	running bool // somebody calls it
}
