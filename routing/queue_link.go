package routing

import "slices"

// attach gives the queue a link to write to, and takes the writing flag, so that nothing is written before begin.
func (q *Queue) attach(out Output, drops bool) {
	q.mu.Lock()
	q.disk.presence = nil
	q.closeTail()
	q.out, q.torn, q.gone, q.drops = out, false, false, drops
	q.sent, q.proved, q.ended, q.unproved, q.before = 0, 0, 0, 0, 0
	q.acks, q.past.looked = resumption{}, 0
	q.proof.start(q.env.server, q.node.Domain, q.env.off, q.env.mono())
	q.node.grade.Store(uint32(q.proof.grade))
	q.writing = true
	q.mu.Unlock()
}

// reopen lets stanzas wait again after takeAll, for a node that is back.
func (q *Queue) reopen() {
	q.mu.Lock()
	q.gone = false
	q.mu.Unlock()
}

// begin writes hello, the end of the link's handshake, with the first ping behind it, and then what waited, in this order. A peer
// that counts gets no ping.
func (q *Queue) begin(out Output, hello []byte) error {
	q.mu.Lock()
	if !q.proof.off && !q.proof.acks {
		hello = q.proof.ask(hello[:len(hello):len(hello)], 0, q.env.mono())
	}
	q.waits = true
	q.mu.Unlock()
	_, err := out.Write(hello)
	q.mu.Lock()
	q.waits = false
	if err != nil {
		q.out = nil
	}
	q.write()
	return err
}

// detach takes the link away and waits for its writer, which the caller makes sure can not wait for ever (a
// write deadline). What is not proved waits again, and goes to the disk; held: it waits for the link to be resumed. clean: the
// last byte written was the end of a stanza, so that more may follow.
func (q *Queue) detach(out Output) (clean, held bool) {
	q.mu.Lock()
	if q.out == out {
		q.out = nil
	}
	for q.writing {
		q.idle.Wait()
	}
	if q.acks.id != "" {
		q.hold()
	} else {
		q.dropped()
	}
	clean, held = !q.torn, q.acks.held
	last := q.number
	q.unlock()
	if held {
		q.commitEarly(last) // what was written first: nobody knows whether the link is resumed
	}
	return clean, held
}

// cut takes the link away at once; a writer that waits is interrupted.
func (q *Queue) cut() {
	q.mu.Lock()
	if q.out != nil {
		q.out.Interrupt()
		q.out = nil
	}
	for q.writing {
		q.idle.Wait()
	}
	q.unwind(false)
	q.forgetRequests()
	q.unlock()
}

// attached reports whether there is a link to write to.
func (q *Queue) attached() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.out != nil
}

// forgetRequests takes the iq gets and sets out of a queue without a link: they are never kept, and whoever
// asked is answered from the table of pending iqs. Called with mu held, nobody writing.
func (q *Queue) forgetRequests() {
	for _, b := range q.blocks {
		own := 0
		b.each(func(_ []byte, r rec) {
			switch {
			case r.class != classRequest && r.class != classAnswer:
			case r.origin == 0:
				own++
			default:
				q.env.lost(NodeDropped, r.origin)
			}
		})
		was := len(b.b)
		n, size := b.remove(classRequest)
		answers, more := b.remove(classAnswer)
		n, size = n+answers, size+more
		q.count.dropped += uint64(n - own)
		q.count.unsaid += uint64(own)
		q.waited(b, n, size)
		if was > len(b.b) {
			b.stale = b.stale || b.kept || b.keeping
		}
	}
	q.sweep()
}

// sweep gives up the blocks of which nothing is left, but for those that the disk still has: what was taken out of them may not
// be in other hands yet. Called with mu held, nobody writing.
func (q *Queue) sweep() {
	q.blocks = slices.DeleteFunc(q.blocks, func(b *block) bool {
		if b.b == nil || b.next > 0 || b.holes < len(b.recs) || b.kept || b.keeping {
			return false
		}
		q.compact(b)
		if b.spill {
			q.unspilled()
		}
		q.free(b)
		return true
	})
}

// takeAll empties and closes a queue without a link, at a stop: its stanzas are answered.
func (q *Queue) takeAll() []*block {
	q.mu.Lock()
	defer q.unlock()
	for q.writing {
		q.idle.Wait() // the link is going: its end is bounded
	}
	if q.out != nil {
		return nil // the node came back at the last moment
	}
	q.unwind(false)
	q.gone = true
	var all []*block
	for q.next() {
		all = append(all, q.takeFirst())
	}
	return all
}

// takeOrClose takes the first block out of a queue without a link, or closes it when it is empty: then tell is called before
// anybody can find it closed. With a link there is nothing to take. The error is errLater.
func (q *Queue) takeOrClose(tell func()) (*block, error) {
	q.mu.Lock()
	defer q.unlock()
	some, err := q.first()
	switch {
	case q.out != nil || err != nil:
		return nil, err
	case some:
		return q.takeFirst(), nil
	}
	tell()
	q.gone, q.ending = true, make(chan struct{})
	return nil, nil
}

// takeHead takes the first block out, nil if there is none. The error is errLater.
func (q *Queue) takeHead() (*block, error) {
	q.mu.Lock()
	defer q.unlock()
	if some, err := q.first(); !some {
		return nil, err
	}
	return q.takeFirst(), nil
}

// first sees that the first block is in memory, false if there is none. Called with mu held; it lets go of it meanwhile.
func (q *Queue) first() (some bool, err error) {
	for q.out == nil && q.next() {
		if q.blocks[0].b != nil {
			return true, nil
		}
		if _, read := q.fetch(0); !read {
			return false, errLater
		}
	}
	return false, nil
}

// settle tells those who found the queue closed that they may decide anew: the table knows of it.
func (q *Queue) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ending != nil {
		close(q.ending)
		q.ending = nil
	}
}

// wait returns when a queue that was found closed has been settled.
func (q *Queue) wait() {
	q.mu.Lock()
	ending := q.ending
	q.mu.Unlock()
	if ending != nil {
		<-ending
	}
}

// takeFirst takes the first block out, which is in memory, to be decided again. Its place on disk stays (paid). Called with mu
// held, nobody writing.
func (q *Queue) takeFirst() *block {
	b := q.blocks[0]
	q.stray(b)
	q.blocks = shift(q.blocks)
	q.takeOut(b)
	return b
}

// takeOut takes a block that is in memory, and none of the queue's any more, out of the account. Called with mu held.
func (q *Queue) takeOut(b *block) {
	if b.spill {
		q.unspilled()
	}
	n, size := 0, 0
	b.each(func(raw []byte, r rec) {
		n, size = n+1, size+len(raw)
		if r.class == classStored {
			q.letters--
		}
	})
	q.waited(b, n, size)
	q.count.moved += uint64(n)
	q.grew(-cap(b.b))
	b.out = true
	if b.retires = b.kept || b.keeping; b.retires {
		b.owed++
	}
}

// takeUnkept takes out what the disk has not taken, at a stop, and gives the reason.
func (q *Queue) takeUnkept() (all []*block, why Reason) {
	q.mu.Lock()
	defer q.unlock()
	if q.out != nil || q.writing {
		return nil, None
	}
	q.blocks = slices.DeleteFunc(q.blocks, func(b *block) bool {
		if b.kept || b.empty() {
			return false
		}
		all = append(all, b)
		return true
	})
	for _, b := range all {
		q.compact(b)
		if q.takeOut(b); b.retires { // it is on its way
			b.dropped = true
			q.disk.deletes = append(q.disk.deletes, placeOnDisk{q.targetOf(b), b.first})
		}
	}
	if why = q.disk.full; why == None {
		why = OutboxDisk
	}
	return all, why
}

// open reports whether anything waits, or is written and may yet be proved.
func (q *Queue) open() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count.waiting > 0 || q.sent > max(q.proved, q.ended)
}

// close asks for the proof of what was written, as soon as it can be had: the link is about to end.
func (q *Queue) close() {
	q.mu.Lock()
	if q.proof.grade != GradeWritten && q.out != nil {
		q.proof.want = q.proof.want || q.sent > q.proof.last || q.proof.closing(q.proved) || q.proof.acks && q.sent > q.proved && len(q.proof.open) == 0
	}
	q.mu.Unlock()
	q.flush()
}

// settleProof ends what was written to a peer that has not answered any ping: there is nowhere to keep it, so it is not written
// again.
func (q *Queue) settleProof() {
	q.mu.Lock()
	if q.proof.grade == GradeProbing {
		q.proof.grade = GradeWritten
		q.downgraded()
	}
	if q.proof.grade == GradeWritten {
		q.prove(q.sent)
	}
	q.unlock()
}

// closed tells that the stream has come to an orderly end, with all written that waited: on a link without proof that is all
// that can be asked for, and it is not written again.
func (q *Queue) closed() {
	q.mu.Lock()
	if q.proof.grade == GradeWritten && q.count.waiting == 0 {
		q.prove(q.sent)
	}
	q.acks.id = "" // what has ended so is not resumed (XEP-0198 section 5)
	q.unlock()
}

// probe asks the peer of a link to show that it is there.
func (q *Queue) probe() {
	q.mu.Lock()
	q.proof.want = q.out != nil && (!q.proof.off || q.proof.acks)
	q.mu.Unlock()
	q.flush()
}

// keepAll hands all that waits to the disk: the server stops.
func (q *Queue) keepAll() {
	q.mu.Lock()
	if q.out == nil && !q.writing {
		q.ungroup()
		q.disk.stale, q.disk.retry = nil, 0
		q.spillAll()
		q.keep()
	}
	q.unlock()
}
