package routing

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// mail keeps messages for users without a session, and knows which of them are on their way (protocol 6).
//
//	LIVE    nothing is stored                        store ──► STORED
//	STORED  new messages join the tail on disk       Expect, before the session can be seen ──► REPLAY
//	REPLAY  a round of the node sends what is stored; all that is new for the user joins the user's hold list
//	        ──► the disk is empty, then the list ──► LIVE         nobody is eligible any more ──► STORED
//
// A stored message that was queued is a letter until its copies are written: only then it is taken from the disk. If
// none is, because the node does not come back, it is still stored; and if the server stops, it keeps its place in the outbox, too.
type mail struct {
	// set once
	r        *Router
	store    *storage.Offline // nil: nothing is stored here
	logins   logins
	done     sync.WaitGroup // of the rounds
	counting sync.WaitGroup // of who counts what has arrived

	// guarded by mu
	mu      sync.Mutex
	rounds  map[*Node]*round
	letters map[uint32]*letter
	flights map[string]map[uint64]struct{} // by bare JID: the numbers of the user's letters
	backs   uint64                         // letters that ended unwritten: what is stored may have grown at its head
	token   uint32                         // the last that was given
	arrived []uint32                       // tokens of copies that were written, and not counted yet
	counter bool                           // somebody counts them
	adopted int                            // letters that were found in outboxes at the start
	limbo   int                            // copies that were lost, of letters with others on their way
	stopped bool
}

// round is the replay of the users of one node, one after the other.
type round struct {
	node *Node     // set once
	cond sync.Cond // on mail's mu: a letter ended, or the rounds have to

	// guarded by mail's mu
	users    []string // waiting for their turn
	running  bool
	inflight int // letters of which no copy was written yet
}

// inFlight bounds the letters of one round: what a node is sent before it has taken what came before.
const inFlight = 64

func (m *mail) init(r *Router, store *storage.Offline) {
	m.r, m.store = r, store
	m.logins.init()
	m.rounds = map[*Node]*round{}
	m.letters = map[uint32]*letter{}
	m.flights = map[string]map[uint64]struct{}{}
}

// behind reports whether a stanza has to go behind what is stored for its user, whose session is of before a stop: what is
// stored was on its way there.
func (s *Source) behind(it *item, targets []Target) bool {
	if s.redo || !s.isBehind(it, targets) {
		return false
	}
	bare := it.to.Bare()
	s.r.Announced(bare, s.r.Expect(bare, targets[0].Node))
	return true
}

func (s *Source) isBehind(it *item, targets []Target) bool {
	m, bare := &s.r.mail, it.to.Bare()
	return m.store != nil && it.place == PlaceUsers && slices.ContainsFunc(targets, Target.unsettled) && !ending(targets) && m.more(bare)
}

// unsettled reports whether the target's node is away, or has yet to say who is there.
func (t Target) unsettled() bool { return t.Outbox || t.Node.confirms.Load() }

// more reports whether more is stored for a user than is on its way.
func (m *mail) more(bare []byte) bool {
	if !m.store.Has(bare) {
		return false
	}
	m.mu.Lock()
	flying := len(m.flights[string(bare)])
	m.mu.Unlock()
	return m.store.Count(bare) > flying
}

// Stores reports whether messages for users of a domain without a session are kept (XEP-0160).
func (r *Router) Stores(domain string) bool {
	d := r.table.find([]byte(domain))
	if d == nil {
		return false
	}
	user := d.user.Load()
	return user != nil && user.Offline == PolicyStore
}

// store keeps a message until its user logs in.
func (s *Source) store(w *work, it *item) Reason {
	if s.mustWait(it) {
		return s.hold(w, it)
	}
	m := &s.r.mail
	_, err := m.store.Put(it.to.Bare(), s.node.ID(), s.delayed(w, it), it.user.Keep)
	if why := unstored(err); why != None {
		return why
	}
	s.wentToStore()
	m.missed(it.to.Bare(), it.toHash)
	return None
}

// delayed gives a message as it is stored.
func (s *Source) delayed(w *work, it *item) []byte {
	return appendDelayed(nil, s.copyOf(w, it), delay{it.user.Name, s.came()})
}

// unstored names the reason for which the store did not take a message.
func unstored(err error) Reason {
	switch {
	case err == nil:
		return None
	case errors.Is(err, storage.ErrMailboxFull):
		return MailboxFull
	case errors.Is(err, storage.ErrStoreFull):
		return StoreFull
	}
	return DiskFull // limits.disk is reached, or the disk is full: it may pass
}

// came is when the stanza at hand came.
func (s *Source) came() time.Time {
	if s.since.IsZero() {
		return s.r.now()
	}
	return s.since
}

// missed looks whether a user is logging in, or has, behind a message that was just stored: the log-in may have found
// nothing.
func (m *mail) missed(bare []byte, hash uint64) {
	if n := m.logins.node(hash); n != nil {
		m.r.holds.expect(string(bare), n)
		if m.logins.add(hash) {
			return // that log-in's Announced knows of it
		}
		m.r.holds.announced(string(bare), nil)
	} else if n = m.r.onlineAt(string(bare)); n != nil {
		m.r.holds.expect(string(bare), n)
		m.r.holds.announced(string(bare), nil)
	}
	m.begin(string(bare))
}

// Expect tells that a user is about to have a session on a node. It is called before anybody can see the session, so
// that what is stored for the user comes before anything newer. Announced has to follow, whatever came of it, with what
// Expect gave.
func (r *Router) Expect(bare []byte, n *Node) (expected bool) {
	if r.mail.store == nil {
		return false
	}
	r.mail.logins.begin(r.sessions.Hash(bare), n)
	if !r.mail.store.Has(bare) {
		return false
	}
	r.holds.expect(string(bare), n)
	return true
}

// Announced tells that a user has a session now, or that nothing came of the announce: what is stored and what was held
// for that user goes on, before anything newer. expected is what Expect gave before.
func (r *Router) Announced(bare []byte, expected bool) {
	if r.mail.store != nil {
		for range r.mail.logins.end(r.sessions.Hash(bare)) {
			r.holds.announced(string(bare), nil)
		}
	}
	if expected {
		r.holds.announced(string(bare), nil)
	}
	if r.holds.lists.Load() > 0 && r.holds.waiting(bare) && !r.mail.begin(string(bare)) {
		r.release([]string{string(bare)})
	}
}

// begin asks for a turn of the replay that a user's list waits for, and reports whether there is one.
func (m *mail) begin(bare string) bool {
	if m.store == nil {
		return false
	}
	n, first := m.r.holds.turn(bare)
	if n == nil || !first {
		return n != nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return true
	}
	rd := m.roundOf(n)
	rd.users = append(rd.users, bare)
	if !rd.running {
		rd.running = true
		m.done.Go(func() { m.run(rd) })
	}
	return true
}

// roundOf gives the round of a node. Called with mu held.
func (m *mail) roundOf(n *Node) *round {
	rd := m.rounds[n]
	if rd == nil {
		rd = &round{node: n}
		rd.cond.L = &m.mu
		m.rounds[n] = rd
	}
	return rd
}

// account gives the stored messages that are not in a queue, those found at the start that were not in an outbox, and the copies in
// between.
func (m *mail) account() (stored, found, limbo uint64) {
	if m.store == nil {
		return 0, 0, 0
	}
	m.mu.Lock()
	letters, adopted, lost := len(m.letters), m.adopted, m.limbo
	m.mu.Unlock()
	st := m.store.Stats()
	return uint64(max(0, st.Messages-letters)), uint64(st.Loaded - adopted), uint64(lost)
}

// stop ends the rounds. What they have not sent is still stored.
func (m *mail) stop() {
	m.mu.Lock()
	m.stopped = true
	for _, rd := range m.rounds {
		rd.cond.Broadcast()
	}
	m.mu.Unlock()
	m.done.Wait()
	m.r.holds.forgetMail()
}
