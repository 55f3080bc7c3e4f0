package routing

import (
	"math"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// release decides what is held for some users, in order, as far as it can be decided now.
func (r *Router) release(users []string) {
	if len(users) == 0 {
		return
	}
	again := newRedo(r)
	defer again.close()
	for _, bare := range users {
		again.release(bare, math.MaxInt)
	}
}

// release decides at most so many stanzas that are held for a user.
func (d *redo) release(bare string, most int) {
	holds := &d.r.holds
	if !holds.claim(bare) {
		return
	}
	for ; ; most-- {
		if h := holds.head(bare); most > 0 && d.held(bare, h, false) {
			d.flush()
			d.r.retired.hold(h.of, -1)
			if !holds.drop(bare) {
				break
			}
		} else if holds.leave(bare) || most <= 0 && holds.leave(bare) {
			break // with most at 0 also if there is reason to look again: whoever asked for so many comes back
		}
	}
	d.r.mail.begin(bare) // what is stored was to go first, and we were in the way
}

// refuseOverdue answers the iqs that have waited long enough behind what is stored.
func (r *Router) refuseOverdue(users []string, now time.Time) {
	if r.mail.store == nil || len(users) == 0 {
		return
	}
	again := newRedo(r)
	defer again.close()
	for _, bare := range users {
		for _, h := range r.holds.overdue(bare, now) {
			if src, it, ok := again.read(h.raw, h.origin); ok {
				src.bounce(again.w, it, QueueFull)
			} else {
				again.w.end(Unreadable)
			}
			again.flush()
		}
	}
}

// redo decides stanzas again that waited: for a user not yet known, or for a node that did not come back.
type redo struct {
	r  *Router
	w  *work
	sc *stanza.Scanner

	not *Node   // what waited for it goes to another node of its domain
	of  *taking // of which the stanzas are, nil if the disk has no place of them
	buf []byte  // the stanza at hand, with a delay
}

// rootTag opens the stream in which stored stanzas are read again.
const rootTag = "<stream:stream xmlns='" + stanza.NSComponent + "' xmlns:stream='" + stanza.NSStream + "'>"

func newRedo(r *Router) *redo {
	d := &redo{r: r, w: r.work.Get().(*work)}
	d.open()
	return d
}

// trusted is the grant of stanzas that were authorised when they came.
var trusted = &Grant{SpeakDomain: true}

// The largest limits that a server can have had when a stanza came.
const (
	mostBytes = 16 << 20
	mostDepth = 1024
)

// open begins a stream for stored stanzas. They were within the limits when they came, which may have been others; what
// was put into them since (a from, a language, declarations of prefixes) must not make them unreadable.
func (d *redo) open() {
	lim := d.r.set().Limits
	lim.Stanza, lim.Depth = max(lim.Stanza, mostBytes), max(lim.Depth, mostDepth)
	lim.Stanza += 64 << 10
	lim.Tag += 64 << 10
	lim.Attrs += 64
	lim.Depth++
	d.sc = storedScanner(lim)
}

// storedScanner gives a scanner in a stream of stored stanzas.
func storedScanner(lim stanza.Limits) *stanza.Scanner {
	sc := stanza.NewScanner(lim)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{}) // a constant that is well-formed
	return sc
}

// flush writes what was queued.
func (d *redo) flush() {
	if d.w.src != nil {
		d.w.flush()
	}
}

func (d *redo) close() {
	d.w.src = nil
	d.r.work.Put(d.w)
}

// read makes an item of a stored stanza and looks up its addresses. A stanza that cannot be read takes no other
// with it: the next one begins a new stream.
func (d *redo) read(raw []byte, origin *Node) (*Source, *item, bool) {
	if origin == nil {
		origin = d.r.nobody
	}
	src := &Source{r: d.r, Log: d.r.cfg.Log, node: origin, sc: d.sc, redo: true, not: d.not, of: d.of}
	src.grant.Store(trusted)
	if d.w.src != nil {
		d.w.account() // what was counted was of another node
	}
	d.w.src, d.w.version = src, uint32(d.r.sessions.Version())
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

// held decides one held stanza, and reports false when it has to wait on. mail: for the replay that owns the list.
func (d *redo) held(bare string, h held, mail bool) bool {
	if d.r.overflow.bars(bare, h) {
		return false
	}
	src, it, ok := d.read(h.raw, h.origin)
	if !ok {
		d.w.end(Unreadable)
		return true
	}
	src.since, src.room = h.came, h.room
	v := Decide(&it.h, &d.w.view)
	if mail && v.Action == Store {
		return false // what is stored would go behind what follows here
	}
	if v.Action != Hold {
		if !mail && d.r.mail.store != nil && d.r.holds.mailed(it.to.Bare()) {
			return false // the user has just logged in, and what is stored goes first
		}
		if !mail && v.Action == Deliver && src.isBehind(it, v.Targets) && d.yield(bare) {
			return false
		}
		src.do(d.w, it, v)
		return true
	}
	if d.r.now().Before(h.until) {
		return false
	}
	if v := d.decideLate(it); v.Action == Store {
		src.do(d.w, it, v)
		return true
	}
	if (it.h.Kind == stanza.Presence) || !it.h.Answerable() {
		d.w.end(v.Reason)
	} else {
		src.bounce(d.w, it, Unsettled)
	}
	return true
}

// yield has a replay send what is stored before a user's list, which was held while the user's node had yet to say who is there, as
// behind does for what is new. It reports false if nobody may get what is stored.
func (d *redo) yield(bare string) bool {
	n := d.r.onlineAt(bare)
	return n != nil && !d.r.mail.ends() && d.r.holds.yield(bare, n, d.r.now().Add(d.r.set().Settle))
}

// decideLate decides as if the view were complete: as far as can be said by now.
func (d *redo) decideLate(it *item) Verdict {
	d.w.view.Complete, d.w.view.Hint = true, hintOf(&it.h, nil)
	return Decide(&it.h, &d.w.view)
}

// once decides one stanza that waited in a queue. One of several copies goes nowhere while the user has a node
// that got, or will get, another; it is the last one that tells the sender.
func (d *redo) once(s waitingStanza) {
	if s.rec.class == classStored {
		d.r.mail.lose(s.rec.at)
		return
	}
	origin := d.r.table.node(s.rec.origin)
	src, it, ok := d.read(s.raw, origin)
	switch {
	case !ok:
		d.w.end(Unreadable)
		return
	case origin == nil:
		d.w.end(NodeLeft)
		return
	}
	v := Decide(&it.h, &d.w.view)
	not := besides{at: s.rec.at}
	if d.not != nil && d.not.ending.Load() {
		not.node, not.turn = d.not.ID(), d.not.turn.Load() // its sessions end
	}
	if s.rec.class == classShared && v.Action == Deliver && d.r.hadOther(it, not) {
		d.w.end(OtherCopy)
		return
	}
	if v.Action == Deliver {
		src, it = d.late(src, it, s)
		v = Decide(&it.h, &d.w.view)
	}
	src.since = s.came // of what is stored
	src.do(d.w, it, v)
}

// late says in a stanza that waited for a node, and goes to another, since when it has, as Queue.stamp does in what goes to the node
// itself (XEP-0203). src and it are what read gave for it; late gives those of the stanza as it goes on.
func (d *redo) late(src *Source, it *item, s waitingStanza) (*Source, *item) {
	if it.h.Kind == stanza.IQ {
		return src, it
	}
	if d.buf = appendDelayed(d.buf[:0], s.raw, delay{d.r.cfg.Server, s.came}); len(d.buf) == len(s.raw) {
		return src, it // it has a delay
	}
	src, it, _ = d.read(d.buf, src.node) // it was read before, and is the same but for the delay
	return src, it
}

// besides says which copies of a stanza are not meant: that for the session who, and that of node. at is the work's
// version when the copies were made. Nor are those of nodes whose grace began to be ended before turn: of two that end at the
// same time the later one has to see to it that somebody gets a copy.
type besides struct {
	who  string
	node storage.NodeID
	at   uint32
	turn uint64
}

// hadOther reports whether the user whom a copy is for has another session that began before the copies were made: then
// its node got one, or one waits for it. One whose priority has changed since counts as a new one: twice is better than
// not at all.
func (r *Router) hadOther(it *item, b besides) bool {
	least := int8(0)
	if it.h.Kind == stanza.Presence {
		least = -128 // RFC 6121 8.5.2.1.2
	}
	for _, s := range r.sessions.Where(it.to.Bare()) {
		if s.Node == b.node || int32(uint32(s.Version)-b.at) > 0 || s.Priority < least || s.JID == b.who {
			continue
		}
		if n := r.table.node(s.Node); n == nil || !n.ending.Load() || n.turn.Load() > b.turn {
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

// Moving tells that a session is about to be taken from a node that is away. What comes for the user until Moved is
// called waits, so that what waits there already can go first. Nobody else judges copies until then.
func (r *Router) Moving(bare []byte) {
	r.judging <- struct{}{}
	r.holds.expect(string(bare), r.holds.idle)
}

// Moved tells that the session has changed hands, or not, and that what waited is on its way.
func (r *Router) Moved(bare []byte) {
	<-r.judging
	user := string(bare)
	r.holds.announced(user, nil)
	r.holds.quit(user)
	r.release([]string{user})
}

// Forsake decides anew what waits for a session that has just ended at a node that is away: elsewhere newer stanzas would
// go before it. It is called between Moving and Moved. While the view is not complete all stays where it is, because what is
// held then goes behind what is newer.
func (r *Router) Forsake(who stanza.Address, from *Node) {
	if !r.Complete() {
		return
	}
	r.Move(who, from, nil)
	if bare := who.Bare(); r.mail.store != nil && r.mail.store.Has(bare) {
		r.mail.missed(bare, r.sessions.Hash(bare)) // what was on its way there is for the user's other nodes
	}
}

// follow looks, behind a stanza that was queued for a node that is away, whether the user has moved since the look-up:
// then it is taken along, as Move would have done had it been there.
func (r *Router) follow(to stanza.Address, from *Node) {
	var moved string
	var at storage.NodeID
	for _, s := range r.sessions.Where(to.Bare()) {
		switch {
		case s.Node == from.ID() && (to.IsBare() || s.JID == to.String()):
			return // still there
		case to.IsBare() || s.JID == to.String():
			moved, at = s.JID, s.Node
		}
	}
	if n := r.table.node(at); n != nil {
		if who, _, err := stanza.ParseAddress([]byte(moved), false, nil); err == nil {
			r.judging <- struct{}{}
			r.Move(who, from, n)
			<-r.judging
		}
	}
}

// Move takes what waits for a session at a node that is away to the node on which the user is now, before
// anything newer can go there. to holds the session from now on; nil: nobody does.
func (r *Router) Move(who stanza.Address, from, to *Node) {
	if from.State() != Away {
		return
	}
	if from.queue.holdsFor(userHash(who.Bare())) {
		r.takeBack(from) // what the node has not handled goes where the user is
	}
	if from.queue.stats().Waiting == 0 {
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
	defer r.moving()()
	k := r.retired.begin(from.queue)
	defer r.retired.end(k)
	waiting, left := from.queue.takeUser(who, others == 0)
	r.retired.took(k, left)
	if len(waiting) == 0 {
		return
	}
	again := newRedo(r)
	defer again.close()
	again.of = k
	for _, s := range waiting {
		if to == nil {
			again.once(s)
			again.flush()
			continue
		}
		origin := r.table.node(s.rec.origin)
		src, it, ok := again.read(s.raw, origin)
		switch {
		case !ok && s.rec.class == classStored:
			r.mail.lose(s.rec.at)
		case s.rec.class == classStored:
			r.mail.queue(again, it, []Target{{Node: to}}, s.rec)
		case !ok:
			again.w.end(Unreadable)
		case origin == nil: // an answer of the server itself: only carried
			again.carry(s.raw, to)
		case s.rec.class == classShared && r.hadOther(it, besides{who: who.String(), node: from.ID(), at: s.rec.at}):
			again.w.end(OtherCopy)
		default:
			src, it = again.late(src, it, s)
			src.settle(again.w, it, src.send(again.w, it, to))
		}
		again.w.flush()
	}
}
