package routing

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// custody tells how far what one link sends is in safe hands: proved, ended, on disk, or in the offline store on disk. What is
// told of it is a promise that a kill of the process does not break (design 6, protocol 3).
//
//	reader   note: where a stanza went (a queue and its number there, the store, a user's hold list)
//	beat     snapshot: all that was noted since the last one ──► each place is safe ──► counted grows, flushes are answered
//	                                                     └─ not after 200 ms: it is handed to the disk early
//
// Nothing here is done for each stanza but the note, which takes no lock. A link that nobody has asked for it has no custody.
type custody struct {
	// set once
	r      *Router
	node   *Node
	id     string // under which the link may be resumed
	counts bool   // the peer asks for the count: a snapshot each 50 ms; else only for a flush

	counted atomic.Uint64 // stanzas in custody, of the first that the peer sent
	wanted  atomic.Uint64 // up to here somebody waits for it: the peer has asked, or flushes
	looked  uint64        // the beat's turn when it was looked at; owned by the beat

	// owned by the reader while feeding, else guarded by mu
	places []spot    // where stanzas went since the last snapshot
	index  []int32   // of places, by a queue's ordinal; it may be of an earlier snapshot
	stored bool      // some went to the offline store
	held   *waitroom // some are held; nil: none

	// guarded by mu
	mu      sync.Mutex
	feeding bool           // the reader is at work
	asked   bool           // the reader is to take a snapshot when it is done
	armed   bool           // the beat looks after it
	ended   bool           // the link has gone
	read    uint64         // stanzas that were read, and have been noted
	seen    uint64         // of the source's own count
	covered uint64         // of read, what a snapshot covers
	last    int64          // when the last one was taken, of env.mono
	open    []*snapshot    // oldest first
	flushes []func()       // for the next snapshot
	waiting int            // flushes that were not answered
	told    func(h uint64) // is told when counted has grown, by the beat with no lock held; nil: nobody is

	kept uint64 // the count that is on disk; owned by housekeeping
}

// spot is where stanzas went: a queue, its number behind the last of them, and how often stanzas had strayed from it before the
// first.
type spot struct {
	q      *Queue
	n      uint64
	strays uint64
}

// snapshot is what has to be safe for some more stanzas to count.
type snapshot struct {
	read   uint64 // stanzas that are in custody then
	at     int64  // when it was taken, of env.mono
	places []spot
	puts   uint64         // changes of the offline store that have to be on disk; 0: none
	held   []*waitroom    // of which none may wait
	lost   bool           // nobody knows where its stanzas are: they may be in any queue
	of     storage.NodeID // lost: whose they are
	before *Node          // nothing of this node may be held, when they are looked for; nil: that does not matter
	done   []func()
}

const (
	snapshotEach = 50 * time.Millisecond
	snapshots    = 8                      // open ones of a link; then the next takes more
	earlyAfter   = 200 * time.Millisecond // then what is not safe goes to the disk, in memory or not
	lingers      = time.Minute            // how long the count of a link that has gone may grow
	mostFlushes  = 64
)

// waitroom counts stanzas that are held in memory, and knows where they went.
type waitroom struct {
	count  atomic.Int64
	mu     sync.Mutex
	places []spot // guarded by mu until count is 0, of a room that gets no more
	stored bool   // the same
}

func (m *waitroom) note(at spot) {
	m.mu.Lock()
	m.places = append(m.places, at)
	m.mu.Unlock()
}

func (m *waitroom) store() {
	m.mu.Lock()
	m.stored = true
	m.mu.Unlock()
}

// leave tells that one is held no more: it is somewhere else by now.
func (m *waitroom) leave() {
	if m != nil {
		m.count.Add(-1)
	}
}

// Count makes the link one whose stanzas in custody are counted; told, which may be nil, is called with each new count, from
// another goroutine and with no lock held. id is the one under which the link may be resumed, or empty: the count is kept on disk
// under it. Only the reader may call it, before Feed.
func (s *Source) Count(id string, told func(h uint64)) { s.count(&custody{id: id, told: told}) }

// GoOn is Count for a link that goes on with one that was detached: its peer sends again all that the count of that one does not
// have.
func (s *Source) GoOn(old *Source, told func(h uint64)) {
	c := &custody{told: told}
	if was := old.custody; was != nil {
		c.id = was.id
		c.read = was.counted.Load()
		c.covered, c.kept = c.read, c.read
		c.counted.Store(c.read)
	}
	s.count(c)
}

func (s *Source) count(c *custody) {
	c.r, c.node, c.counts = s.r, s.node, true
	s.custody = c
	s.node.custody.Store(c)
}

// Custody is how many of the stanzas that the link sent, from the first on and without a gap, are in custody; with GoOn, those of
// the links before it too. It never falls.
func (s *Source) Custody() uint64 {
	if s.custody == nil {
		return 0
	}
	return s.custody.counted.Load()
}

// ask counts for a peer that asks: what is routed so far, and that at once if nothing of it is open. seen is the source's count
// of what is routed; sent is that of all links that went on with each other. Only the reader calls it, while it feeds.
func (c *custody) ask(seen uint64) (sent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read += seen - c.seen
	c.seen = seen
	if c.idle() {
		c.counted.Store(c.read)
		c.covered = c.read
		return c.read
	}
	c.wanted.Store(c.read)
	c.snap(false)
	return c.read
}

// idle reports whether nothing is open, nor was noted since. Called with mu held, by the reader.
func (c *custody) idle() bool {
	return len(c.open)+len(c.places)+len(c.flushes) == 0 && !c.stored && c.held == nil
}

// settle waits, but not for longer than d, until all that a link sent that has gone is in custody, so that its peer need not send
// any of it again. It reports whether it is.
func (c *custody) settle(d time.Duration) bool {
	done := make(chan struct{})
	c.mu.Lock()
	c.flushes = append(c.flushes, func() { close(done) })
	c.waiting++
	arm := c.arm()
	c.mu.Unlock()
	if arm {
		c.r.beat.watch(c)
	}
	select {
	case <-done:
		return true
	case <-time.After(d):
	case <-c.r.stop:
	}
	return false
}

// Flushed has done called when all that the link sent before is in custody: at once, or later from another goroutine. Only the
// reader may call it, while it feeds. false: too many are waiting. A link that ends forgets those that wait, unless another may go on
// with it: then done may be called when the link has gone.
func (s *Source) Flushed(done func()) bool {
	c := s.custody
	first := c == nil
	if first {
		c = &custody{r: s.r, node: s.node, feeding: true, last: s.r.env.mono()}
		s.custody = c
	}
	c.mu.Lock()
	if c.waiting >= mostFlushes {
		c.mu.Unlock()
		return false
	}
	if !first && c.idle() {
		c.mu.Unlock()
		done()
		return true
	}
	c.waiting++
	c.wanted.Store(c.read)
	c.flushes = append(c.flushes, done)
	c.snap(first)
	arm := c.arm()
	c.mu.Unlock()
	if arm {
		s.r.beat.watch(c)
	}
	return true
}

// note notes where a stanza went. Only the reader calls it, while it feeds.
func (c *custody) note(at spot) {
	ord := at.q.ordinal
	if ord >= len(c.index) {
		c.index = append(c.index, make([]int32, ord+1-len(c.index)+len(c.index)/2)...)
	}
	if i := int(c.index[ord]); i < len(c.places) && c.places[i].q == at.q {
		c.places[i].n = at.n
		return
	}
	c.index[ord] = int32(len(c.places))
	c.places = append(c.places, at)
}

// went notes where a stanza of the link went, or one that was held and is decided now.
func (s *Source) went(at spot) {
	switch {
	case s.custody != nil:
		s.custody.note(at)
	case s.room != nil:
		s.room.note(at)
	}
}

// wentToStore notes that it went to the offline store.
func (s *Source) wentToStore() {
	switch {
	case s.custody != nil:
		s.custody.stored = true
	case s.room != nil:
		s.room.store()
	}
}

// roomFor counts a stanza that is about to be held, and gives where: nil if nobody counts. What strayed there is in one for all.
func (s *Source) roomFor() *waitroom {
	c := s.custody
	switch {
	case c != nil:
		if c.held == nil {
			c.held = &waitroom{}
		}
		c.held.count.Add(1)
		return c.held
	case s.redo:
		s.r.strayed.count.Add(1)
		return &s.r.strayed
	}
	return nil
}

// begin tells that the reader is at work.
func (c *custody) begin() {
	c.mu.Lock()
	c.feeding = true
	c.mu.Unlock()
}

// end tells that it is done, and all is noted of so many stanzas of the source.
func (c *custody) end(seen uint64) {
	c.mu.Lock()
	c.read += seen - c.seen
	c.seen = seen
	c.feeding = false
	if c.asked {
		c.asked = false
		c.snap(false)
	}
	arm := c.arm()
	c.mu.Unlock()
	if arm {
		c.r.beat.watch(c)
	}
}

// arm reports whether the beat has to look after the link from now on. Called with mu held.
func (c *custody) arm() bool {
	is := !c.armed && c.matters()
	c.armed = c.armed || is
	return is
}

// matters reports whether something is to be counted. Called with mu held.
func (c *custody) matters() bool {
	return len(c.open) > 0 || len(c.flushes) > 0 || c.counts && c.read > c.covered
}

// snap takes a snapshot, unless too many are open: then the next one takes all. lost: it is the first, and what was sent before
// may be anywhere. Called with mu held, by the reader, or while that is not at work.
func (c *custody) snap(lost bool) {
	if len(c.open) >= snapshots {
		return
	}
	s := c.r.snapshots.Get().(*snapshot)
	c.places, s.places = s.places, c.places
	s.read, s.at, s.lost, s.done = c.read, c.r.env.mono(), lost, c.flushes
	if lost {
		s.before = c.node
	}
	if c.held != nil {
		s.held = []*waitroom{c.held}
	}
	if c.stored {
		s.puts, _ = c.r.cfg.Offline.Puts()
	}
	c.open = append(c.open, s)
	c.covered, c.last = c.read, s.at
	c.flushes, c.held, c.stored = nil, nil, false
}

// mostPlaces bounds the memory for places that is used again: an idle link has some of it.
const mostPlaces = 32

// lend gives the memory of a snapshot to those that come.
func (r *Router) lend(s *snapshot) {
	places := s.places[:0]
	if cap(places) > mostPlaces {
		places = nil
	}
	*s = snapshot{places: places}
	r.snapshots.Put(s)
}

// gone tells that the link has ended. What it sent is counted on for a while, and its flushes are answered, for a link that goes on
// with it; if none can, nobody waits for them.
func (c *custody) gone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended, c.told = true, nil
	if c.id == "" {
		c.flushes, c.waiting = nil, 0
		for _, s := range c.open {
			s.done = nil
		}
	}
	if !c.counts {
		c.open = nil
	}
	c.feeding = false
}

// pop takes the snapshots out that are fulfilled, and gives what is to be done for them. Called with mu held.
func (c *custody) pop() (done []func()) {
	n := 0
	for n < len(c.open) && c.open[n].safe(c.r) {
		s := c.open[n]
		done = append(done, s.done...)
		c.counted.Store(s.read)
		c.r.lend(s)
		n++
	}
	if c.waiting -= len(done); c.waiting < 0 {
		c.waiting = 0
	}
	c.open = slices.Delete(c.open, 0, n)
	return done
}
