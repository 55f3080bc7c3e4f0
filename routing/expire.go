package routing

import (
	"math"
	"time"
)

// remains is what a node that did not come back leaves behind.
type remains struct {
	stanzas []leftover
	letters []uint32 // stored messages that were not written
	mailed  []string // their users
}

// leftover is a stanza for a user, which is in the user's hold list, or one for the node itself, or that the server made.
type leftover struct {
	user string
	raw  []byte
	rec  rec
}

// expire ends a grace: the node's sessions end in one step, and what waited for it is decided again. What is for users is
// first put into their hold lists, so that nothing newer overtakes it. inc is the node's incarnation, ends that of its
// domain (Source.current).
func (r *Router) expire(n *Node, inc, ends uint64) {
	n.mu.Lock()
	if n.src != nil || n.rec.Inc != inc || n.State() != Away {
		n.mu.Unlock()
		return
	}
	expired := make(chan struct{})
	n.expiring = expired // nobody attaches meanwhile
	n.since = r.now()
	n.timer = nil
	was := n.returning
	n.returning = false
	n.mu.Unlock()

	left := r.empty(n)
	ended := r.sessions.ExpireNode(n.ID(), ends)
	n.queue.settle()
	r.cfg.Log.WithField("node", n.Domain).WithField("sessions", ended).Warn("node did not come back within its grace: its sessions ended")
	r.bury(left)
	n.mu.Lock()
	n.expiring = nil
	n.mu.Unlock()
	close(expired)
	if was {
		r.settled(1)
	}
}

// empty takes out all that waits for a node, and closes its queue.
func (r *Router) empty(n *Node) *remains {
	left := &remains{}
	again := newRedo(r)
	defer again.close()
	for {
		blocks := n.queue.takeOrClose(func() { n.setState(r, Past) })
		if blocks == nil {
			return left
		}
		for _, b := range blocks {
			b.each(func(raw []byte, rc rec) { left.take(again, raw, rc) })
		}
	}
}

// take sorts one stanza.
func (left *remains) take(again *redo, raw []byte, rc rec) {
	r := again.r
	if rc.class == classStored {
		left.letters = append(left.letters, rc.at)
		if bare, ok := r.mail.userOf(rc.at); ok {
			r.holds.expect(bare, r.holds.idle) // nothing newer goes before it
			left.mailed = append(left.mailed, bare)
		}
		return
	}
	origin := r.table.node(rc.origin)
	to, ok := addressee(raw)
	if d := r.table.find(to.Domain()); !ok || origin == nil || d == nil || d.kind != PlaceUsers || len(to.Local()) == 0 {
		left.stanzas = append(left.stanzas, leftover{raw: append([]byte(nil), raw...), rec: rc})
		return
	}
	h := held{raw: append([]byte(nil), raw...), origin: origin, until: r.now().Add(r.cfg.Settle)}
	if rc.class == classShared {
		h.shared = rc.at
	}
	bare := string(to.Bare())
	r.holds.park(bare, h)
	left.stanzas = append(left.stanzas, leftover{user: bare})
}

// bury decides what a node has left behind. A stored message that was not written is stored still: if its user is
// online elsewhere it goes there, before what waited with it.
func (r *Router) bury(left *remains) {
	for _, t := range left.letters {
		r.mail.lose(t)
	}
	for _, bare := range left.mailed {
		r.holds.announced(bare, r.onlineAt(bare))
		if !r.mail.begin(bare) {
			r.holds.quit(bare)
		}
	}
	r.release(left.mailed)
	again := newRedo(r)
	defer again.close()
	for _, o := range left.stanzas {
		if o.user != "" {
			again.release(o.user, 1)
			continue
		}
		again.once(o.raw, o.rec)
		again.flush()
	}
	for _, o := range left.stanzas {
		again.release(o.user, math.MaxInt) // what has joined it
	}
}

// onlineAt gives a node on which a user may get messages for the bare address, or nil.
func (r *Router) onlineAt(bare string) *Node {
	user := []byte(bare)
	for _, m := range r.sessions.Find(r.sessions.Hash(user), user, nil, nil) {
		if n := r.table.node(m.Node); n != nil && m.Priority >= 0 {
			return n
		}
	}
	return nil
}

// stopTimers ends what would begin by itself, and waits for what has begun.
func (r *Router) stopTimers() {
	for _, n := range r.Nodes() {
		n.mu.Lock()
		n.stopTimer()
		expiring := n.expiring
		n.mu.Unlock()
		if expiring != nil {
			select {
			case <-expiring:
			case <-time.After(lastFlush): // it waits for a disk that does not answer
			}
		}
	}
}
