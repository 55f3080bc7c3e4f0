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
	due       bool   // somebody has to call keep
	preparing bool   // a goroutine brings blocks back
	writing   int    // blocks that were handed over, and are not there yet
	hangs     bool   // none of them came there for long
	full      Reason // why it took no more, the last time
	retry     int64  // when to try again, of env.mono
	unread    int64  // when to try again what could not be read; 0: all could

	filled *block // that the beat has seen being filled
	since  int64  // when it did, of env.mono

	room     chan struct{} // closed when a block has come there; nil: nobody waits for that
	todo     []*block      // to be handed to the disk
	stale    []*block      // to be handed to it once more, a little later
	changed  int64         // when the last of them was changed; of env.mono
	deletes  []placeOnDisk
	presence map[uint64]presenceAt
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
		return putBehind
	}
	if most > 0 && int64(q.kept+q.bytes+size) > most {
		return putKept
	}
	return putOK
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
		q.finish(q.blocks[last])
		q.blocks[last].closed = true
	}
	q.disk.spilling = q.disk.blocks > 0
}

// finish sends a spilled block that was being filled to the disk. Called with mu held.
func (q *Queue) finish(b *block) {
	if b.spill && !b.closed && len(b.recs) > 0 {
		b.closed = true
		q.disk.todo = append(q.disk.todo, b)
		q.disk.due = true
	}
}

// grown looks at a spilled block that has got a stanza. Called with mu held.
func (q *Queue) grown(b *block) {
	if len(b.recs) == 1 {
		q.disk.due = true // so that the beat looks after it
	}
	if len(b.b) >= spillBlock {
		q.finish(b)
	}
}

// keep hands blocks to the disk. Called with mu held; it lets go of it meanwhile.
func (q *Queue) keep() {
	q.disk.due = false
	for q.disk.full == None || q.env.mono() >= q.disk.retry {
		if len(q.disk.todo) == 0 {
			q.disk.todo, q.disk.full = nil, None // what it had no room for does not wait any more
			return
		}
		b := q.disk.todo[0]
		q.disk.todo = q.disk.todo[1:]
		if b.out || b.b == nil || b.next > 0 && !b.early || b.kept && (!b.stale || b.owed > 0) || b.keeping {
			continue
		}
		if b.holes > 0 && !q.busy(b) {
			q.compact(b)
			q.locate(b)
		}
		value := b.encode()
		if value == nil {
			q.unkeep(b)
			continue
		}
		b.keeping, b.stale = true, false
		if b.dead = nil; b.holes > 0 { // they are none there
			b.turns++
		}
		at := placeOnDisk{q.targetOf(b), b.first}
		q.disk.writing++
		q.mu.Unlock()
		size := int64(len(value))
		q.env.coming.Add(size)
		err := q.env.outbox.Put(at.target, at.number, value, func(err error) {
			q.env.coming.Add(-size)
			q.keptNow(b, err)
		})
		q.mu.Lock()
		if err != nil {
			q.env.coming.Add(-size)
			q.disk.writing--
			b.keeping, b.stale = false, b.kept
			q.disk.todo = append([]*block{b}, q.disk.todo...)
			q.disk.full, q.disk.retry = fullOf(err), q.env.mono()+int64(retryDisk)
			q.roomCame() // there will be none
			return
		}
		q.disk.full = None
	}
}

// unkeep takes a block of which nothing is left to be kept from the disk. Called with mu held; it lets go of it meanwhile.
func (q *Queue) unkeep(b *block) {
	if b.kept {
		b.kept, b.stale = false, false
		n, size := b.waiting()
		q.kept, q.bytes, q.disk.stanzas = q.kept-size, q.bytes+size, q.disk.stanzas-n
		at := placeOnDisk{q.targetOf(b), b.first}
		b.keeping = true // nobody puts it there meanwhile
		q.mu.Unlock()
		q.env.outbox.Delete(at.target, at.number)
		q.mu.Lock()
		b.keeping = false
	}
	if len(b.recs) == 0 && b.b != nil && !q.busy(b) && !b.out {
		q.unload(b)
		b.b = make([]byte, 0)
	}
}

// unload gives the memory of a block back. Called with mu held.
func (q *Queue) unload(b *block) {
	b.noteOrder()
	q.grew(-cap(b.b))
	(&block{b: b.b, recs: b.recs}).free()
	b.b, b.recs, b.index, b.stamped = nil, nil, nil, false
}

// fullOf names the reason for which the disk takes no more.
func fullOf(err error) Reason {
	if errors.Is(err, storage.ErrDiskFull) {
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
	b.keeping = false
	q.disk.writing--
	q.disk.hangs = q.disk.hangs && err != nil
	switch {
	case b.dropped: // maybe before it was put there
		q.disk.deletes = append(q.disk.deletes, placeOnDisk{q.targetOf(b), b.first})
	case b.out:
	case err != nil:
		if b.stale = b.kept; b.b != nil && !b.empty() {
			q.disk.todo = append(q.disk.todo, b)
		}
	default:
		q.keptIs(b)
	}
	q.roomCame()
	q.unlock()
}

// keptIs notes that the disk has a block. Called with mu held.
func (q *Queue) keptIs(b *block) {
	if !b.kept {
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

// again has a block that was changed handed to the disk once more, a little later: more may follow. What was taken out of it for users
// who have moved stays on disk until it is safe elsewhere (paid). Called with mu held.
func (q *Queue) again(b *block) {
	if b.owed > 0 {
		return
	}
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
	if b.b == nil || !b.kept || b.keeping || b.stale || b.next > 0 || q.busy(b) {
		return
	}
	if q.out != nil && q.ahead(b) < q.readAhead() {
		return
	}
	if slices.ContainsFunc(b.recs, func(r rec) bool { return !r.class.keeps() || r.class == classStored }) {
		return // the disk has not all of it, or not the tokens of its letters
	}
	b.count, b.size = b.waiting()
	q.unload(b)
}

// ahead gives the bytes of memory that is taken before a block, as far as readAhead asks. Called with mu held.
func (q *Queue) ahead(b *block) (size int) {
	for _, o := range q.blocks {
		if o == b || size >= q.readAhead() {
			break
		}
		size += cap(o.b)
	}
	return size
}
