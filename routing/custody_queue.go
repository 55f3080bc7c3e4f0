package routing

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// custodySide is what a queue knows of custody.
type custodySide struct {
	// guarded by the queue's mu
	safe   uint64 // all stanzas up to this number are safe: proved, ended, answered, or on disk. It never falls
	strays uint64 // how often some were taken out that were in memory only

	// owned by the beat
	turn, looked  uint64
	upTo, strayed uint64 // safe and strays, when it looked
}

// moves counts the takings of stanzas that waited, to be decided again: from begun to ended they may be in no queue.
type moves struct{ begun, ended atomic.Uint64 }

// moving tells that stanzas are about to be taken out of a queue; what it gives tells that they are somewhere else.
func (r *Router) moving() (done func()) {
	r.moves.begun.Add(1)
	return func() { r.moves.ended.Add(1) }
}

// spot is where the stanza that was queued last is. Called with mu held.
func (q *Queue) spot() spot { return spot{q, q.number, q.custody.strays} }

// lastSpot is spot, for who does not hold mu.
func (q *Queue) lastSpot() spot {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.spot()
}

// putAt is put, and gives where the stanza is.
func (q *Queue) putAt(h *stanza.Header, e *stanza.Edit, r rec) (res putResult, flush bool, at spot) {
	q.mu.Lock()
	res = q.take(h, e, r)
	flush, at = q.promise(), q.spot()
	q.mu.Unlock()
	return res, flush, at
}

// look notes for the beat what is safe.
func (q *Queue) look(turn uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	look := &q.custody
	look.looked, look.upTo, look.strayed = turn, q.safe(), look.strays
}

// standing gives the place of the last that is not safe of what a node sent, false if there is none.
func (q *Queue) standing(of storage.NodeID) (at spot, some bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	at = q.spot()
	end := q.number
	q.eachUnsafe(func(_ int, b *block) {
		if !some && q.unsafeOf(b, of) {
			at.n, some = end, true
		}
		end = b.first - 1
	})
	return at, some
}

// unsafeOf reports whether something that a node sent is in a block, and not safe. Called with mu held.
func (q *Queue) unsafeOf(b *block, of storage.NodeID) bool {
	return !b.kept && slices.ContainsFunc(b.recs[q.endedOf(b):], func(r rec) bool { return r.origin == of && r.class.promised() })
}

// promised reports whether stanzas of a class are kept for whoever waits for their custody. Requests never are on disk: they count
// as soon as they are in a queue. Letters are in the offline store.
func (c class) promised() bool { return c == classKeep || c == classShared || c == classGroup }

// safe gives the number up to which all is safe. Called with mu held.
func (q *Queue) safe() uint64 {
	low := q.number + 1
	q.eachUnsafe(func(_ int, b *block) {
		if at, some := q.unsafeFrom(b); some {
			low = min(low, at)
		}
	})
	q.custody.safe = max(q.custody.safe, low-1)
	return q.custody.safe
}

// eachUnsafe calls f with each block that may not be safe, last first, and its place among those that are not wholly written: 0
// for one that is. Called with mu held.
func (q *Queue) eachUnsafe(f func(i int, b *block)) {
	for _, list := range [2][]*block{q.blocks, q.ring} {
		for i := len(list) - 1; i >= 0; i-- {
			b := list[i]
			if b.b != nil && len(b.recs) > 0 {
				f(i, b)
			}
			if b.first > 0 && b.first <= q.custody.safe {
				return // what is before it is older
			}
		}
	}
}

// unsafeFrom gives the number of the first stanza of a block that is in memory only and not proved, or a lower one. Called with mu
// held.
func (q *Queue) unsafeFrom(b *block) (number uint64, some bool) {
	if b.kept || b.b == nil {
		return 0, false
	}
	for i := q.endedOf(b); i < len(b.recs); i++ {
		if b.recs[i].class.promised() {
			if b.parted {
				i = 0
			}
			return b.first + uint64(i), true // what was taken out before it had numbers, too
		}
	}
	return 0, false
}

// endedOf gives the first stanza of a block for which something more can come: what is proved has ended, and where there is no
// disk, what was written to a peer that proves nothing. Called with mu held.
func (q *Queue) endedOf(b *block) int {
	if q.env.outbox == nil && q.proof.grade == GradeWritten {
		return b.next
	}
	return b.over
}

// stray notes that a block, or part of it, is taken out to be decided again. What is on disk stays there until it is safe
// elsewhere. Called with mu held.
func (q *Queue) stray(b *block) {
	if !b.kept {
		q.custody.strays++
	}
}

// commitEarly hands to the disk what is not safe up to a number: somebody waits for it. It stays where it is, in the ring, in
// memory, or in a write, and leaves the disk when it is proved (protocol 3).
func (q *Queue) commitEarly(n uint64) {
	if q.env.outbox == nil {
		return
	}
	q.mu.Lock()
	var all []*block
	q.eachUnsafe(func(i int, b *block) {
		if b.first <= n && q.early(i, b) {
			all = append(all, b)
		}
	})
	q.disk.todo = append(q.disk.todo, all...)
	slices.SortFunc(q.disk.todo, func(a, b *block) int { return cmp.Compare(a.first, b.first) }) // a kill leaves the oldest
	if len(q.disk.todo) > 0 {
		q.keep()
	}
	q.unlock()
}

// early makes a block one that the disk is to have, and reports whether it has to be handed to it. Called with mu held.
func (q *Queue) early(i int, b *block) bool {
	if _, some := q.unsafeFrom(b); !some || b.keeping {
		return false
	}
	b.closed = true
	switch {
	case b.next > 0 || i == 0 && !b.spill:
		b.early = true // in its place
	case !b.spill:
		b.spill, q.disk.spilling = true, true // a node that is so slow is as one with a full queue: memory is bounded
		q.disk.blocks++
	}
	return !slices.Contains(q.disk.todo, b)
}
