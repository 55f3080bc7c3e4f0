package routing

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// held is a stanza that waits for a user who is not yet known.
type held struct {
	raw    []byte // as it will go on
	origin *Node  // the node it came from
	until  time.Time
}

// holdList is what waits for one user.
type holdList struct {
	items []held
	busy  bool // somebody is deciding the head: that one goroutine owns the head of the list
	again bool // something changed meanwhile: decide once more before giving up
}

// holds keeps what is addressed to users of whom the view cannot say yet whether they are online. Per user it
// is a list with one owner: while it is not empty, new stanzas for that user join its tail.
type holds struct {
	limit int
	len   atomic.Int64 // stanzas in all lists

	// guarded by mu
	mu       sync.Mutex
	lists    map[string]*holdList // by bare JID
	bytes    int                  // what all cost
	byOrigin map[*Node]int        // and those of one node: an eighth is left to others
	order    []dueAt              // of all, by time
}

// dueAt is when a stanza of a user's list has waited long enough.
type dueAt struct {
	until time.Time
	bare  string
}

// holdCost is what a held stanza costs besides its bytes: its entries, and its user's list.
const holdCost = 256

func (hs *holds) init(limit int) {
	hs.limit = limit
	hs.lists = map[string]*holdList{}
	hs.byOrigin = map[*Node]int{}
}

// waiting reports whether anything is held for a user.
func (hs *holds) waiting(bare []byte) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return hs.lists[string(bare)] != nil
}

// add appends to a user's list, or reports false when all lists together are full.
func (hs *holds) add(bare []byte, h held) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	cost := len(h.raw) + holdCost
	if hs.bytes+cost > hs.limit || hs.byOrigin[h.origin]+cost > hs.limit-hs.limit/share {
		return false
	}
	user := string(bare)
	list := hs.lists[user]
	if list == nil {
		list = &holdList{}
		hs.lists[user] = list
	}
	list.items = append(list.items, h)
	hs.order = append(hs.order, dueAt{h.until, user})
	hs.bytes += cost
	hs.byOrigin[h.origin] += cost
	hs.len.Add(1)
	return true
}

// claim makes the caller the one who decides a user's list. When somebody does already, that one is told to
// look again, and the caller has nothing to do.
func (hs *holds) claim(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.lists[bare]
	if list == nil {
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
	return hs.lists[bare].items[0]
}

// drop takes the first stanza of a claimed list out, and reports whether there is another.
func (hs *holds) drop(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.lists[bare]
	cost := len(list.items[0].raw) + holdCost
	hs.bytes -= cost
	if origin := list.items[0].origin; hs.byOrigin[origin] > cost {
		hs.byOrigin[origin] -= cost
	} else {
		delete(hs.byOrigin, origin)
	}
	hs.len.Add(-1)
	list.items[0] = held{}
	list.items = list.items[1:]
	if len(list.items) > 0 {
		return true
	}
	delete(hs.lists, bare)
	if len(hs.lists) == 0 {
		hs.order = nil
	}
	return false
}

// leave gives a claim up, unless something changed since: then it reports false, and the head is to be decided
// once more.
func (hs *holds) leave(bare string) bool {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	list := hs.lists[bare]
	list.busy = list.again
	list.again = false
	return !list.busy
}

// users gives the users for whom something is held.
func (hs *holds) users() []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	return slices.Collect(maps.Keys(hs.lists))
}

// due gives the users for whom something has waited long enough at now. All wait equally long, so they come in the
// order in which they were held.
func (hs *holds) due(now time.Time) []string {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	n := 0
	var users []string
	for n < len(hs.order) && !now.Before(hs.order[n].until) {
		if user := hs.order[n].bare; hs.lists[user] != nil {
			users = append(users, user)
		}
		n++
	}
	hs.order = slices.Delete(hs.order, 0, n)
	return users
}

// hold keeps a stanza until its user is known, at most for the settle time.
func (s *Source) hold(w *work, it *item) {
	raw := it.h.Raw
	if e := s.edit(w, it); e != nil {
		raw = it.h.AppendEdited(nil, e)
	} else {
		raw = append([]byte(nil), raw...)
	}
	if !s.r.holds.add(it.to.Bare(), held{raw: raw, origin: s.node, until: s.r.now().Add(s.r.cfg.Settle)}) {
		s.bounce(w, it, HoldFull)
		return
	}
	// The user may have appeared since the look-up, and those who let go what is held may have been here before.
	if s.view(w, it); !s.redo && Decide(&it.h, &w.view).Action != Hold {
		s.r.release([]string{string(it.to.Bare())})
	}
}

// Announced tells that a user has a session now: what was held for that user goes on, before anything newer.
func (r *Router) Announced(bare []byte) {
	if r.holds.len.Load() > 0 && r.holds.waiting(bare) {
		r.release([]string{string(bare)})
	}
}

// release decides what is held for some users, in order, as far as it can be decided now.
func (r *Router) release(users []string) {
	if len(users) == 0 {
		return
	}
	again := newRedo(r)
	defer again.close()
	for _, bare := range users {
		if !r.holds.claim(bare) {
			continue
		}
		for {
			if again.held(r.holds.head(bare)) {
				again.w.flush()
				if !r.holds.drop(bare) {
					break
				}
			} else if r.holds.leave(bare) {
				break
			}
		}
	}
}

// redo decides stanzas again that waited: for a user not yet known, or for a node that did not come back.
type redo struct {
	r  *Router
	w  *work
	sc *stanza.Scanner
}

// rootTag opens the stream in which stored stanzas are read again.
const rootTag = "<stream:stream xmlns='" + stanza.NSComponent + "' xmlns:stream='" + stanza.NSStream + "'>"

func newRedo(r *Router) *redo {
	d := &redo{r: r, w: r.work.Get().(*work)}
	d.open()
	return d
}

// open begins a stream for stored stanzas. They were within the limits when they came; what was put into them
// since (a from, a language, declarations of prefixes) must not make them unreadable.
func (d *redo) open() {
	lim := d.r.cfg.Limits
	lim.Stanza += 64 << 10
	lim.Tag += 64 << 10
	lim.Attrs += 64
	lim.Depth++
	d.sc = stanza.NewScanner(lim)
	_, _, _ = d.sc.Next([]byte(rootTag), &stanza.Header{}) // a constant that is well-formed
}

func (d *redo) close() {
	d.w.src = nil
	d.r.work.Put(d.w)
}

// read makes an item of a stored stanza and looks up its addresses. A stanza that cannot be read takes no other
// with it: the next one begins a new stream.
func (d *redo) read(raw []byte, origin *Node) (*Source, *item, bool) {
	src := &Source{r: d.r, Log: d.r.cfg.Log, node: origin, sc: d.sc, redo: true, grant: &Grant{SpeakDomain: true}}
	d.w.src = src
	it := &d.w.items[0]
	tok, _, err := d.sc.Next(raw, &it.h)
	if err != nil || tok != stanza.Element {
		d.open()
		return src, it, false
	}
	src.address(d.w, it)
	src.view(d.w, it)
	return src, it, true
}

// held decides one held stanza, and reports false when it has to wait on.
func (d *redo) held(h held) bool {
	src, it, ok := d.read(h.raw, h.origin)
	if !ok {
		d.w.end(Unreadable)
		return true
	}
	v := Decide(&it.h, &d.w.view)
	if v.Action != Hold {
		src.do(d.w, it, v)
		return true
	}
	if d.r.now().Before(h.until) {
		return false
	}
	if (it.h.Kind == stanza.Presence) || !it.h.Answerable() {
		d.w.end(v.Reason)
	} else {
		src.bounce(d.w, it, Unsettled)
	}
	return true
}

// decideAgain decides what waited for a node whose grace is over.
func (r *Router) decideAgain(n *Node, blocks []*block) {
	again := newRedo(r)
	defer again.close()
	for _, b := range blocks {
		b.each(func(raw []byte, rc rec) {
			again.once(raw, rc)
			again.w.flush()
		})
	}
	r.cfg.Log.WithField("node", n.Domain).Debug("what waited for the node was decided again")
}

// once decides one stanza that waited in a queue. One of several copies goes nowhere while the user has a node
// that got, or will get, another; it is the last one that tells the sender.
func (d *redo) once(raw []byte, rc rec) {
	origin := d.r.table.node(rc.origin)
	src, it, ok := d.read(raw, origin)
	switch {
	case !ok:
		d.w.end(Unreadable)
		return
	case origin == nil:
		d.w.end(NodeLeft)
		return
	}
	v := Decide(&it.h, &d.w.view)
	if rc.class == classShared && v.Action == Deliver && d.r.hadOther(it.to, stanza.Address{}, 0, rc.at) {
		d.w.end(OtherCopy)
		return
	}
	src.do(d.w, it, v)
}

// hadOther reports whether a user has a session, other than who and not at the node from, that began before the
// copies of a stanza were made: then that one's node got a copy, or one waits for it.
func (r *Router) hadOther(user, who stanza.Address, from storage.NodeID, at uint32) bool {
	for _, s := range r.sessions.Where(user.Bare()) {
		if s.Node != from && s.Since.Unix() <= int64(at) && s.Priority >= 0 && s.JID != who.String() {
			return true
		}
	}
	return false
}

// carry queues what the server made before, and has counted.
func (d *redo) carry(raw []byte, to *Node) {
	res, flush := to.queue.put(&stanza.Header{Raw: raw}, nil, rec{})
	if res != putOK {
		d.w.end(NodeLeft)
	}
	if flush {
		d.w.queues = append(d.w.queues, to.queue)
	}
}

// Move takes what waits for a session at a node that is away to the node on which the user is now, before
// anything newer can go there. to holds the session from now on.
func (r *Router) Move(who stanza.Address, from, to *Node) {
	if from.State() != Away || from.queue.stats().Waiting == 0 {
		return
	}
	hash := r.sessions.Hash(who.Bare())
	others := 0 // sessions of the user there, without the one that moves
	for _, m := range r.sessions.Find(hash, who.Bare(), nil, nil) {
		if m.Node == from.ID() {
			others++
		}
	}
	for _, m := range r.sessions.Find(hash, who.Bare(), who.Resource(), nil) {
		if m.Node == from.ID() {
			others-- // it has not changed hands yet
		}
	}
	waiting := from.queue.takeUser(who, others == 0)
	if len(waiting) == 0 {
		return
	}
	again := newRedo(r)
	defer again.close()
	for _, s := range waiting {
		origin := r.table.node(s.rec.origin)
		src, it, ok := again.read(s.raw, origin)
		switch {
		case !ok:
			again.w.end(Unreadable)
		case origin == nil: // an answer of the server itself: only carried
			again.carry(s.raw, to)
		case s.rec.class == classShared && r.hadOther(who, who, from.ID(), s.rec.at):
			again.w.end(OtherCopy)
		default:
			src.send(again.w, it, to)
		}
		again.w.flush()
	}
}
