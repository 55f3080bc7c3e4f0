package routing

import (
	"strconv"

	"github.com/patchbay-im/patchbay/stanza"
)

// drained reports whether the node takes no new sessions: it is drained, or the server is.
func (n *Node) drained(r *Router) bool { return n.Draining() || r.Draining() }

// tellDrain tells the peer of a node's link whether it is drained, if that is news to it. Several goroutines may find
// news at one time: one of them tells, and looks again as long as others come, so that the last word is the true one.
func (n *Node) tellDrain(r *Router) {
	if n.telling.Add(1) > 1 {
		return
	}
	for {
		turn := n.telling.Load()
		if !n.tellDrainOnce(r) {
			r.untold.Store(true)
		}
		if n.telling.CompareAndSwap(turn, 0) {
			return
		}
	}
}

// tellDrainOnce is the body of tellDrain; false: the queue had no room for it. A stream begins undrained; one that goes on
// with another (XEP-0198) knows what that one was told.
func (n *Node) tellDrainOnce(r *Router) bool {
	src, _ := n.Source()
	if src == nil || n.State() != Attached {
		return true // it is told when it attaches
	}
	on := n.drained(r)
	if on == (n.toldDrain.Load() == src.inc) {
		return true
	}
	if !r.Ping(n, appendDrain(nil, r.cfg.Server, n.Domain, r.notices.Add(1), on)) {
		return false
	}
	if on {
		n.toldDrain.Store(src.inc)
	} else {
		n.toldDrain.Store(0)
	}
	return true
}

// forged reports whether an iq that goes to a node says what only the router may say: that the node is drained, or is so no more.
func (s *Source) forged(it *item) bool {
	if it.h.Type != stanza.TypeSet {
		return false
	}
	w := it.h.Walk()
	w.Prefixes = s.Prefixes()
	w.Next()
	w.Next()
	local := string(w.Local())
	return (local == "drain" || local == "undrain") && string(w.Space()) == stanza.NSSessions
}

// tellDrains tells every node to which it is news.
func (r *Router) tellDrains() {
	for _, n := range r.Nodes() {
		n.tellDrain(r)
	}
}

// appendDrain appends the notice that a drain begins, or that it is over. What is answered to it means nothing: a library
// that does not know it answers with an error.
func appendDrain(dst []byte, server, node string, number uint64, on bool) []byte {
	word := "drain"
	if !on {
		word = "undrain"
	}
	dst = append(append(dst, "<iq type='set' id='"...), word...)
	dst = strconv.AppendUint(append(dst, '-'), number, 10)
	dst = append(append(append(dst, "' from='"...), server...), "' to='"...)
	dst = append(append(append(dst, node...), "'><"...), word...)
	return append(dst, " xmlns='"+stanza.NSSessions+"'/></iq>"...)
}
