package routing

import (
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// batchSize is how many stanzas are scanned before they are routed, so that the look-ups of a batch can
// overlap their cache misses.
const batchSize = 32

// item is one stanza on its way through a batch.
type item struct {
	h          stanza.Header
	from, to   stanza.Address
	fromDomain *domain
	toDomain   *domain
	fromHash   uint64
	toHash     uint64
	place      Place
	user       *UserDomain // PlaceUsers: what counts for it, as toDomain said when place was read
	fromErr    bool
	put        putResult // what came of it in a run
	again      bool      // decided anew already, because its node's grace ended meanwhile
	scratch    []byte    // of addresses that were not canonical as written
}

// work is the memory of one Feed, lent from a pool.
type work struct {
	src     *Source
	items   [batchSize]item
	view    View
	matches []storage.Match
	queues  []*Queue // to flush
	run     []*item  // that go to runTo, one behind the other
	runTo   *Queue
	buf     []byte // stanzas made here
	fan     []byte // the copy of a fan-out that is being queued
	edit    stanza.Edit
	hashes  []uint64 // of the batch, to be touched
	version uint32   // the end of the session table's version before the look-ups: it tells which sessions are newer than a copy
	touched uint64   // the loads' result, so that they are made

	accepted uint64
	copies   uint64
	ends     [outcomes]uint64
	why      [reasons]uint64
}

func newWork() *work {
	return &work{matches: make([]storage.Match, 0, 16), queues: make([]*Queue, 0, 64), buf: make([]byte, 0, 1024), hashes: make([]uint64, 0, 2*batchSize), run: make([]*item, 0, batchSize),
		view: View{Sessions: make([]Candidate, 0, 16), targets: make([]Target, 0, 16)}}
}

// write writes each queue that got something.
func (w *work) write() {
	for i, q := range w.queues {
		q.flush()
		w.queues[i] = nil
	}
	w.queues = w.queues[:0]
}

// flush writes each queue that got something, and adds the batch to the ledger.
func (w *work) flush() {
	w.write()
	w.account()
}

// account adds what was counted to the ledger, and to the node that it came from.
func (w *work) account() { w.src.r.tally.add(w) }

// end counts an outcome.
func (w *work) end(why Reason) {
	w.ends[why.Outcome()]++
	w.why[why]++
}
