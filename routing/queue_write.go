package routing

// flush writes what waits: a try or two by the caller, the rest by a writer of its own.
func (q *Queue) flush() {
	q.mu.Lock()
	q.scheduled = false
	if q.disk.due {
		q.keep()
	}
	if q.writing || !q.more() {
		q.unlock()
		return
	}
	q.writing = true
	q.write()
}

// op is one write: whole stanzas of the first block, a ping, or both.
type op struct {
	buf  []byte
	size int // bytes of the block's in buf; the rest is the ping
}

// write is called with mu held and the writing flag set, and gives up both.
func (q *Queue) write() {
	for try := 0; ; try++ {
		o, more := q.plan()
		if !more {
			break
		}
		if try == inlineTries {
			q.unlock()
			q.env.wg.Go(q.drain)
			return
		}
		out := q.out
		q.mu.Unlock()
		n, err := out.TryWrite(o.buf)
		q.mu.Lock()
		q.wrote(out, o, n, err)
		if n < len(o.buf) {
			try = inlineTries - 1 // the socket would block
		}
	}
	q.rest()
	q.unlock()
}

// busy reports whether a block may be read by the holder of the writing flag. Called with mu held.
func (q *Queue) busy(b *block) bool { return q.writing && len(q.blocks) > 0 && q.blocks[0] == b }

// inlineTries bounds how long a reader writes for others: its own block, and what joined meanwhile.
const inlineTries = 4

// drain is the queue's writer. It exists while the socket would block, holds the writing flag, and ends when
// nothing may be written now or the link has gone.
func (q *Queue) drain() {
	q.mu.Lock()
	for {
		o, more := q.plan()
		if !more {
			break
		}
		out := q.out
		q.waits = true
		q.unlock()
		n, err := out.Write(o.buf)
		q.mu.Lock()
		q.waits = false
		q.wrote(out, o, n, err)
	}
	q.rest()
	q.unlock()
}

// unlock gives mu up, and does what must not be done under it: it tells of letters that arrived, takes blocks from the disk
// that are not needed there any more, and has the beat look after the queue.
func (q *Queue) unlock() {
	tokens, gone := q.tokens, q.disk.deletes
	q.tokens, q.disk.deletes = nil, nil
	arm := !q.armed && q.beats()
	q.armed = q.armed || arm
	q.mu.Unlock()
	if len(tokens) > 0 {
		q.env.arrived(tokens)
	}
	for _, d := range gone {
		q.env.outbox.Delete(d.target, d.number)
	}
	if arm {
		q.env.arm(q)
	}
}

// more reports whether there is a link and something that may be written to it now. Called with mu held.
func (q *Queue) more() bool {
	if q.out == nil {
		return false
	}
	if len(q.ping) > 0 || q.before > 0 || q.acks.tell || q.proof.want && q.proof.due(0, 0) {
		return true
	}
	return q.next() && q.ready() && (q.roomFor(q.blocks[0]) > 0 || len(q.proof.open) == 0 || q.mayGo())
}

// plan gives the next write. Called with mu held, by the holder of the writing flag.
func (q *Queue) plan() (o op, ok bool) {
	if q.out == nil {
		return op{}, false
	}
	if q.before == 0 && len(q.ping) == 0 {
		stanzas, size := 0, 0
		if q.next() && q.ready() {
			if stanzas, size = q.run(q.blocks[0]); size == 0 {
				stanzas, size = q.answersFirst() // the window is shut
			}
			if size == 0 && len(q.proof.open) == 0 {
				q.proof.want = true // no reply is on its way that would open it
			}
		}
		if size > 0 {
			q.proof.ride(q.env.mono)
		}
		if q.acks.tell || size > 0 && q.acks.rides(q.blocks[0], size) {
			q.ping = q.acks.write(q.ping)
		}
		if q.proof.due(stanzas, size) {
			q.ping = q.proof.ask(q.ping, q.sent+uint64(stanzas), q.env.mono())
		}
		if size == 0 && len(q.ping) == 0 {
			return op{}, false
		}
		q.before = size
	}
	if o.size = q.before; o.size > 0 {
		b := q.blocks[0]
		o.buf = b.b[b.off : b.off+o.size]
		if len(q.ping) == 0 || b.off+o.size < len(b.b) || cap(b.b)-len(b.b) < len(q.ping) {
			return o, true
		}
	}
	if o.size == 0 {
		o.buf = q.ping
	} else if len(q.ping) > 0 {
		o.buf = append(o.buf, q.ping...) // in the room that is left in the block, where it is part of no stanza
	}
	return o, true
}

// run gives the stanzas, and bytes of them, that may be written of a block: the window bounds them.
func (q *Queue) run(b *block) (stanzas, size int) {
	size = q.roomFor(b)
	if all := len(b.b) - b.off; size == all {
		return len(b.recs) - b.next, all
	}
	for at := 0; ; stanzas++ {
		if at += int(b.recs[b.next+stanzas].size); at > size {
			return stanzas, at - int(b.recs[b.next+stanzas].size)
		}
	}
}

// roomFor gives how many of the first block's bytes may be written: all, or as many as are left of the window. One stanza
// may be larger than the window. What was written before the link was resumed had its place in the window then, whatever that is now.
func (q *Queue) roomFor(b *block) int {
	all := len(b.b) - b.off
	room := q.proof.room(q.unproved)
	if q.sent < q.acks.again {
		room = max(room, b.sizeOf(q.acks.again-q.sent))
	}
	if all <= room {
		return all
	}
	q.proof.shut = true
	first := int(b.recs[b.next].size)
	switch {
	case first <= room:
		return room
	case q.unproved == 0:
		return first
	}
	return 0
}

// next makes the first block one that has something to write. Called with mu held.
func (q *Queue) next() bool {
	for len(q.blocks) > 0 {
		b := q.blocks[0]
		if b.holes > 0 && q.before == 0 {
			q.compact(b)
		}
		if !b.empty() {
			return true
		}
		if len(q.blocks) == 1 && !b.spill && !b.closed && q.sent > q.proved && len(b.b)+smallBlock <= cap(b.b) {
			return false // it takes more, and is proved where it is
		}
		q.blocks = shift(q.blocks)
		if b.spill {
			q.unspilled()
		}
		if b.over == len(b.recs) {
			q.free(b)
		} else {
			q.ring = append(q.ring, b)
		}
	}
	return false
}

// shift takes the first block out of a list.
func shift(list []*block) []*block {
	if len(list) > 64 {
		list[0] = nil
		return list[1:]
	}
	n := copy(list, list[1:])
	list[n] = nil
	return list[:n]
}

// wrote accounts for n bytes of a write. An error ends the use of out. Called with mu held.
func (q *Queue) wrote(out Output, o op, n int, err error) {
	if size := min(n, o.size); size > 0 {
		q.advance(q.blocks[0], size)
	}
	if n > o.size {
		q.ping = q.ping[:copy(q.ping, q.ping[n-o.size:])]
		q.torn = len(q.ping) > 0
	}
	if err != nil && q.out == out {
		q.out = nil
	}
	if q.out != out {
		q.rewind()
	}
}

// advance counts bytes of the first block that were written. Called with mu held.
func (q *Queue) advance(b *block, n int) {
	first := b.next
	done, size := b.advance(n)
	q.before -= n
	q.waited(b, done, size)
	q.count.wrote += uint64(done)
	q.sent += uint64(done)
	q.unproved += size
	if q.sent > q.proof.last { // else a ping is behind them already, in the same write
		q.proof.add(done, size, q.env.mono)
	}
	if q.proof.grade == GradeWritten {
		q.end(b.recs[first : first+done])
		q.keepWindow()
	}
	if q.acks.counted > q.proved {
		q.prove(min(q.acks.counted, q.sent)) // the peer was faster
	}
}

// waited takes stanzas that do not wait any more out of the account. Called with mu held.
func (q *Queue) waited(b *block, n, size int) {
	q.count.waiting -= uint64(n)
	if b.kept {
		q.kept -= size
		q.disk.stanzas -= n
	} else {
		q.bytes -= size
	}
}

// rewind makes a stanza that was cut in the middle go whole to the next link. Called with mu held.
func (q *Queue) rewind() {
	q.before = 0
	q.ping = q.ping[:0]
	if len(q.blocks) > 0 && q.blocks[0].off != q.blocks[0].done {
		q.torn = true
		q.blocks[0].off = q.blocks[0].done
	}
}

// rest gives the writing flag back. Called with mu held.
func (q *Queue) rest() {
	q.writing = false
	if q.out == nil && q.acks.id == "" {
		q.forgetRequests()
	}
	q.idle.Broadcast()
}
