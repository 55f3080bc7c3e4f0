package routing

import (
	"math"
	"time"
)

// A grace that ends is worked off in order (protocol 3, EXPIRE): block by block, what waited for the node is decided again
// as if its sessions had ended; what is new for them joins the tail. When nothing waits any more the sessions end, in one
// step. A node that comes back before that gets the rest.

// The pace of errors: who sent much to a node that does not come back is not to be buried under them, nor the others.
const (
	errorsPerSecond = 20_000
	restFactor      = 4 // of the time that the work took: a fifth of one core
)

// What has been decided and is still on disk would be decided once more after a kill: the next block waits until it is no more than
// that. What a node that is stuck holds up is waited for once.
const (
	retiredMost = 4 << 20 // bytes
	retiredWait = 2 * time.Second
)

// expire ends a grace. inc is the node's incarnation, ends that of its domain (Source.current). While the view is not
// complete it waits for that, for the settle time at most.
func (r *Router) expire(n *Node, inc, ends uint64) {
	if n.awaitedNoMore(inc) {
		r.settled(1) // before its stanzas are decided: they would be held for a node that nobody awaits any more
	}
	n.mu.Lock()
	if n.stays(inc) {
		n.mu.Unlock()
		return // somebody was faster
	}
	if set := r.set(); !r.Complete() && r.now().Before(n.since.Add(set.Grace+set.Settle)) { // what is held now would go behind what is decided then
		n.timer = time.AfterFunc(beatEach, func() { r.expire(n, inc, ends) })
		n.mu.Unlock()
		return
	}
	expired := make(chan struct{})
	n.expiring = expired         // nobody attaches meanwhile
	n.turn.Store(math.MaxUint64) // until its turn comes
	n.ending.Store(true)
	r.expiries.Add(1) // with the lock held: stopTimers has not passed here
	defer r.expiries.Done()
	n.timer = nil
	n.mu.Unlock()

	x := &expiry{r: r, n: n, ends: ends}
	over := x.begin() && x.run()
	n.mu.Lock()
	n.expiring = nil
	if over {
		n.since = r.now()
	}
	n.mu.Unlock()
	n.ending.Store(false)
	close(expired)
	x.forward()
	if over {
		r.cfg.Log.WithField("node", n.Domain).WithField("sessions", x.sessions).Warn("node did not come back within its grace: its sessions ended")
	}
}

// stays reports whether a grace that ends is not the one that the node has now. Called with the node's mu held.
func (n *Node) stays(inc uint64) bool {
	return n.timer == nil || n.src != nil || n.rec.Inc != inc || n.State() != Away
}

// awaitedNoMore notes that a node that was there before a restart did not come back, and reports whether it was awaited.
func (n *Node) awaitedNoMore(inc uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.returning || n.stays(inc) {
		return false
	}
	n.returning = false
	return true
}

// expiry is the end of one grace.
type expiry struct {
	r        *Router
	n        *Node
	ends     uint64
	sessions int      // that have ended
	held     int64    // bytes of what is held up on disk
	mailed   []string // users of stored messages that were on their way to the node
}

// begin waits until no other grace is being ended: the pace of errors is that of all together, and of several copies of a stanza
// the last one is judged when the others are. It reports false if the node is back before that, or the server stops.
func (x *expiry) begin() bool {
	for {
		select {
		case x.r.expirer <- struct{}{}:
			x.n.turn.Store(x.r.turns.Add(1))
			return true
		case <-x.r.stop:
			return false
		case <-time.After(beatEach):
			if x.n.wanted.Load() {
				return false
			}
		}
	}
}

// run reports whether the grace has ended: else the node is back, or the server stops.
func (x *expiry) run() (over bool) {
	defer func() { <-x.r.expirer }()
	again := newRedo(x.r)
	defer again.close()
	again.not = x.n
	if x.n.wanted.Load() {
		return false // its link may be resumed yet
	}
	x.r.takeBack(x.n)
	for !x.n.wanted.Load() && !x.r.stopping() {
		begun := time.Now()
		left, errors, err := x.step(again)
		switch {
		case err != nil:
			x.r.later()
		case !left:
			return true
		}
		x.rest(max(restFactor*time.Since(begun), time.Duration(errors)*time.Second/errorsPerSecond))
		x.hear()
	}
	return false
}

// rest waits, until the server stops.
func (x *expiry) rest(d time.Duration) {
	select {
	case <-x.r.stop:
	case <-time.After(d):
	}
}

// hear waits until enough of what has been decided is safe where it went.
func (x *expiry) hear() {
	bytes := &x.r.retired.bytes
	for begun := time.Now(); bytes.Load() > x.held+retiredMost && !x.n.wanted.Load() && !x.r.stopping(); x.rest(beatEach) {
		x.r.forgetRetired()
		if time.Since(begun) > retiredWait {
			x.held = bytes.Load()
		}
	}
}

// step decides one block, or, when there is none left, ends the node's sessions. It has the right to judge copies meanwhile, so
// no user is taken away from the node between the block and its stanzas.
func (x *expiry) step(again *redo) (left bool, errors uint64, err error) {
	x.r.judging <- struct{}{}
	defer func() { <-x.r.judging }()
	q := x.n.queue
	b, err := x.r.unpack(q, func() (*block, error) {
		return q.takeOrClose(func() { x.n.setState(x.r, Past) })
	}, func(k *taking, s waitingStanza) {
		if s.rec.class == classStored {
			x.letter(s.rec.at)
			return
		}
		again.of = k
		again.once(s)
		errors += again.w.ends[Bounced]
		again.flush()
	})
	if b != nil || err != nil {
		return true, errors, err
	}
	if !q.attached() {
		x.sessions = x.r.sessions.ExpireNode(x.n.ID(), x.ends)
		q.settle()
	}
	return false, 0, nil
}

// letter gives a stored message back that did not reach the node: it is stored still. Nothing newer goes before it.
func (x *expiry) letter(token uint32) {
	if bare, ok := x.r.mail.userOf(token); ok {
		x.r.holds.expect(bare, x.r.holds.idle)
		x.mailed = append(x.mailed, bare)
	}
	x.r.mail.lose(token)
}

// forward sends the stored messages whose users are online elsewhere there.
func (x *expiry) forward() {
	for _, bare := range x.mailed {
		x.r.holds.announced(bare, x.r.onlineAt(bare))
		if !x.r.mail.begin(bare) {
			x.r.holds.quit(bare)
		}
	}
	x.r.release(x.mailed)
}

// stopping reports whether Close or Drain has begun.
func (r *Router) stopping() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// onlineAt gives a node on which a user may get messages for the bare address, or nil. One whose grace is being ended is none: if it
// comes back before that, it says who is there, and what is stored goes there then.
func (r *Router) onlineAt(bare string) *Node {
	user := []byte(bare)
	for _, m := range r.sessions.Find(r.sessions.Hash(user), user, nil, nil) {
		if n := r.table.node(m.Node); n != nil && m.Priority >= 0 && !n.ending.Load() {
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
