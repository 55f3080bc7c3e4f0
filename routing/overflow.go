package routing

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// overflow keeps what is held for users not yet known and finds no room in memory (design 2): a queue of its own, whose
// target is no node, that goes to the disk. What is newer for one of its users joins its tail. When the view is complete, or
// what is first in it has waited for the settle time, all goes to the users' lists, in order, as those have room.
//
// Requests and presence never come here: they are held in memory only.
type overflow struct {
	// set once
	r     *Router
	node  *Node     // stands for the users; it has no link, and no domain
	held  *Queue    // what was held in memory at the stop: it is older than what is here for the same user
	start time.Time // of the router

	len     atomic.Int64 // stanzas; while it is 0 nobody looks
	running atomic.Bool  // somebody empties it

	mu    sync.Mutex
	users []uint64 // guarded by mu: a bit for each userHash that may be here; nil while it is empty
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
	res, flush := o.node.queue.put(&it.h, s.edit(w, it), rec{origin: s.node.ID()})
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
	res, _ := o.held.put(&stanza.Header{Raw: h.raw}, nil, rec{origin: h.origin.ID()})
	return res == putOK
}

// restore takes a block that was found on disk.
func (o *overflow) restore(target string, number uint64, size int, head []byte) {
	b := o.node.queue.restore(target, number, size, head)
	if b != nil && target == heldTarget {
		o.held.number = number + uint64(b.count)
	}
	switch {
	case b == nil:
		o.r.cfg.Outbox.Delete(target, number)
		return
	case b.users == nil:
		o.enter(int64(b.count)) // it is not known for whom: what is newer may overtake it
	default:
		o.enter(int64(b.count), b.users...)
	}
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

// empty hands what is due to the users' lists, until nothing is, or the router stops.
func (o *overflow) empty() {
	defer o.running.Store(false)
	for o.len.Load() > 0 && o.due(o.r.now()) && !o.r.stopping() {
		if !o.r.holds.hasRoom() {
			select {
			case <-o.r.stop:
			case <-time.After(fullPause):
			}
			continue
		}
		if b, err := o.hand(); err == nil && b == nil || err != nil && !o.r.later() {
			return
		}
	}
}

// hand gives the stanzas of the first block to their users' lists, and has them decided.
func (o *overflow) hand() (b *block, err error) {
	r, now := o.r, o.r.now()
	q := o.node.queue
	was := q.stats().Broken
	count := int64(0)
	b, err = r.unpack(q, func() (b *block, err error) {
		if b, err = q.takeHead(); b != nil {
			count = int64(b.left())
		}
		return b, err
	}, func(k *taking, s waitingStanza) {
		to, ok := addressee(s.raw)
		if !ok {
			r.lost(Unreadable, r.from(s.rec.origin), 1)
			return
		}
		bare := string(to.Bare())
		r.retired.hold(k, 1)
		r.holds.park(bare, held{raw: append([]byte(nil), s.raw...), origin: r.from(s.rec.origin), came: s.came, until: now, of: k})
		if m := &r.mail; m.store != nil && m.more(to.Bare()) {
			m.missed(to.Bare(), r.sessions.Hash(to.Bare())) // what is stored goes first: it was on its way at the stop
		}
		r.release([]string{bare})
	})
	o.leave(count + int64(q.stats().Broken-was)) // nobody else takes anything out
	return b, err
}
