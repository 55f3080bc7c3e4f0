package routing

import (
	"errors"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// ErrAttached is returned by Attach while another link has the domain.
var ErrAttached = errors.New("the domain has a link already")

// Attach gives a domain to a link whose peer has proved that it may have it. The link gets nothing, and the
// node's stanzas wait, until Source.Start. sc has read the stream header.
func (r *Router) Attach(domainName string, g *Grant, sc *stanza.Scanner) (*Source, error) {
	home := r.nodeOf(domainName)
	src := r.newSource(home, g, sc)
	n := r.free(home, g, src)
	if n == nil {
		return nil, ErrAttached
	}
	r.takeBack(n)
	n.queue.setLimit(r.set().Queue) // it may have been made while the settings changed
	rec, mark, err := r.sessions.AttachNode(domainName)
	if home.ID() == 0 {
		home.id.Store(uint32(rec.ID))
		r.table.number(home, rec.ID)
	}
	n.id.Store(uint32(rec.ID))
	src.inc, src.mark = rec.Inc, mark
	if n.Draining() {
		r.sessions.Stand(rec.ID, n.standing)
	}
	n.mu.Lock()
	n.rec = rec
	n.mu.Unlock()
	n.queue.reopen()
	if err != nil {
		src.Detach() // as if the link had dropped: the grace begins again
		return nil, err
	}
	return src, nil
}

// Start opens the link's way out. The node is attached before its peer can read hello, which ends the handshake:
// who has been told so can be reached. What waited for the node follows hello. After an error the link is to be
// detached.
func (s *Source) Start(out Output, hello []byte) error {
	return s.start(out, hello, func(q *Queue) { q.attach(out, s.Grant().DropUnproved) })
}

// start is Start; attach gives the queue its link.
func (s *Source) start(out Output, hello []byte, attach func(*Queue)) error {
	n := s.node
	n.busy.Store(true) // until it returns nothing is read
	defer n.busy.Store(false)
	s.out = out
	n.home.coming.Add(1)
	n.multicast.Store(false) // another program may be behind the link now
	if s.Grant().Instances > 1 {
		b := s.r.sessions.Begin(n.ID(), s.inc, s.mark) // it can hold no users; it may have, under an older configuration
		b.WithdrawBelow(s.mark, storage.Unconfirmed)
		b.Commit(nil)
	}
	attach(n.queue)
	known := s.r.sessions.HasSessions(n.ID())
	n.mu.Lock()
	n.since = s.r.now()
	was := n.granted
	n.setState(s.r, Attached)
	s.attached = n.since
	n.confirms.Store(known || n.returning)
	if known || n.returning {
		n.timer = time.AfterFunc(s.r.set().Grace, func() { s.r.unconfirmed(s) })
	}
	n.mu.Unlock()
	n.opened() // from now on others hand over to it
	err := n.queue.begin(out, hello)
	if was != nil && !was.within(s.Grant()) {
		s.revoke()
	}
	if n.home.instances.Load() != nil {
		s.r.gather(n)
	}
	n.tellDrain(s.r)
	return err
}

// Closed tells, before Detach, that the peer has closed its stream (RFC 6120 4.4): it has not vanished.
func (s *Source) Closed() { s.node.queue.closed() }

// Detach takes the link from its node. The reader must have ended, and writes must be bound to fail soon. What
// was not written waits for the node's return, for at most the grace. clean: more may be written to the
// connection, because no stanza was cut in the middle.
func (s *Source) Detach() (clean bool) {
	if s.custody != nil {
		s.custody.gone()
	}
	r, n := s.r, s.node
	now := r.now()
	shared := s.out != nil && n.closed()
	n.mu.Lock()
	if !shared {
		n.setState(r, Away)
	}
	n.since = now
	n.mu.Unlock()

	clean, held := true, false
	if s.out != nil {
		clean, held = n.queue.detach(s.out)
	} else {
		held = n.queue.unclaim()
	}
	if !held {
		r.requestsDropped(n)
	}
	if shared {
		r.handOver(n)
		held = false
	}
	s.leave(held)
	if !shared {
		r.sessions.SetNodeState(n.ID(), s.current(), storage.Away, now.Add(r.set().Grace))
	}

	n.mu.Lock()
	n.stopTimer()
	if inc, ends := s.inc, s.current(); !shared {
		n.timer = time.AfterFunc(r.set().Grace, func() { r.expire(n, inc, ends) })
	}
	n.src, n.leaving = nil, false
	if s.out != nil {
		n.granted = s.Grant()
	}
	n.read += s.accepted.Load()
	close(n.left)
	n.mu.Unlock()
	if !shared && n.home.instances.Load() != nil && !n.alone() {
		r.relieve(n) // another link came while this one went
	}
	return clean
}

// leave ends the link's stream, unless it is held: whoever hears that the node has changed finds it so already.
func (s *Source) leave(held bool) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	n.leaving = true
	switch {
	case !held:
		n.held = nil
	case s.out != nil:
		n.held = s
	}
}

// Returning starts the grace of every node that the session table knows from before a restart. It is called
// when the component port listens: a node cannot come back earlier.
func (r *Router) Returning() {
	var away []*Node
	for _, rec := range r.sessions.Nodes() {
		n := r.nodeOf(rec.Domain)
		n.id.Store(uint32(rec.ID))
		r.table.number(n, rec.ID)
		n.mu.Lock()
		n.rec, n.since = rec, r.now()
		if rec.State == storage.Gone {
			n.setState(r, Past)
		} else {
			n.setState(r, Away)
			n.returning = true
			away = append(away, n)
		}
		n.mu.Unlock()
	}
	for _, n := range r.restore() {
		if n.State() != Away {
			n.setState(r, Away) // its grace was being ended
			away = append(away, n)
		}
	}
	r.mu.Lock()
	r.toReturn = 0 // before the first grace can end
	for _, n := range away {
		if n.returning {
			r.toReturn++
		}
	}
	r.mu.Unlock()
	for _, n := range away {
		n.mu.Lock()
		inc := n.rec.Inc
		n.timer = time.AfterFunc(r.set().Grace, func() { r.expire(n, inc, inc) })
		n.mu.Unlock()
		r.sessions.SetNodeState(n.ID(), inc, storage.Away, r.now().Add(r.set().Grace))
	}
	r.settled(0)
}

// settled counts nodes that are no longer awaited; with the last of them the view is complete.
func (r *Router) settled(nodes int) {
	r.mu.Lock()
	r.toReturn -= nodes
	done := r.toReturn == 0
	r.mu.Unlock()
	if done && r.complete.CompareAndSwap(false, true) {
		r.release(r.holds.users())
	}
}

// Accepted tells that a batch of announces of this link was taken: the time to confirm starts again, at most
// ten times. Only the link's reader may call it.
func (s *Source) Accepted() {
	s.ask()
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.timer == nil || n.src != s {
		return
	}
	latest := s.attached.Add(10 * s.r.set().Grace)
	if d := min(s.r.set().Grace, latest.Sub(s.r.now())); d > 0 {
		n.timer.Reset(d)
	}
}

// Confirmed tells that the node has said all it holds: no session of an earlier incarnation is in doubt.
func (s *Source) Confirmed() {
	n := s.node
	n.mu.Lock()
	if n.src == s {
		n.stopTimer()
		n.confirms.Store(false)
	}
	was := n.returning
	n.returning = false
	n.mu.Unlock()
	if was {
		s.r.settled(1)
	}
}

// unconfirmed withdraws what a node that came back did not confirm in time.
func (r *Router) unconfirmed(s *Source) {
	n := s.node
	n.mu.Lock()
	if n.src != s || n.timer == nil {
		n.mu.Unlock()
		return
	}
	n.timer = nil
	n.mu.Unlock()
	b := r.sessions.Begin(n.ID(), s.inc, s.mark)
	if ended := b.WithdrawBelow(s.mark, storage.Unconfirmed); ended > 0 {
		r.cfg.Log.WithField("node", n.Domain).WithField("sessions", ended).Warn("sessions that the node did not confirm ended")
	}
	b.Commit(nil)
	s.Confirmed()
}
