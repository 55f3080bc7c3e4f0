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
	classMoved                // it is somewhere else now
	classStored               // a letter: it is in the offline store too, until it is proved
	classAnswer               // of the server itself, to an iq of the node itself: it is for the link that asked, and for no other
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
	came   uint32         // milliseconds since the block's first; the lower half of the letter's number, of classStored
}

// Queue is the outgoing half of a node: numbered stanzas, in order (protocol 2 and 3). It outlives the link, so that what
// was not proved when a link dropped goes to the next one.
//
//	p: last proved   w: last written   n: last queued      p <= w <= n
//	(p,w] is in ring and the first block, (w,n] in blocks; a block is in memory, on disk, or both
//
//	DIRECT   all that waits is in memory
//	SPILL    more than the limit waits: what is new goes to the disk, block by block
//	AWAY     there is no link: all goes to the disk
//	REPLAY   there is a link again: blocks come back from the disk in order, what is new goes behind them
//
// SPILL, AWAY and REPLAY are one thing here: spilled blocks wait. The last one that is written makes it DIRECT.
type Queue struct {
	// set once
	env     *queueEnv
	node    *Node  // whose it is
	target  string // its name in the outbox
	ordinal int    // among all queues, from 0

	// guarded by mu
	mu        sync.Mutex
	limit     int           // bytes that may wait in memory
	idle      sync.Cond     // signalled when writing becomes false
	out       Output        // nil: the node is away
	writing   bool          // somebody holds the writing flag
	waits     bool          // the holder's socket takes nothing
	scheduled bool          // a reader has promised to flush
	torn      bool          // the link that went got a stanza in part
	gone      bool          // the grace is over: nothing more may wait here
	drops     bool          // what was written without proof is done with when the link drops (unproved: drop)
	armed     bool          // the beat looks after it
	ending    chan struct{} // closed when the table knows that it is gone; nil then

	proof  barrier
	acks   resumption
	past   pastWindow
	ping   []byte // the rest of a ping, or of a count, that is being written
	before int    // bytes of the first block that go before it
	count  queueCount
	tokens []uint32 // letters that arrived, of which nobody has been told

	// guarded by mu: the link's numbers
	sent     uint64 // w
	proved   uint64 // p
	ended    uint64 // up to here they count as written, whatever is proved
	unproved int    // bytes of (p,w]

	// guarded by mu: what waits
	bytes   int    // in memory only
	kept    int    // on disk
	memory  int    // what all blocks take of memory
	letters int    // of classStored, waiting or unproved
	groups  int    // of classGroup, put since the link attached
	number  uint64 // of the last stanza that was queued, for ever rising: blocks are named by it

	// guarded by mu, but for the bytes of the first block, which the holder of the writing flag reads without it:
	// nothing is appended to a block that is being written
	ring   []*block // wholly written, and not proved
	blocks []*block // the first may be written in part

	disk    diskSide    // guarded by mu
	custody custodySide // who owns what is said there
}

// queueCount is what became of a queue's stanzas. Guarded by its mu.
type queueCount struct {
	queued    uint64 // taken
	found     uint64 // on disk at the start
	wrote     uint64 // written to links, repeats too
	delivered uint64 // proved
	written   uint64 // ended when they were written
	repeats   uint64 // ended so, and to be written again after a drop
	waiting   uint64 // not written
	dropped   uint64 // requests taken out at a drop
	unsaid    uint64 // pings and notices of the server, taken out at a drop
	moved     uint64 // taken out to be decided again, or answered
	copies    uint64 // made by ungroup
	replaced  uint64 // presence taken out because newer one of the same pair waits
	broken    uint64 // that the disk did not give back
}

// queueEnv is what all queues of a router share. Set once.
type queueEnv struct {
	wg      *sync.WaitGroup
	arrived func(tokens []uint32)        // is told of letters that arrived; no lock is held
	lost    func(Reason, storage.NodeID) // is told whose stanza was taken out, and why; it takes no lock
	clock   *atomic.Int64                // UnixNano, coarse
	mono    func() int64                 // nanoseconds of a clock that only goes on
	moment  *atomic.Uint64               // of takings (retired)
	arm     func(*Queue)                 // makes the beat look after a queue; no lock is held
	log     func(q *Queue, what string, err error)
	server  string
	off     bool          // no link is asked for proof
	outbox  outbox        // nil: there is none
	most    *atomic.Int64 // bytes that may wait on disk for one node
	tight   *atomic.Bool  // memory is short

	memory atomic.Int64 // bytes that all queues may take together; 0: no bound
	blocks atomic.Int64 // bytes of memory that all blocks take
	coming atomic.Int64 // and copies of them that are on the way to the disk
	queues atomic.Int64 // that were made
}

// outbox is where blocks go that are not for memory (storage.Outbox).
type outbox interface {
	Put(target string, number uint64, value []byte, done func(error)) error
	Get(target string, number uint64) ([]byte, error)
	Delete(target string, number uint64)
}

func newQueue(limit int, env *queueEnv, n *Node, target string) *Queue {
	q := &Queue{limit: limit, env: env, node: n, target: target, ordinal: int(env.queues.Add(1)) - 1}
	q.idle.L = &q.mu
	return q
}

// put result.
type putResult uint8

const (
	putOK     putResult = iota
	putFull             // limits.queue is reached, and there is no disk to take more
	putBehind           // there is one, and it does not follow
	putLater            // a request, and the node has no link; or a group, and it cannot wait here as such
	putGone             // the node's grace is over: decide again
	putKept             // limits.outbox is reached
	putDisk             // the disk takes no more
)

// reserve is what the server's own answers may use beyond the limit, so that a full queue can say so.
const reserve = 64 << 10

// put queues one stanza: raw as it is, or edited. flush tells the caller to schedule one flush.
func (q *Queue) put(h *stanza.Header, e *stanza.Edit, r rec) (res putResult, flush bool) {
	res, flush, _ = q.putAt(h, e, r)
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
	at := q.spot()
	q.mu.Unlock()
	s.went(at)
	return flush
}

// promise reports whether the caller has to flush: there is something to write or to keep, and nobody has promised to.
// Called with mu held.
func (q *Queue) promise() bool {
	if q.scheduled || (q.out == nil || q.count.waiting == 0) && !q.disk.due {
		return false
	}
	q.scheduled = true
	return true
}

// take queues one stanza if there is room for it. Called with mu held.
func (q *Queue) take(h *stanza.Header, e *stanza.Edit, r rec) putResult {
	if r.origin == 0 && r.class == classKeep && q.isAnswer(h.Raw) {
		r.class = classAnswer
	}
	if q.disk.spilling && isReply(h) {
		r.class = q.quickClass(h, r)
	}
	res := q.fit(len(h.Raw), r)
	if res == putOK {
		if all := q.bytes + len(h.Raw); all > q.small() && q.bytes > 0 && q.env.outbox != nil {
			q.disk.spilling = q.disk.spilling || all > q.limit+reserve || q.env.tight.Load()
		}
		q.append(h, e, r)
		q.noteAnswer(h, r)
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
	case (r.class == classRequest || r.class == classAnswer && q.acks.id == "" || r.class == classGroup) && q.out == nil:
		return putLater
	case q.gone:
		return putGone
	case r.origin != 0 && q.bytes+size > q.small() && q.bytes > 0 && q.env.short():
		return putFull
	case !q.spills() && (q.bytes+size <= limit || q.bytes == 0):
		return putOK
	case q.env.outbox == nil:
		return putFull
	case r.class == classRequest || r.class == classAnswer:
		return q.fitMemory(size, limit, r)
	case r.class == classGroup:
		return putLater
	case r.class == classStored && q.memory-q.unproved+size > limit+q.readAhead():
		return putFull // it stays in memory
	}
	return q.fitDisk(size, limit, r)
}

// fitMemory says whether what never goes to the disk can be queued behind what is there: if memory could have held all of that. An
// answer may go behind more: the node may have stated its sessions behind a large outbox, and waits to hear that they are known.
// The block in which it lies stays in memory. Called with mu held.
func (q *Queue) fitMemory(size, limit int, r rec) putResult {
	if q.memory-q.unproved <= limit+q.readAhead() && (r.class == classAnswer || q.kept+q.bytes+size <= limit) {
		return putOK
	}
	return putFull
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
	if r.class != classStored {
		r.came = b.age(q.env.clock.Load())
	}
	q.number++
	b.last = q.env.moment.Load()
	if len(b.recs) == 0 {
		b.first, b.born = q.number, b.last
	}
	b.recs = append(b.recs, r)
	q.bytes += int(r.size)
	q.count.queued++
	q.count.waiting++
	switch r.class {
	case classStored:
		q.letters++
	case classGroup:
		q.groups++
	}
	if b.spill {
		q.grown(b)
	}
	if q.out == nil && q.disk.presence != nil {
		q.presence(b, len(b.recs)-1, b.b[before:], r)
	}
}

// tail gives the block to append n bytes to. Blocks have a bounded size, so that a queue that grows takes memory
// by the piece and gives it back by the piece.
func (q *Queue) tail(n int) *block {
	spill := q.spills()
	if last := len(q.blocks) - 1; last >= 0 && !(last == 0 && q.writing) {
		b := q.blocks[last]
		if was := cap(b.b); !b.closed && b.spill == spill && b.room(n) {
			q.grew(cap(b.b) - was)
			if len(b.recs) == 0 {
				b.since = q.env.clock.Load()
			}
			return b
		}
		q.finish(b)
	}
	b := newBlock(n)
	b.since = q.env.clock.Load()
	b.spill, b.late = spill, q.out == nil && q.acks.id == ""
	if spill {
		q.disk.blocks++
	}
	q.grew(cap(b.b))
	q.blocks = append(q.blocks, b)
	return b
}

// QueueStats is a queue at one moment.
type QueueStats struct {
	Queued    uint64 // stanzas taken since the start
	Found     uint64 // and found on disk then
	Waiting   uint64 // not written
	Unproved  uint64 // written, and not proved; on a link of grade written nobody waits for that
	Pending   uint64 // of those, the ones that have not ended
	Written   uint64 // handed to links, repeats too
	Delivered uint64 // proved
	Ended     uint64 // ended when they were written, on links without proof
	Repeats   uint64 // ended so, and written again after a drop
	Dropped   uint64 // requests taken out when a link dropped
	Unsaid    uint64 // and pings and notices of the server
	Moved     uint64 // stanzas taken out to be decided again, or answered
	Copies    uint64 // made of stanzas for several users when a link dropped
	Replaced  uint64 // presence that newer one replaced
	Broken    uint64 // stanzas that the disk did not give back

	Bytes         int  // waiting, in memory only
	Kept          int  // waiting, on disk
	KeptStanzas   int  // blocks' worth of them
	UnprovedBytes int  // written, and not proved
	Limit         int  // bytes that may wait in memory
	Window        int  // bytes that may be unproved; 0: without bound
	Memory        int  // bytes of memory that all take
	Spilling      bool // what is new goes to the disk
	Blocked       bool // the socket takes nothing
}

func (q *Queue) stats() QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := &q.count
	st := QueueStats{Queued: c.queued, Found: c.found, Waiting: c.waiting, Unproved: q.sent - q.proved,
		Pending: q.sent - max(q.ended, q.proved), Written: c.wrote, Delivered: c.delivered, Ended: c.written,
		Repeats: c.repeats, Dropped: c.dropped, Unsaid: c.unsaid, Moved: c.moved, Copies: c.copies, Replaced: c.replaced,
		Broken: c.broken, Bytes: q.bytes, Kept: q.kept, UnprovedBytes: q.unproved, Limit: q.limit, Memory: q.memory,
		KeptStanzas: q.disk.stanzas, Spilling: q.disk.spilling, Blocked: q.waits}
	if q.out != nil && q.proof.grade != GradeWritten {
		st.Window = q.unproved + max(0, q.proof.room(q.unproved))
	}
	return st
}

// oldest gives when the first stanza that waits came, in UnixNano; stanzas of one block count as one. 0: nothing waits.
func (q *Queue) oldest() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.blocks {
		if b.left() > 0 {
			return b.since
		}
	}
	return 0
}
