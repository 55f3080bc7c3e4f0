package routing

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// overflow keeps what is held for users not yet known and finds no room in memory (design 2): a queue of its own, whose
// target is no node, that goes to the disk. What is newer for one of its users joins its tail. When the view is complete, or
// what is first in it has waited for the settle time, all goes to the users' lists, in order, as those have room.
//
// Requests and presence never come here: they are held in memory only. Those of a user who may have something here wait
// until all that came before them has left: then they are in order with it. That begins when they have waited for the settle time
// at the latest, and where it takes as long again they go on without.
type overflow struct {
	// set once
	r     *Router
	node  *Node     // stands for the users; it has no link, and no domain
	held  *Queue    // what was held in memory at the stop: it is older than what is here for the same user
	start time.Time // of the router

	len     atomic.Int64  // stanzas; while it is 0 nobody looks
	running atomic.Bool   // somebody empties it
	handed  atomic.Uint64 // how many of all that ever were here are in the users' lists, or further; written by who empties it

	// guarded by mu
	mu     sync.Mutex
	users  []uint64            // a bit for each userHash that may be here; nil while it is empty
	barred map[string]struct{} // users for whom something waits in memory that is behind something here
}

// The names of both in the outbox, in the order in which a start reads them.
const (
	heldTarget     = "!"
	overflowTarget = "?"
)

// overflowBits is the size of the set of users: of a million of them one in eight is taken for one who is there.
const overflowBits = 1 << 23

func (o *overflow) init(r *Router) {
	o.r, o.start = r, r.now()
	o.node = &Node{Domain: overflowTarget}
	o.node.home = o.node
	o.node.queue = newQueue(r.set().Queue, r.env, o.node, overflowTarget)
	o.held = newQueue(1<<30, r.env, o.node, heldTarget) // all of it was in memory
}

// takes reports whether a stanza may go to the overflow.
func (o *overflow) takes(it *item) bool {
	return o.r.cfg.Outbox != nil && it.h.Kind == stanza.Message
}

// mayHave reports whether older stanzas for a user may be here.
func (o *overflow) mayHave(bare []byte) bool {
	if o.len.Load() == 0 {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == nil {
		return false
	}
	bit := userHash(bare) % overflowBits
	return o.users[bit/64]&(1<<(bit%64)) != 0
}

// ever gives how many stanzas there have been here.
func (o *overflow) ever() uint64 {
	st := o.node.queue.stats()
	return st.Queued + st.Found
}

// enter counts stanzas for users, before they are queued.
func (o *overflow) enter(stanzas int64, users ...uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.users == nil {
		o.users = make([]uint64, overflowBits/64)
	}
	for _, u := range users {
		bit := u % overflowBits
		o.users[bit/64] |= 1 << (bit % 64)
	}
	o.len.Add(stanzas)
}

// leave counts stanzas that have gone. With the last one nobody is here.
func (o *overflow) leave(stanzas int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.len.Add(-stanzas) == 0 {
		o.users = nil
	}
}

// add puts a stanza at the tail.
func (o *overflow) add(s *Source, w *work, it *item) Reason {
	o.enter(1, userHash(it.to.Bare()))
	res, flush, at := o.node.queue.putAt(&it.h, s.edit(w, it), rec{origin: s.node.ID()})
	s.went(at)
	if res != putOK {
		o.leave(1)
	}
	if flush {
		w.queues = append(w.queues, o.node.queue)
	}
	if res == putOK {
		return None
	}
	return HoldFull
}

// keep puts a stanza there that was held in memory, at a stop. It reports false if it is none to be kept, or there is no room.
func (o *overflow) keep(h held) bool {
	if h.request || o.r.cfg.Outbox == nil || !bytes.HasPrefix(h.raw, []byte("<message")) {
		return false
	}
	raw := appendDelayed(nil, h.raw, delay{o.r.cfg.Server, h.came})
	res, _ := o.held.put(&stanza.Header{Raw: raw}, nil, rec{origin: h.origin.ID()})
	return res == putOK
}

// restore takes a block that was found on disk.
func (o *overflow) restore(target string, number uint64, size int, head []byte) {
	b := o.node.queue.restore(target, number, size, head)
	if b == nil {
		o.r.cfg.Outbox.Delete(target, number)
		return
	}
	if target == heldTarget {
		o.held.number = number + uint64(b.count)
	}
	o.enter(int64(b.count), b.users...) // if it is not known for whom, what is newer may overtake it
}

// tick has the overflow emptied when it is time.
func (o *overflow) tick(now time.Time) {
	if o.len.Load() == 0 || o.running.Load() || !o.due(now) {
		return
	}
	o.running.Store(true)
	o.r.writers.Go(o.empty)
}

// due reports whether the first of it has waited long enough.
func (o *overflow) due(now time.Time) bool {
	since := time.Unix(0, o.node.queue.oldest())
	if since.Before(o.start) {
		since = o.start
	}
	return o.r.Complete() || !now.Before(since.Add(o.r.set().Settle))
}

// bars reports whether a stanza of a user's list has to wait for what came before it. Then the list is decided again, when some
// of that has gone.
func (o *overflow) bars(bare string, h held) bool {
	if h.behind <= o.handed.Load() || !o.r.now().Before(h.until.Add(o.r.set().Settle)) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if h.behind <= o.handed.Load() {
		return false // with mu held: unbar has yet to come
	}
	if o.barred == nil {
		o.barred = map[string]struct{}{}
	}
	o.barred[bare] = struct{}{}
	return true
}

// unbar gives the users who have been barred.
func (o *overflow) unbar() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	users := slices.Collect(maps.Keys(o.barred))
	o.barred = nil
	return users
}

// empty hands what is due to the users' lists, until nothing is, or the router stops.
func (o *overflow) empty() {
	defer o.running.Store(false)
	for o.len.Load() > 0 && o.due(o.r.now()) && !o.r.stopping() {
		if !o.r.holds.hasRoom() {
			select {
			case <-o.r.stop:
			case <-time.After(fullPause):
			}
			o.r.release(o.unbar()) // what has waited for too long makes room
			continue
		}
		if b, err := o.hand(); err == nil && b == nil || err != nil && !o.r.later() {
			return
		}
	}
}

// hand gives the stanzas of the first block to their users' lists, and has them decided. What waited over a stop says since when.
func (o *overflow) hand() (b *block, err error) {
	r, now := o.r, o.r.now()
	q := o.node.queue
	was := q.stats()
	before := o.handed.Load()
	at, all := before, before
	b, err = r.unpack(q, func() (b *block, err error) {
		b, err = q.takeHead()
		at += q.stats().Broken - was.Broken // nobody else takes anything out
		if all = at; b != nil {
			all += uint64(b.left())
		}
		return b, err
	}, func(k *taking, s waitingStanza) {
		at++
		to, ok := addressee(s.raw)
		if !ok {
			r.lost(Unreadable, r.from(s.rec.origin), 1)
			return
		}
		raw := append([]byte(nil), s.raw...)
		if at <= was.Found { // the queue begins with that
			raw = appendDelayed(nil, s.raw, delay{r.cfg.Server, s.came})
		}
		bare := string(to.Bare())
		r.retired.hold(k, 1)
		r.strayed.count.Add(1)
		r.holds.park(bare, held{raw: raw, origin: r.from(s.rec.origin), came: s.came, until: now, of: k, room: &r.strayed, behind: at})
		o.handed.Store(at)
		if m := &r.mail; m.store != nil && m.more(to.Bare()) {
			m.missed(to.Bare(), r.sessions.Hash(to.Bare())) // what is stored goes first: it was on its way at the stop
		}
		r.release([]string{bare})
	})
	o.handed.Store(all) // also if the disk has lost them
	r.release(o.unbar())
	o.leave(int64(all - before))
	return b, err
}
