package routing

import (
	"container/heap"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// held is a stanza that waits for a user who is not yet known.
type held struct {
	raw     []byte // as it will go on
	origin  *Node  // the node it came from
	came    time.Time
	until   time.Time
	request bool      // an iq get or set
	of      *taking   // it was taken out of a queue, and the disk may have its place; nil: it was not
	room    *waitroom // that counts it; nil: nobody does
	behind  uint64    // so many of all that ever were in the overflow go before it, if any of them is for its user
}

// holdList is what waits for one user.
type holdList struct {
	items []held
	busy  bool  // somebody is deciding the head: that one goroutine owns the head of the list
	again bool  // something changed meanwhile: decide once more before giving up
	mail  *Node // the user has logged in there and gets what is stored first: only that node's replay may decide

	yielded     bool   // what is stored was let go first, or could not go
	deciding    bool   // the replay decides the first stanza
	queued      bool   // a turn of the replay is due
	pending     int    // announces that have been begun
	turns, seen uint32 // turns of the replay that were asked for, and as many when the one that runs began
}

// holds keeps what is addressed to users of whom the view cannot say yet whether they are online. Per user it
// is a list with one owner: while it is not empty, new stanzas for that user join its tail.
type holds struct {
	idle  *Node        // stands for a replay that sends nothing
	len   atomic.Int64 // stanzas in all lists
	lists atomic.Int64 // users who have a list: while there are none, nobody looks

	// guarded by mu
	mu       sync.Mutex
	limit    int
	byUser   map[string]*holdList // by bare JID
	bytes    int                  // what all cost
	byOrigin map[*Node]int        // and those of one node: an eighth is left to others
	byMail   map[*Node]int        // and those behind the replays of one node: an eighth at most
	order    dueHeap              // of all, the first to be due at the top
	passed   time.Time            // up to which order has been worked off
}

// dueAt is when a stanza of a user's list has waited long enough.
type dueAt struct {
	until time.Time
	bare  string
}

// dueHeap is for container/heap. What came later can be due earlier: the settle time may have become shorter.
type dueHeap []dueAt

func (d dueHeap) Len() int           { return len(d) }
func (d dueHeap) Less(i, j int) bool { return d[i].until.Before(d[j].until) }
func (d dueHeap) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dueHeap) Push(x any)        { *d = append(*d, x.(dueAt)) }
func (d *dueHeap) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = dueAt{}
	*d = (*d)[:last]
	return x
}

// holdCost is what a held stanza costs besides its bytes: its entries, and its user's list.
const holdCost = 256

func (hs *holds) init(limit int, idle *Node) {
	hs.limit, hs.idle = limit, idle
	hs.byUser = map[string]*holdList{}
	hs.byOrigin = map[*Node]int{}
	hs.byMail = map[*Node]int{}
}

// waiting reports whether anything is held for a user.
func (hs *holds) waiting(bare []byte) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.byUser[string(bare)] != nil
}

// add appends to a user's list, or reports false when all lists together are full.
func (hs *holds) add(bare []byte, h held) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	user := string(bare)
	list := hs.byUser[user]
	if !hs.fit(list, h) {
		return false
	}
	if list == nil {
		list = hs.begin(user)
	}
	hs.push(user, list, h)
	return true
}

// would tells what add would say now; with a node, what it would say behind expect for that node.
func (hs *holds) would(bare []byte, h held, n *Node) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[string(bare)]
	if n == nil || list != nil && list.mail != nil && list.mail != hs.idle {
		return hs.fit(list, h)
	}
	theirs := hs.byMail[n] + len(h.raw) + holdCost
	if list != nil {
		for _, other := range list.items {
			theirs += len(other.raw) + holdCost
		}
	}
	return hs.fit(nil, h) && theirs <= hs.limit/share
}

// fit reports whether there is room for a stanza, in a list or for a new one. Called with mu held.
func (hs *holds) fit(list *holdList, h held) bool {
	cost := len(h.raw) + holdCost
	if hs.bytes+cost > hs.limit || hs.byOrigin[h.origin]+cost > hs.limit-hs.limit/share {
		return false
	}
	return list == nil || list.mail == nil || hs.byMail[list.mail]+cost <= hs.limit/share
}

// hasRoom reports whether half of what may be held is free.
func (hs *holds) hasRoom() bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.bytes <= hs.limit/2
}

// begin makes a user's list. Called with mu held.
func (hs *holds) begin(user string) *holdList {
	list := &holdList{}
	hs.byUser[user] = list
	hs.lists.Add(1)
	return list
}

// end takes a user's empty list out. Called with mu held.
func (hs *holds) end(user string) {
	delete(hs.byUser, user)
	hs.lists.Add(-1)
	if len(hs.byUser) == 0 {
		hs.order = nil
	}
}

// claim makes the caller the one who decides a user's list. When somebody does already, that one is told to
// look again, and the caller has nothing to do; nor has it while stored messages are to go first.
func (hs *holds) claim(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil || list.mail != nil {
		return false
	}
	if list.busy {
		list.again = true
		return false
	}
	list.busy, list.again = true, false
	return true
}

// head gives the first stanza of a claimed list. It stays in the list, so that others go on joining behind it,
// until drop takes it out.
func (hs *holds) head(bare string) held {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.byUser[bare].items[0]
}

// drop takes the first stanza of a claimed list out, and reports whether there is another to decide.
func (hs *holds) drop(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	hs.shift(list)
	switch {
	case list.mail != nil:
		list.busy = false // what is stored goes first, and then the rest
		return false
	case len(list.items) > 0:
		return true
	}
	hs.end(bare)
	return false
}

// shift takes the first stanza of a list out. Called with mu held.
func (hs *holds) shift(list *holdList) {
	hs.forget(list, list.items[0])
	list.items[0] = held{}
	list.items = list.items[1:]
}

// forget takes what a stanza of a list costs out of the account. Called with mu held.
func (hs *holds) forget(list *holdList, h held) {
	cost := len(h.raw) + holdCost
	hs.bytes -= cost
	lower(hs.byOrigin, h.origin, cost)
	if list.mail != nil {
		lower(hs.byMail, list.mail, cost)
	}
	hs.len.Add(-1)
	h.room.leave()
}

// lower takes a node's share down.
func lower(shares map[*Node]int, n *Node, cost int) {
	if shares[n] > cost {
		shares[n] -= cost
	} else {
		delete(shares, n)
	}
}

// leave gives a claim up, unless something changed since: then it reports false, and the head is to be decided
// once more.
func (hs *holds) leave(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.byUser[bare]
	if list == nil {
		return true
	}
	list.busy = list.again && list.mail == nil
	list.again = false
	return !list.busy
}

// users gives the users for whom something is held.
func (hs *holds) users() []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.Collect(maps.Keys(hs.byUser))
}

// usersOf gives those of a domain.
func (hs *holds) usersOf(domain string) []string {
	return slices.DeleteFunc(hs.users(), func(bare string) bool { return !strings.HasSuffix(bare, "@"+domain) })
}

// due gives the users for whom something has waited long enough at now.
func (hs *holds) due(now time.Time) []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	var users []string
	for len(hs.order) > 0 && !now.Before(hs.order[0].until) {
		if user := heap.Pop(&hs.order).(dueAt).bare; hs.byUser[user] != nil {
			users = append(users, user)
		}
	}
	hs.passed = now
	return users
}

// hold keeps a stanza until its user is known, at most for the settle time, or until what is stored for the user
// has been sent.
func (s *Source) hold(w *work, it *item) Reason {
	over := &s.r.overflow
	if over.takes(it) && over.mayHave(it.to.Bare()) {
		return over.add(s, w, it) // behind what is there
	}
	h := s.r.heldNow(s.copyOf(w, it), s.node, request(&it.h))
	h.of, h.room = s.of, s.roomFor()
	if over.mayHave(it.to.Bare()) {
		h.behind = over.ever()
	}
	s.r.retired.hold(s.of, 1)
	if !s.r.holds.add(it.to.Bare(), h) {
		s.r.retired.hold(s.of, -1)
		h.room.leave()
		if over.takes(it) {
			return over.add(s, w, it)
		}
		return HoldFull
	}
	// The user may have appeared since the look-up, or the domain be none of users any more, and those who let go what is
	// held may have been here before.
	s.view(w, it)
	gone := it.toDomain.user.Load() == nil
	if !s.redo && (gone || Decide(&it.h, &w.view).Action != Hold) && !s.r.holds.mailed(it.to.Bare()) {
		s.r.release([]string{string(it.to.Bare())})
	}
	return None
}

// heldNow is a stanza that is held from now on.
func (r *Router) heldNow(raw []byte, origin *Node, request bool) held {
	now := r.now()
	return held{raw: raw, origin: origin, came: now, until: now.Add(r.set().Settle), request: request}
}

// copyOf gives a stanza as it will go on, in bytes of its own.
func (s *Source) copyOf(w *work, it *item) []byte {
	if e := s.edit(w, it); e != nil {
		return it.h.AppendEdited(nil, e)
	}
	return append([]byte(nil), it.h.Raw...)
}
