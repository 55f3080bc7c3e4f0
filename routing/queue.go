package routing

import (
	"sync"
	"sync/atomic"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Output is where a queue writes: the connection of a link.
type Output interface {
	// TryWrite writes what can be written without waiting; less than all with a nil error means: would block.
	TryWrite(b []byte) (int, error)
	// Write writes all of b, or fails.
	Write(b []byte) (int, error)
	// Interrupt makes a Write that waits fail now. It may be called while Write runs, and must not wait.
	Interrupt()
}

// class of a queued stanza: what a drop of the link means for it.
type class uint8

const (
	classKeep    class = iota // waits for the node's return
	classShared               // one of several copies: waits too, and is not decided again while another may arrive
	classRequest              // an iq get or set: never kept, its asker is answered at the drop
	classMoved                // its user has moved: it is somewhere else now
	classStored               // a letter: it is on disk too, until it is written
	classGroup                // for several users of the node (XEP-0033): without a link it is one for each
)

// notice, as at of a classRequest, marks what the server can say later as well.
const notice = 1

// rec describes one queued stanza.
type rec struct {
	size   uint32
	class  class
	origin storage.NodeID // the node it came from, 0 for the server: whom to tell if it fails
	at     uint32         // the work's version at the decision, of classShared and classGroup; the letter's token, of classStored
}

// Queue is the outgoing half of a node: numbered stanzas, in order. It outlives the link, so that what was not
// written when a link dropped waits for the next one.
//
//	n: last queued   w: last written   p: last proved      p <= w <= n; (w,n] is in the queue
type Queue struct {
	// set once
	wg      *sync.WaitGroup
	arrived func(tokens []uint32) // is told of letters that were written; no lock is held
	refused func(storage.NodeID)  // is told whose request was taken out; it takes no lock
	clock   *atomic.Int64         // UnixNano, coarse

	// guarded by mu
	mu        sync.Mutex
	limit     int           // bytes that may wait
	idle      sync.Cond     // signalled when writing becomes false
	out       Output        // nil: the node is away
	writing   bool          // somebody holds the writing flag
	scheduled bool          // a reader has promised to flush
	torn      bool          // the link that went got a stanza in part
	gone      bool          // the grace is over: nothing more may wait here
	ending    chan struct{} // closed when the table knows that it is gone; nil then
	bytes     int           // waiting
	n, w, p   uint64
	dropped   uint64   // requests taken out at a drop
	unsaid    uint64   // pings and notices of the server, taken out at a drop
	moved     uint64   // taken out to be decided again, or answered
	letters   int      // of classStored, waiting
	groups    int      // of classGroup, put since the link attached
	copies    uint64   // made by ungroup
	done      []uint32 // tokens of those written, of which arrived has not been told

	index *userIndex // of what waits, by user; only while there is no link
	holes int        // bytes of what was taken out and still lies in a block

	// guarded by mu, but for the bytes of the first one, which the holder of the writing flag reads without it:
	// nothing is appended to a block that is being written
	blocks []*block
}

func newQueue(limit int, wg *sync.WaitGroup, arrived func([]uint32)) *Queue {
	q := &Queue{limit: limit, wg: wg, arrived: arrived, refused: func(storage.NodeID) {}, clock: new(atomic.Int64)}
	q.idle.L = &q.mu
	return q
}

// put result.
type putResult uint8

const (
	putOK    putResult = iota
	putFull            // limits.queue is reached
	putLater           // a request, and the node has no link
	putGone            // the node's grace is over: decide again
)

// reserve is what the server's own answers may use beyond the limit, so that a full queue can say so.
const reserve = 64 << 10

// put queues one stanza: raw as it is, or edited. flush tells the caller to schedule one flush.
func (q *Queue) put(h *stanza.Header, e *stanza.Edit, r rec) (res putResult, flush bool) {
	q.mu.Lock()
	res = q.take(h, e, r)
	flush = q.promise()
	q.mu.Unlock()
	return res, flush
}

// putRun queues stanzas that follow each other on their way from s to this node, under one lock; each item is
// told what came of it.
func (q *Queue) putRun(s *Source, w *work, run []*item) (flush bool) {
	r := rec{origin: s.node.ID()}
	q.mu.Lock()
	for _, it := range run {
		it.put = q.take(&it.h, s.edit(w, it), r)
	}
	flush = q.promise()
	q.mu.Unlock()
	return flush
}

// promise reports whether the caller has to flush: there is something to write, and nobody has promised to.
// Called with mu held.
func (q *Queue) promise() bool {
	if q.out == nil || q.scheduled || q.bytes == 0 {
		return false
	}
	q.scheduled = true
	return true
}

// take queues one stanza if there is room for it. Called with mu held.
func (q *Queue) take(h *stanza.Header, e *stanza.Edit, r rec) putResult {
	res := q.fit(len(h.Raw), r)
	if res == putOK {
		q.append(h, e, r)
	}
	return res
}

// would tells what put would say now.
func (q *Queue) would(h *stanza.Header, r rec) putResult {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.fit(len(h.Raw), r)
}

// fit says whether a stanza of so many bytes can be queued. Called with mu held.
func (q *Queue) fit(size int, r rec) putResult {
	limit := q.limit
	switch {
	case r.origin != 0:
	case r.class == classRequest && r.at == notice:
		limit /= 2
	default:
		limit += reserve
	}
	switch {
	case (r.class == classRequest || r.class == classGroup) && q.out == nil:
		return putLater
	case q.gone:
		return putGone
	case q.bytes+size > limit && q.bytes > 0:
		return putFull
	}
	return putOK
}

func (q *Queue) append(h *stanza.Header, e *stanza.Edit, r rec) {
	b := q.tail(len(h.Raw))
	before := len(b.b)
	if e == nil {
		b.b = append(b.b, h.Raw...)
	} else {
		b.b = h.AppendEdited(b.b, e)
	}
	r.size = uint32(len(b.b) - before)
	b.recs = append(b.recs, r)
	q.bytes += int(r.size)
	q.n++
	switch r.class {
	case classStored:
		q.letters++
	case classGroup:
		q.groups++
	}
}

// tail gives the block to append n bytes to. Blocks have a bounded size, so that a queue that grows takes memory
// by the piece and gives it back by the piece.
func (q *Queue) tail(n int) *block {
	if last := len(q.blocks) - 1; last >= 0 && !(last == 0 && q.writing) && q.blocks[last].room(n) {
		if b := q.blocks[last]; !b.empty() {
			return b
		}
		q.blocks[last].since = q.clock.Load()
		return q.blocks[last]
	}
	b := newBlock(n)
	b.since = q.clock.Load()
	q.blocks = append(q.blocks, b)
	return b
}

// flush writes what waits: a try or two by the caller, the rest by a writer of its own.
func (q *Queue) flush() {
	q.mu.Lock()
	q.scheduled = false
	if q.writing || !q.more() {
		q.mu.Unlock()
		return
	}
	q.writing = true
	q.write()
}

// write is called with mu held and the writing flag set, and gives up both.
func (q *Queue) write() {
	for try := 0; q.more(); try++ {
		if try == inlineTries {
			q.unlock()
			q.wg.Go(q.drain)
			return
		}
		out, cur := q.out, q.blocks[0]
		q.mu.Unlock()
		n, err := out.TryWrite(cur.b[cur.off:])
		q.mu.Lock()
		q.wrote(out, n, err)
		if n == 0 || len(q.blocks) > 0 && q.blocks[0] == cur && !cur.empty() {
			try = inlineTries - 1 // the socket would block
		}
	}
	q.rest()
	q.unlock()
}

// unlock gives mu up, and tells of the letters that were written.
func (q *Queue) unlock() {
	done := q.done
	q.done = nil
	q.mu.Unlock()
	if len(done) > 0 {
		q.arrived(done)
	}
}

// inlineTries bounds how long a reader writes for others: its own block, and what joined meanwhile.
const inlineTries = 2

// drain is the queue's writer. It exists while the socket would block, holds the writing flag, and ends when
// the queue is empty or the link has gone.
func (q *Queue) drain() {
	q.mu.Lock()
	for q.more() {
		out, cur := q.out, q.blocks[0]
		q.unlock()
		n, err := out.Write(cur.b[cur.off:])
		q.mu.Lock()
		q.wrote(out, n, err)
	}
	q.rest()
	q.unlock()
}

// more reports whether there is a link and something to write to it. Called with mu held.
func (q *Queue) more() bool { return q.out != nil && q.next() }

// next makes the first block one that has something to write. Called with mu held.
func (q *Queue) next() bool {
	for len(q.blocks) > 0 && q.blocks[0].empty() {
		q.blocks[0].free()
		n := copy(q.blocks, q.blocks[1:])
		q.blocks[n] = nil
		q.blocks = q.blocks[:n]
	}
	return len(q.blocks) > 0
}

// wrote accounts for n bytes of the first block. An error ends the use of out. Called with mu held.
func (q *Queue) wrote(out Output, n int, err error) {
	first := q.blocks[0].next
	done, size := q.blocks[0].advance(n)
	if q.letters > 0 {
		q.delivered(q.blocks[0].recs[first : first+done])
	}
	q.w += uint64(done)
	q.p = q.w // a link without proof: written is all that can be said
	q.bytes -= size
	if err != nil && q.out == out {
		q.out = nil
	}
	if q.out != out {
		q.rewind()
	}
}

// delivered notes the letters among stanzas that were written. Called with mu held.
func (q *Queue) delivered(recs []rec) {
	for _, r := range recs {
		if r.class == classStored {
			q.done = append(q.done, r.at)
			q.letters--
		}
	}
}

// rewind makes a stanza that was cut in the middle go whole to the next link. Called with mu held.
func (q *Queue) rewind() {
	if len(q.blocks) > 0 && q.blocks[0].off != q.blocks[0].done {
		q.torn = true
		q.blocks[0].off = q.blocks[0].done
	}
}

// rest gives the writing flag back. Called with mu held.
func (q *Queue) rest() {
	q.writing = false
	if q.out == nil {
		q.forgetRequests()
	}
	q.idle.Broadcast()
}

// QueueStats is a queue at one moment.
type QueueStats struct {
	Queued, Written, Proved uint64 // n, w, p
	Waiting                 uint64 // stanzas in the queue
	Bytes                   int    // their bytes
	Dropped                 uint64 // requests taken out when a link dropped
	Unsaid                  uint64 // and pings and notices of the server
	Moved                   uint64 // stanzas taken out to be decided again, or answered
	Copies                  uint64 // made of stanzas for several users when a link dropped
	Limit                   int    // bytes that may wait
}

func (q *Queue) stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueStats{Queued: q.n, Written: q.w, Proved: q.p, Bytes: q.bytes, Dropped: q.dropped,
		Moved: q.moved, Copies: q.copies, Unsaid: q.unsaid, Limit: q.limit,
		Waiting: q.n - q.w - q.dropped - q.unsaid - q.moved}
}

// oldest gives when the first stanza that waits came, in UnixNano; stanzas of one block count as one. 0: nothing waits.
func (q *Queue) oldest() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.blocks {
		for _, r := range b.recs[b.next:] {
			if r.class != classMoved {
				return b.since
			}
		}
	}
	return 0
}
