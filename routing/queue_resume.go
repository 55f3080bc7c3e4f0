package routing

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// resumption is what a queue knows of a stream with XEP-0198. Guarded by the queue's mu.
//
//	link     ──drop──►  held      the ring and what waits stay as they are, numbers too; what is new joins the tail
//	held     ──resume► link      p becomes the peer's count, what is behind it is written again, as it was
//	held     ──takeBack► (plain) the grace is over, another link came, a user is elsewhere: as if it had never been
type resumption struct {
	id      string // under which the link may be resumed; "": it may not
	held    bool   // the link has gone, and may be resumed
	claimed bool   // a link is about to

	counted uint64 // the peer's count, which may be ahead of ours while we write
	again   uint64 // up to here stanzas were written before the link was resumed, and are written again as they were

	tell  bool   // told is to be written now
	since int64  // since when told waits for a stanza that it goes along with, of env.mono; 0: it does not
	told  uint64 // our count of what the peer sent
	asked uint64 // the peer has asked, and was told less than this, which it had sent; 0: it waits for nothing
}

const (
	tellAfter = 100 * time.Millisecond // so long a count that nobody has asked for waits for a stanza
	tellRoom  = 64                     // bytes of the longest
)

// rides reports whether the count goes along with the rest of a block, which is about to be written: it is a write of its own
// otherwise.
func (a *resumption) rides(b *block, size int) bool {
	return a.since > 0 && size > 0 && b.off+size == len(b.b) && cap(b.b)-len(b.b) >= tellRoom
}

// write appends the count.
func (a *resumption) write(dst []byte) []byte {
	if a.told >= a.asked {
		a.asked = 0
	}
	a.tell, a.since = false, 0
	return appendAck(dst, uint32(a.told))
}

// late makes the count one that is to be written now, if it has waited long enough.
func (a *resumption) late(now int64) {
	a.tell = a.tell || a.since > 0 && now-a.since >= int64(tellAfter)
}

// TooHigh is a count of more stanzas than were sent (XEP-0198 section 4). Both are modulo 2^32.
type TooHigh struct{ H, Sent uint32 }

// Error gives both counts.
func (e *TooHigh) Error() string {
	return fmt.Sprintf("the peer says it has handled %d stanzas, and %d were sent", e.H, e.Sent)
}

// TooLow is a count below one that came before: what was counted is forgotten, and cannot be sent again. Both are modulo 2^32.
type TooLow struct{ H, Counted uint32 }

// Error gives both counts.
func (e *TooLow) Error() string {
	return fmt.Sprintf("the peer says it has handled %d stanzas, and said %d before", e.H, e.Counted)
}

// attachAcks is attach for a link whose peer counts. id is the one under which it may be resumed, or empty.
func (q *Queue) attachAcks(out Output, id string) {
	q.attach(out, false)
	q.mu.Lock()
	q.proof.startAcks(0, q.env.mono())
	q.acks = resumption{id: id}
	q.node.grade.Store(uint32(GradeAcked))
	q.mu.Unlock()
}

// hold keeps all as it is for the link to be resumed: what waits goes to the disk, what is written and not proved stays in the
// ring. Called with mu held, nobody writing.
func (q *Queue) hold() {
	q.rewind()
	q.acks.held, q.acks.tell, q.acks.since = true, false, 0
	q.proof.open = q.proof.open[:0]
	if q.env.outbox == nil {
		return
	}
	q.disk.spilling = true
	for _, b := range q.blocks {
		if b.closed = true; b.next == 0 {
			q.spillOne(b)
		}
	}
	q.disk.due = q.disk.due || len(q.disk.todo) > 0
}

// heldAs reports whether the queue's link has dropped and may be resumed under an id.
func (q *Queue) heldAs(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.acks.held && !q.acks.claimed && q.acks.id == id
}

// linkedAs reports whether the queue has a link that may be resumed under an id.
func (q *Queue) linkedAs(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.acks.held && q.acks.id == id && id != ""
}

// claim takes the right to resume: nobody takes back what is held. h is the peer's count. A peer that has forgotten what it has
// counted cannot go on: what it wants is not held.
func (q *Queue) claim(id string, h uint32) (ok bool, err error) {
	q.mu.Lock()
	defer q.unlock()
	if !q.acks.held || q.acks.claimed || q.acks.id != id {
		return false, nil
	}
	to, err := q.countOf(h)
	var low *TooLow
	if errors.As(err, &low) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	q.prove(to)
	q.acks.claimed = true
	return true, nil
}

// unclaim gives the right back: nothing was resumed. It reports whether that is still possible.
func (q *Queue) unclaim() (held bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.acks.claimed = false
	return q.acks.held
}

// resume gives the queue the link that goes on with the one that dropped, and takes the writing flag: what the peer has not
// counted is written again behind begin's hello, requests too, and nothing of it says that it is late. id: under which it was
// held.
func (q *Queue) resume(out Output) (id string, ok bool) {
	q.mu.Lock()
	defer q.unlock()
	if !q.acks.claimed {
		return "", false
	}
	again := max(q.acks.again, q.sent)
	q.unwind(true)
	q.closeTail()
	q.out, q.torn, q.gone = out, false, false
	q.sent, q.before = q.proved, 0
	q.proof.startAcks(q.proved, q.env.mono())
	q.acks, q.past.looked = resumption{id: q.acks.id, again: again}, 0
	q.writing = true
	return q.acks.id, true
}

// takeBack ends the time in which a link that dropped may be resumed, and reports whether there was one: what was not proved
// waits, as after the drop of any other link.
func (q *Queue) takeBack() bool {
	q.mu.Lock()
	defer q.unlock()
	if !q.acks.held || q.acks.claimed { // nobody writes what is held
		return false
	}
	q.dropped()
	return true
}

// dropped makes all that was not proved wait, and hands it to the disk. Called with mu held, nobody writing, without a link.
func (q *Queue) dropped() {
	q.unwind(false)
	q.forgetRequests()
	q.ungroup()
	q.replacePresence()
	if q.env.outbox != nil {
		q.spillAll()
		q.keep()
	}
}

// holdsFor reports whether something is held for a user, by a hash of his bare JID, that cannot be taken out while the link may be
// resumed.
func (q *Queue) holdsFor(user uint32) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.acks.held || q.acks.claimed {
		return false
	}
	for _, b := range q.ring {
		if b.binds(user) {
			return true
		}
	}
	return slices.ContainsFunc(q.blocks, func(b *block) bool { return b.binds(user) })
}

// binds reports whether one of the stanzas of a block that are not proved, and cannot be taken out one by one, is for a user: it is
// written, or a request, whose asker is answered when it is dropped. Of those that are for several users it is assumed.
func (b *block) binds(user uint32) bool {
	at := b.passed
	for i, r := range b.recs[b.over:] {
		if r.class == classGroup {
			return true
		}
		if b.over+i < b.next || r.class == classRequest {
			if to, ok := addressee(b.b[at : at+int(r.size)]); ok && userHash(to.Bare()) == user {
				return true
			}
		}
		at += int(r.size)
	}
	return false
}

// countOf gives the link's number that a peer's count stands for. It may be ahead of q.sent: who reads what we write may be
// faster than we in noting it. Called with mu held.
func (q *Queue) countOf(h uint32) (uint64, error) {
	most := q.sent
	if q.writing && q.before > 0 {
		b := q.blocks[0]
		end, all := 0, b.off-b.done+q.before
		for i := b.next; i < len(b.recs) && end+int(b.recs[i].size) <= all; i++ {
			end += int(b.recs[i].size)
			most++
		}
	}
	low := max(q.proved, q.acks.counted)
	to := low + uint64(h-uint32(low))
	if to <= most {
		return to, nil
	}
	if back := uint64(uint32(low) - h); back <= low && back < 1<<31 { // modulo 2^32, what is nearer
		return 0, &TooLow{H: h, Counted: uint32(low)}
	}
	return 0, &TooHigh{H: h, Sent: uint32(q.sent)}
}

// acked takes the peer's count, and reports whether there may be more to write now.
func (q *Queue) acked(h uint32) (flush bool, err error) {
	q.mu.Lock()
	defer q.unlock()
	if q.out == nil || !q.proof.acks {
		return false, nil // the link is going
	}
	to, err := q.countOf(h)
	if err != nil {
		return false, err
	}
	q.acks.counted = to
	q.proof.counted(to, q.env.mono())
	q.prove(min(to, q.sent))
	flush = !q.scheduled && !q.writing && q.more()
	q.scheduled = q.scheduled || flush
	return flush, nil
}

// acknowledge answers the question of a link's peer for how many of its stanzas are in custody, and reports whether the caller has to
// flush: h of the sent that it had sent. Reader and beat both tell, and the lower count may come later: what was told once never falls.
// The link may have gone, and another may be there that counts anew.
func (q *Queue) acknowledge(out Output, h, sent uint64) (flush bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != out || out == nil || !q.proof.acks {
		return false
	}
	a := &q.acks
	a.told, a.tell, a.asked = max(a.told, h), true, sent
	return q.promiseTold()
}

// mention tells the peer the same when nobody has asked, and reports whether the caller has to flush: only if the peer waits for this
// count since its last question. Else it goes along with the next stanza, or by itself a little later.
func (q *Queue) mention(out Output, h uint64) (flush bool) {
	q.mu.Lock()
	defer q.unlock() // it may be for the beat now
	a := &q.acks
	if q.out != out || out == nil || !q.proof.acks || h <= a.told {
		return false
	}
	a.told = h
	if a.asked > 0 && h >= a.asked {
		a.tell = true
		return q.promiseTold()
	}
	if a.since == 0 {
		a.since = q.env.mono()
	}
	return false
}

// promiseTold reports whether the caller has to flush what is told. Called with mu held.
func (q *Queue) promiseTold() (flush bool) {
	flush = !q.scheduled && !q.writing
	q.scheduled = q.scheduled || flush
	return flush
}
