package routing

import (
	"errors"
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// diskSide is what a queue knows of its outbox (protocol 3). Guarded by the queue's mu.
type diskSide struct {
	spilling  bool   // what is new goes to the disk
	blocks    int    // that are to be there, or are, and wait
	stanzas   int    // that wait on disk
	holes     int    // bytes of stanzas that were taken out and still lie in a block in memory
	due       bool   // somebody has to call keep
	preparing bool   // a goroutine brings blocks back
	full      Reason // why it took no more, the last time
	retry     int64  // when to try again, of env.mono

	filled *block // that the beat has seen being filled
	since  int64  // when it did, of env.mono

	todo     []*block // to be handed to the disk
	stale    []*block // to be handed to it once more, a little later
	changed  int64    // when the last of them was changed; of env.mono
	deletes  []placeOnDisk
	presence map[string]presenceAt
}

// placeOnDisk names a block in the outbox.
type placeOnDisk struct {
	target string
	number uint64
}

const (
	spillBlock = 60 << 10 // bytes of a block that goes to the disk
	retryDisk  = 250 * time.Millisecond
	readAhead  = 1 << 20 // bytes that are brought back before they can be written
)

// fitDisk says whether a stanza can go to the disk. Called with mu held.
func (q *Queue) fitDisk(size, limit int, r rec) putResult {
	most := q.env.most.Load()
	if r.origin == 0 {
		most += most / 100
	}
	switch {
	case q.bytes+size <= spillBlock: // there is room for one block, whatever the disk does
	case q.disk.full != None:
		if q.bytes+size > limit {
			return putDisk
		}
	case q.bytes+size > limit+q.onTheWay(limit):
		return putFull
	}
	if most > 0 && int64(q.kept+q.bytes+size) > most {
		return putKept
	}
	return putOK
}

// onTheWay is what may be on its way to the disk beyond the limit: as much again, but when memory is short.
func (q *Queue) onTheWay(limit int) int {
	if q.env.tight.Load() {
		return max(limit/8, 2*spillBlock)
	}
	return limit
}

// spills reports whether what is new goes to the disk. Called with mu held.
func (q *Queue) spills() bool { return q.disk.spilling || q.out == nil && q.env.outbox != nil }

// spillAll sends all that waits to the disk. Called with mu held, nobody writing.
func (q *Queue) spillAll() {
	q.disk.spilling = true
	for _, b := range q.blocks {
		q.spillOne(b)
	}
	q.disk.due = q.disk.due || len(q.disk.todo) > 0
}

// spillOne sends a block to the disk. Called with mu held.
func (q *Queue) spillOne(b *block) {
	if !b.spill {
		b.spill = true
		q.disk.blocks++
	}
	b.closed = true
	switch {
	case b.b == nil || b.empty():
	case !b.kept && !b.keeping || b.stale:
		q.disk.todo = append(q.disk.todo, b)
	case b.kept:
		q.release(b)
	}
}

// unspilled notes that a spilled block does not wait any more. The last one makes the queue a direct one. Called with mu held.
func (q *Queue) unspilled() {
	if q.disk.blocks--; q.disk.blocks == 0 && q.out != nil {
		q.disk.spilling = false
	}
}

// closeTail makes what is new begin a block of its own. Called with mu held.
func (q *Queue) closeTail() {
	if last := len(q.blocks) - 1; last >= 0 {
		q.blocks[last].closed = true
	}
	q.disk.spilling = q.disk.blocks > 0
}

// grown looks at a spilled block that has got a stanza. Called with mu held.
func (q *Queue) grown(b *block) {
	if len(b.recs) == 1 {
		q.disk.due = true // so that the beat looks after it
	}
	if len(b.b) >= spillBlock {
		b.closed = true
		q.disk.todo = append(q.disk.todo, b)
		q.disk.due = true
	}
}

// keep hands blocks to the disk. Called with mu held; it lets go of it meanwhile.
func (q *Queue) keep() {
	q.disk.due = false
	for q.disk.full == None || q.env.mono() >= q.disk.retry {
		if len(q.disk.todo) == 0 {
			q.disk.todo = nil
			return
		}
		b := q.disk.todo[0]
		q.disk.todo = q.disk.todo[1:]
		if b.out || b.b == nil || b.next > 0 || b.kept && !b.stale || b.keeping {
			continue
		}
		value := b.encode()
		if value == nil {
			continue // nothing of it can be kept
		}
		b.keeping, b.stale = true, false
		if b.holes > 0 { // they are none there
			b.dead = nil
			b.turns++
		}
		at := placeOnDisk{q.targetOf(b), b.first}
		q.mu.Unlock()
		err := q.env.outbox.Put(at.target, at.number, value, func(err error) { q.keptNow(b, err) })
		q.mu.Lock()
		if err != nil {
			b.keeping, b.stale = false, b.kept
			q.disk.todo = append([]*block{b}, q.disk.todo...)
			q.disk.full, q.disk.retry = fullOf(err), q.env.mono()+int64(retryDisk)
			return
		}
		q.disk.full = None
	}
}

// fullOf names the reason for which the disk takes no more.
func fullOf(err error) Reason {
	if errors.Is(err, storage.ErrStoreFull) {
		return OutboxTotal
	}
	return OutboxDisk
}

// targetOf names the target of a block in the outbox.
func (q *Queue) targetOf(b *block) string {
	if b.target != "" {
		return b.target
	}
	return q.target
}

// keptNow notes that the disk has a block, or could not take it.
func (q *Queue) keptNow(b *block, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.keeping = false
	switch {
	case b.out:
		return
	case err != nil:
		if b.stale = b.kept; b.b != nil && !b.empty() {
			q.disk.todo = append(q.disk.todo, b)
		}
		return
	case !b.kept:
		b.kept = true
		n, size := b.waiting()
		q.bytes -= size
		q.kept += size
		q.disk.stanzas += n
	}
	if b.stale {
		q.again(b)
		return
	}
	q.release(b)
}

// again has a block that was changed handed to the disk once more: what was taken out of it is in other hands by then.
// Called with mu held.
func (q *Queue) again(b *block) {
	q.disk.changed = q.env.mono()
	if !slices.Contains(q.disk.stale, b) {
		q.disk.stale = append(q.disk.stale, b)
	}
}

// waiting counts a block's stanzas that are not written.
func (b *block) waiting() (n, size int) {
	for _, r := range b.recs[b.next:] {
		if r.class != classMoved {
			n, size = n+1, size+int(r.size)
		}
	}
	return n, size
}

// release gives the memory of a block back that the disk has, unless it is to be written soon. Called with mu held.
func (q *Queue) release(b *block) {
	if b.b == nil || !b.kept || b.keeping || b.stale || b.next > 0 || len(q.blocks) > 0 && q.blocks[0] == b && q.writing {
		return
	}
	if q.out != nil && q.ahead(b) < readAhead {
		return
	}
	if slices.ContainsFunc(b.recs, func(r rec) bool { return !r.class.keeps() }) {
		return // the disk has not all of it
	}
	b.count, b.size = b.waiting()
	q.memory -= cap(b.b)
	(&block{b: b.b, recs: b.recs}).free()
	b.b, b.recs, b.index, b.stamped = nil, nil, nil, false
}

// ahead gives the bytes in memory that go before a block, at least those of readAhead. Called with mu held.
func (q *Queue) ahead(b *block) (size int) {
	for _, o := range q.blocks {
		if o == b || size >= readAhead {
			break
		}
		size += len(o.b) - o.off
	}
	return size
}

// ready reports whether the first block can be written; if not, somebody brings it. Called with mu held.
func (q *Queue) ready() bool {
	if q.blocks[0].prepared() {
		if !q.disk.preparing && len(q.blocks) > 1 && q.disk.blocks > 0 && q.unprepared() != nil {
			q.prepareSoon()
		}
		return true
	}
	if !q.disk.preparing {
		q.prepareSoon()
	}
	return false
}

// prepared reports whether a block can be written as it is.
func (b *block) prepared() bool { return b.b != nil && (!b.late || b.stamped) }

// unprepared gives the first block of those to be written soon that is not prepared. Called with mu held.
func (q *Queue) unprepared() *block {
	size := 0
	for _, b := range q.blocks {
		if !b.prepared() {
			return b
		}
		if size += len(b.b) - b.off; size >= readAhead {
			return nil
		}
	}
	return nil
}

func (q *Queue) prepareSoon() {
	q.disk.preparing = true
	q.env.wg.Go(q.prepare)
}

// prepare brings blocks back from the disk, and says in their stanzas since when they have waited. It ends when enough is
// prepared, or the link has gone.
func (q *Queue) prepare() {
	q.mu.Lock()
	for q.out != nil {
		b := q.unprepared()
		if b == nil {
			break
		}
		if b.b == nil {
			at := placeOnDisk{q.targetOf(b), b.first}
			q.mu.Unlock()
			value, err := q.env.outbox.Get(at.target, at.number)
			q.mu.Lock()
			if b.b != nil || b.out {
				continue
			}
			q.loaded(b, value, err)
		}
		if b.late && !b.stamped && b.b != nil {
			q.stamp(b)
		}
		q.mu.Unlock()
		q.flush()
		q.mu.Lock()
	}
	q.disk.preparing = false
	q.unlock()
}

// loaded puts into a block what the disk gave. What it did not give is lost. Called with mu held.
func (q *Queue) loaded(b *block, value []byte, err error) {
	count, was := b.count, b.size
	if err == nil {
		err = b.decode(value)
	}
	if err != nil {
		q.env.log(q, "read stanzas that wait", err)
		q.waited(b, count, was)
		q.count.broken += uint64(count)
		b.dead = nil
		b.b, b.recs, b.count, b.size = make([]byte, 0), nil, 0, 0
		return
	}
	q.disk.holes += b.bury()
	_, size := b.waiting()
	q.kept += size - was // it may have been stamped before it went
	q.memory += cap(b.b)
}

// stamp says in each stanza of a block that waited for a link since when it has (XEP-0203). Called with mu held.
func (q *Queue) stamp(b *block) {
	b.stamped = true
	q.compact(b)
	was, before := cap(b.b), len(b.b)-b.done
	b.stampFrom(q.env.server)
	grown := len(b.b) - b.done - before
	q.memory += cap(b.b) - was
	if b.kept {
		q.kept += grown
	} else {
		q.bytes += grown
	}
}
