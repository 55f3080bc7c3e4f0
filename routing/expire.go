package routing

import "math"

// remains is what a node that did not come back leaves behind.
type remains struct {
	stanzas []leftover
	mailed  []string // users of stored messages that were not written
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
	if n.timer == nil || n.src != nil || n.rec.Inc != inc || n.State() != Away {
		n.mu.Unlock()
		return // somebody was faster
	}
	expired := make(chan struct{})
	n.expiring = expired // nobody attaches meanwhile
	n.ending.Store(true)
	r.expiries.Add(1) // with the lock held: stopTimers has not passed here
	defer r.expiries.Done()
	n.since = r.now()
	n.timer = nil
	was := n.returning
	n.returning = false
	n.mu.Unlock()

	r.judging <- struct{}{}
	left := r.empty(n)
	ended := r.sessions.ExpireNode(n.ID(), ends)
	n.queue.settle()
	<-r.judging
	r.cfg.Log.WithField("node", n.Domain).WithField("sessions", ended).Warn("node did not come back within its grace: its sessions ended")
	r.bury(left, func() {
		n.mu.Lock()
		n.expiring = nil
		n.mu.Unlock()
		n.ending.Store(false)
		close(expired)
	})
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
			b.each(func(raw []byte, rc rec) { left.take(again, n, leftover{raw: raw, rec: rc}) })
		}
	}
}

// take sorts one stanza that waited for n. It has the right to judge copies: one of which another node has got its own, or
// waits for it, ends here.
func (left *remains) take(again *redo, n *Node, o leftover) {
	r, raw, rc := again.r, o.raw, o.rec
	if rc.class == classStored {
		if bare, ok := r.mail.userOf(rc.at); ok {
			r.holds.expect(bare, r.holds.idle) // nothing newer goes before it
			left.mailed = append(left.mailed, bare)
		}
		r.mail.lose(rc.at)
		return
	}
	origin := r.table.node(rc.origin)
	to, ok := addressee(raw)
	if d := r.table.find(to.Domain()); !ok || origin == nil || d == nil || d.kind() != PlaceUsers || len(to.Local()) == 0 {
		left.stanzas = append(left.stanzas, leftover{raw: append([]byte(nil), raw...), rec: rc})
		return
	}
	if rc.class == classShared {
		if _, it, ok := again.read(raw, origin); ok && r.hadOther(it, besides{node: n.ID(), at: rc.at}) {
			r.lost(OtherCopy, origin, 1)
			return
		}
	}
	h := r.heldNow(append([]byte(nil), raw...), origin, false)
	bare := string(to.Bare())
	r.holds.park(bare, h)
	left.stanzas = append(left.stanzas, leftover{user: bare})
}

// bury decides what a node has left behind. A stored message that was not written is stored still: if its user is
// online elsewhere it goes there, before what waited with it. free lets the node attach again; it is called when nothing
// is left that is for the node itself.
func (r *Router) bury(left *remains, free func()) {
	for _, bare := range left.mailed {
		r.holds.announced(bare, r.onlineAt(bare))
		if !r.mail.begin(bare) {
			r.holds.quit(bare)
		}
	}
	r.release(left.mailed)
	again := newRedo(r)
	defer again.close()
	last := len(left.stanzas) - 1
	for last >= 0 && left.stanzas[last].user != "" {
		last--
	}
	for i := -1; i < len(left.stanzas); i++ {
		if i >= 0 {
			again.leftover(left.stanzas[i])
		}
		if i == last {
			free()
		}
	}
	for _, o := range left.stanzas {
		again.release(o.user, math.MaxInt) // what has joined it
	}
}

// leftover decides one of the stanzas.
func (d *redo) leftover(o leftover) {
	if o.user != "" {
		d.release(o.user, 1)
		return
	}
	d.once(o.raw, o.rec)
	d.flush()
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
		n.mu.Unlock()
	}
	r.expiries.Wait()
}
