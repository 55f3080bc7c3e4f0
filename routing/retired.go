package routing

import (
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// retired are the takings of which the disk still has the places: stanzas that were taken out of a queue, to be decided again or for
// a user who has moved. A place stays until nothing that came of it is in memory only, unproved: who is killed before decides it once
// more, and sends some stanzas twice, but loses none.
//
// What came of a taking is told by its moments. A moment is a number that rises when a taking begins and when it ends, and a block
// has that of its first and of its last stanza: what a taking put into queues is in blocks that overlap it. Other blocks, of
// nodes that are stuck for hours, hold it up for nothing.
type retired struct {
	moment atomic.Uint64
	bytes  atomic.Int64 // of the places

	mu   sync.Mutex
	list []*taking // guarded by mu, oldest first
}

// taking is one of them.
type taking struct {
	// set once
	q     *Queue
	first uint64 // its moments
	remains

	// guarded by the mu of retired
	taken bool
	last  uint64 // 0: it goes on
	held  int    // stanzas of it that are held for users
}

// remains is what a queue says of stanzas that were taken out of it.
type remains struct {
	blocks []*block // of which the disk has them, or will have
	size   int      // bytes of those blocks that are in no queue any more
	born   uint64   // moment from which on some were in memory only; math.MaxUint64: none were
}

// none says that nothing was taken.
func none() remains { return remains{born: math.MaxUint64} }

// add counts a block. Called with the queue's mu held, but for one that was taken out whole.
func (m *remains) add(b *block) {
	if !b.kept {
		m.born = min(m.born, b.born)
	}
	switch {
	case b.retires:
		m.blocks, m.size = append(m.blocks, b), m.size+len(b.b)
	case !b.out && (b.kept || b.keeping):
		b.owed++
		m.blocks = append(m.blocks, b)
	}
}

// begin notes that stanzas are about to be taken out of a queue. took and end have to follow.
func (t *retired) begin(q *Queue) *taking {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := &taking{q: q, first: t.moment.Add(1)}
	t.list = append(t.list, k)
	return k
}

// took notes what was taken.
func (t *retired) took(k *taking, m remains) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k.remains, k.taken = m, true
	t.bytes.Add(int64(m.size))
}

// end notes that all that was taken is in other hands. What was in memory only may have come of an earlier taking: that one waits for
// this one's places, too.
func (t *retired) end(k *taking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k.last = t.moment.Load()
	t.moment.Add(1)
	if k.born != math.MaxUint64 {
		for _, e := range t.list {
			if e.last >= k.born {
				e.last = k.last
			}
		}
	}
	if len(k.blocks) == 0 {
		t.list = slices.DeleteFunc(t.list, func(e *taking) bool { return e == k })
	}
}

// hold counts stanzas of a taking that are held, or not any more: then they are in queues, or answered. k may be nil.
func (t *retired) hold(k *taking, n int) {
	if k == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.held += n; k.last != 0 {
		k.last = t.moment.Load()
		t.moment.Add(1)
	}
}

// look begins a look at the queues, and gives its moment; false if there is nothing to look for.
func (t *retired) look() (now uint64, some bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moment.Add(1), len(t.list) > 0
}

// safe takes out what had ended before a look, and is not covered by what that found to be in memory only.
func (t *retired) safe(now uint64, found []span) (safe []*taking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	least := uint64(math.MaxUint64) // from here on something is between two queues
	for _, k := range t.list {
		if k.last == 0 && !k.taken {
			return nil
		}
		if k.last == 0 {
			least = min(least, k.born)
		}
	}
	t.list = slices.DeleteFunc(t.list, func(k *taking) bool {
		if k.last == 0 || k.last >= min(now, least) || k.held > 0 || overlaps(found, span{k.first, k.last}) {
			return false
		}
		safe = append(safe, k)
		t.bytes.Add(-int64(k.size))
		return true
	})
	return safe
}

// all takes out all that have ended.
func (t *retired) all() (all []*taking) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, t.list = t.list, nil
	t.bytes.Store(0)
	return all
}

// span is from one moment to another.
type span struct{ first, last uint64 }

// merged puts spans in order, and makes one of those that overlap.
func merged(all []span) []span {
	slices.SortFunc(all, func(a, b span) int {
		if a.first < b.first {
			return -1
		}
		return int(min(a.first-b.first, 1))
	})
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && s.first <= out[n-1].last {
			out[n-1].last = max(out[n-1].last, s.last)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// overlaps reports whether one of merged spans overlaps another.
func overlaps(all []span, s span) bool {
	i := sort.Search(len(all), func(i int) bool { return all[i].last >= s.first })
	return i < len(all) && all[i].first <= s.last
}

// forgetRetired takes from the disk what was taken out of queues, and is safe where it went: proved, written to links of the grade
// written, answered, or on disk.
func (r *Router) forgetRetired() {
	now, some := r.retired.look()
	if !some {
		return
	}
	var found []span
	for _, q := range r.queues() {
		found = q.unsafe(found)
	}
	for _, k := range r.retired.safe(now, merged(found)) {
		k.q.paid(k.blocks)
	}
}

// unsafe appends when the stanzas came that are neither proved nor on disk.
func (q *Queue) unsafe(all []span) []span {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, list := range [][]*block{q.ring, q.blocks} {
		for _, b := range list {
			if !q.isSafe(b) {
				all = append(all, span{b.born, b.last})
			}
		}
	}
	return all
}

// isSafe reports whether all of a block is proved, or on disk. Called with mu held.
func (q *Queue) isSafe(b *block) bool {
	if b.kept {
		return q.groups == 0 || !slices.ContainsFunc(b.recs, func(r rec) bool { return r.class == classGroup })
	}
	isRing := b.b != nil && b.next > b.over && q.proof.grade != GradeWritten
	return !isRing && b.empty()
}

// paid takes blocks from the disk, or what was taken out of them: it is safe where it went.
func (q *Queue) paid(blocks []*block) {
	q.mu.Lock()
	for _, b := range blocks {
		switch b.owed--; {
		case b.owed > 0:
		case b.out:
			b.dropped = true
			q.disk.deletes = append(q.disk.deletes, placeOnDisk{q.targetOf(b), b.first})
		case b.stale && !b.out:
			q.disk.todo = append(q.disk.todo, b)
		}
	}
	q.unlock() // the beat sees to what is to be written
}
