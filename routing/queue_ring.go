package routing

import "bytes"

// end counts stanzas as written, and done with: on a link of this grade no more can be said. They stay in the ring, so
// that they can be written again after a drop. Called with mu held.
func (q *Queue) end(recs []rec) {
	q.count.written += uint64(len(recs))
	q.ended = q.sent
	q.arrive(recs)
}

// end1 counts one stanza so.
func (q *Queue) end1(r *rec) {
	q.count.written++
	q.letter(r)
}

// letter notes a letter that has arrived. Called with mu held.
func (q *Queue) letter(r *rec) {
	if r.class == classStored {
		q.tokens = append(q.tokens, r.at)
		q.letters--
		r.plain()
	}
}

// arrive notes the letters among stanzas that have arrived. Called with mu held.
func (q *Queue) arrive(recs []rec) {
	if q.letters == 0 {
		return
	}
	for i := range recs {
		q.letter(&recs[i])
	}
}

// keepWindow keeps of what was written on a link without proof as much as is written again after a drop: p follows w.
// Called with mu held.
func (q *Queue) keepWindow() {
	most := windowStart
	if q.proof.off || q.drops {
		most = 0
	}
	if q.unproved <= most {
		return
	}
	if most == 0 {
		q.prove(q.sent)
		return
	}
	over := uint64(0)
	for size, i := q.unproved, 0; size > most; i++ {
		r := q.written(i)
		if r == nil {
			break
		}
		size -= int(r.size)
		over++
	}
	q.prove(q.proved + over)
}

// written gives the i-th stanza that is written and not proved, nil if there are less. Called with mu held.
func (q *Queue) written(i int) *rec {
	for _, b := range q.ring {
		if n := len(b.recs) - b.over; i >= n {
			i -= n
			continue
		}
		return &b.recs[b.over+i]
	}
	if len(q.blocks) > 0 && i < q.blocks[0].next-q.blocks[0].over {
		return &q.blocks[0].recs[q.blocks[0].over+i]
	}
	return nil
}

// prove notes that all up to a number of the link's is proved, or need not be. Called with mu held.
func (q *Queue) prove(to uint64) {
	if to <= q.proved {
		return
	}
	if from := max(q.proved, q.ended); to > from {
		q.count.delivered += to - from
	}
	for q.proved < to && len(q.ring) > 0 {
		b := q.ring[0]
		q.pass(b, to, len(b.recs))
		if b.over == len(b.recs) {
			q.ring = shift(q.ring)
			q.free(b)
		}
	}
	if q.proved < to && len(q.blocks) > 0 {
		b := q.blocks[0]
		q.pass(b, to, b.next)
	}
	if q.proved == q.sent && len(q.blocks) == 1 && q.blocks[0].empty() && !q.writing {
		q.next() // an idle link keeps no block
	}
}

// pass counts the stanzas of a block up to an index, and a number of the link's, as proved. Called with mu held.
func (q *Queue) pass(b *block, to uint64, most int) {
	first := b.over
	for b.over < most && q.proved < to {
		size := int(b.recs[b.over].size)
		b.over++
		b.passed += size
		q.unproved -= size
		q.proved++
	}
	q.arrive(b.recs[first:b.over])
}

// free gives a block up: all of it is proved, or somewhere else. Called with mu held.
func (q *Queue) free(b *block) {
	b.out = true
	q.grew(-cap(b.b))
	if b.owed > 0 {
		return // paid
	}
	if b.kept || b.keeping {
		b.dropped = true
		q.disk.deletes = append(q.disk.deletes, placeOnDisk{q.targetOf(b), b.first})
		return // who keeps it may still look at it
	}
	if b.spill || b.early || q.disk.presence != nil {
		return // what goes to the disk, or presence, may name it
	}
	b.free()
}

// answered takes an iq result or error that the node sent, and reports whether it answers a ping of the barrier: then it
// goes nowhere. flush: there may be more to write now.
func (q *Queue) answered(id []byte) (is, flush bool) {
	if !bytes.HasPrefix(id, []byte(pingMark)) {
		return false, false
	}
	q.mu.Lock()
	was := q.proof.grade
	proved, is := q.proof.answer(id, q.env.mono())
	if !is {
		q.mu.Unlock()
		return false, false
	}
	q.prove(proved)
	if q.proof.room(q.unproved) <= 0 || q.proof.shut {
		q.proof.want = q.proof.want || q.proof.closing(q.proved) // nothing goes on by itself
	}
	if was != GradeProved {
		q.node.grade.Store(uint32(GradeProved))
	}
	flush = !q.scheduled && !q.writing && q.more()
	q.scheduled = q.scheduled || flush
	q.unlock()
	return true, flush
}

// unwind makes what was written and not proved wait again, in its place: the link has gone, or, resumed, goes on with another
// connection. Called with mu held, nobody writing.
func (q *Queue) unwind(resumed bool) {
	q.rewind()
	counted := 0
	if q.ended > q.proved {
		counted = int(q.ended - q.proved)
	}
	all := q.ring
	for _, b := range all {
		if b.spill {
			q.disk.blocks++
		}
	}
	if len(q.blocks) > 0 && q.blocks[0].next > 0 {
		all = append(all, q.blocks[0])
		q.blocks = shift(q.blocks)
	}
	q.ring = nil
	for _, b := range all {
		counted = q.back(b, counted, resumed)
	}
	q.blocks = append(all, q.blocks...)
	q.unproved = 0
	if resumed {
		return
	}
	for _, b := range q.blocks {
		b.late = true
	}
	q.sent, q.proved, q.ended = 0, 0, 0
	q.acks = resumption{}
	q.proof.open = q.proof.open[:0] // a reply that still comes proves nothing of it any more
}

// back makes a block wait whose stanzas were written; of the first so many the account has it that they have ended. Requests
// and answers among them were written, and are not again, but when the link is resumed.
func (q *Queue) back(b *block, counted int, resumed bool) (rest int) {
	if b.over > 0 {
		b.cutFront()
	}
	for i := range b.recs[:b.next] {
		r := &b.recs[i]
		ended := counted > 0
		if ended {
			counted--
		}
		switch {
		case !resumed && (r.class == classRequest || r.class == classAnswer):
			if !ended {
				q.count.written++
			}
			q.letGo(b, r)
			continue
		case ended:
			q.count.repeats++
		}
		q.count.waiting++
		if b.kept {
			q.disk.stanzas++
			q.kept += int(r.size)
		} else {
			q.bytes += int(r.size)
		}
	}
	b.off, b.done, b.next, b.index = 0, 0, 0, nil
	return counted
}

// letGo makes a hole of a stanza that is in no account any more. Called with mu held.
func (q *Queue) letGo(b *block, r *rec) {
	r.class = classMoved
	q.past.looked = 0 // an answer may have waited behind it
	b.holes++
	b.stale = b.stale || b.kept || b.keeping
}
