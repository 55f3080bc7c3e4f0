package routing

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Bounds of the table of pending iqs. One node that asks, or that does not answer, can fill an eighth of it.
const (
	maxAsks     = 1 << 17  // in all
	maxAskBytes = 64 << 20 // their addresses and ids, in all
	maxSame     = 64       // of one asker under one id: they are searched one by one
	share       = 8        // a node's part: 1/share of each
	askCost     = 256      // bytes of an entry besides its strings
)

// ask is an iq get or set that went to a node and is not answered yet.
type ask struct {
	key    string // asker, NUL, id
	asked  string // the address it was sent to
	node   *Node  // the node it went to
	origin *Node  // the node it came from
	until  time.Time

	same         *ask // the next one with this key
	prev, next   *ask // in order of until
	nPrev, nNext *ask // those that node was asked
}

func (a *ask) asker() string { return a.key[:strings.IndexByte(a.key, 0)] }
func (a *ask) id() string    { return a.key[strings.IndexByte(a.key, 0)+1:] }
func (a *ask) bytes() int    { return len(a.key) + len(a.asked) + askCost }

// askLoad is a node's part in the table.
type askLoad struct {
	first *ask // that it was asked
	asked int  // how many it was asked
	asks  int  // how many it asks
	bytes int  // of those it asks
}

// iqTable makes sure that each iq get or set is answered exactly once, by the one who was asked or by us
// (RFC 6120 8.2.3): one table for the server, bounded.
type iqTable struct {
	// guarded by mu
	mu    sync.Mutex
	asks  map[string]*ask
	loads map[*Node]*askLoad
	ring  ask // head of the list of all
	len   int
	bytes int
}

func (t *iqTable) init() {
	t.asks = map[string]*ask{}
	t.loads = map[*Node]*askLoad{}
	t.ring.prev, t.ring.next = &t.ring, &t.ring
}

func askKey(asker, id []byte) string {
	b := make([]byte, 0, len(asker)+len(id)+1)
	return string(append(append(append(b, asker...), 0), id...))
}

func (t *iqTable) load(n *Node) *askLoad {
	l := t.loads[n]
	if l == nil {
		l = &askLoad{}
		t.loads[n] = l
	}
	return l
}

// enter notes a request; false: the table is full, or a node's part of it.
func (t *iqTable) enter(a *ask) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.room(a)
	if !ok {
		return false
	}
	from, to, size := t.load(a.origin), t.load(a.node), a.bytes()
	if last == nil {
		t.asks[a.key] = a
	} else {
		last.same = a // several with one id are answered in order
	}
	t.len, t.bytes = t.len+1, t.bytes+size
	from.asks, from.bytes, to.asked = from.asks+1, from.bytes+size, to.asked+1
	a.prev, a.next = t.ring.prev, &t.ring
	a.prev.next, a.next.prev = a, a
	if a.nNext = to.first; to.first != nil {
		to.first.nPrev = a
	}
	to.first = a
	return true
}

// room reports whether a request can be entered, and gives the last one with its key. Called with mu held.
func (t *iqTable) room(a *ask) (last *ask, ok bool) {
	var from, to askLoad
	if l := t.loads[a.origin]; l != nil {
		from = *l
	}
	if l := t.loads[a.node]; l != nil {
		to = *l
	}
	size := a.bytes()
	if t.len >= maxAsks || t.bytes+size > maxAskBytes ||
		from.asks >= maxAsks/share || from.bytes+size > maxAskBytes/share || to.asked >= maxAsks/share {
		return nil, false
	}
	last = t.asks[a.key]
	for n := 1; last != nil && last.same != nil; n++ {
		if n == maxSame {
			return nil, false
		}
		last = last.same
	}
	return last, true
}

// would tells what enter would say now.
func (t *iqTable) would(a *ask) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.room(a)
	return ok
}

// pending gives the request that answer would take out: whom it came from, and the address that it was sent to.
func (t *iqTable) pending(node *Node, asked, asker, id []byte) (origin *Node, as string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a := t.match(node, asked, asker, id); a != nil {
		return a.origin, a.asked
	}
	return nil, ""
}

// match finds the request that a reply answers. Called with mu held.
func (t *iqTable) match(node *Node, asked, asker, id []byte) *ask {
	for a := t.asks[askKey(asker, id)]; a != nil; a = a.same {
		if a.node == node && (asked == nil || a.asked == string(asked)) {
			return a
		}
	}
	return nil
}

// answer takes out the request that a reply of node answers: sent to asker under id, from the address asked,
// or, with asked nil, from whatever address the node was asked under. nil: nobody asked, or no longer.
func (t *iqTable) answer(node *Node, asked, asker, id []byte) *ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.match(node, asked, asker, id)
	if a != nil {
		t.remove(a)
	}
	return a
}

// remove takes a out. Called with mu held.
func (t *iqTable) remove(a *ask) {
	from, to, size := t.load(a.origin), t.load(a.node), a.bytes()
	t.len, t.bytes = t.len-1, t.bytes-size
	from.asks, from.bytes, to.asked = from.asks-1, from.bytes-size, to.asked-1
	a.prev.next, a.next.prev = a.next, a.prev
	if a.nNext != nil {
		a.nNext.nPrev = a.nPrev
	}
	if a.nPrev != nil {
		a.nPrev.nNext = a.nNext
	} else {
		to.first = a.nNext
	}
	first := t.asks[a.key]
	switch {
	case first != a:
		for first.same != a {
			first = first.same
		}
		first.same = a.same
	case a.same != nil:
		t.asks[a.key] = a.same
	default:
		delete(t.asks, a.key)
	}
}

// takeOf removes and returns the requests that a node was asked.
func (t *iqTable) takeOf(n *Node) []*ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*ask
	for l := t.load(n); l.first != nil; {
		taken = append(taken, l.first)
		t.remove(l.first)
	}
	slices.Reverse(taken) // oldest first
	return taken
}

// takeOld removes and returns, oldest first, the requests whose time is over; all, for the zero time.
func (t *iqTable) takeOld(now time.Time) []*ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*ask
	for a := t.ring.next; a != &t.ring && (now.IsZero() || !now.Before(a.until)); a = t.ring.next {
		taken = append(taken, a)
		t.remove(a)
	}
	return taken
}

// requestsDropped answers what a node was asked and can no longer answer, because its link dropped.
func (r *Router) requestsDropped(n *Node) {
	r.answerFor(r.iqs.takeOf(n), NodeDropped)
}

// takenOut counts a stanza that was taken out of a queue whose link dropped: the queue's own account has it.
func (r *Router) takenOut(why Reason, origin storage.NodeID) { r.from(origin).home.lost[why].Add(1) }

// requestsExpired answers what nobody answered in time.
func (r *Router) requestsExpired(now time.Time) {
	r.answerFor(r.iqs.takeOld(now), IQTimeout)
}

// answerFor sends the error for each request to the node that asked.
func (r *Router) answerFor(asks []*ask, why Reason) {
	for _, a := range asks {
		e := why.StanzaError()
		to, _, err := stanza.ParseAddress([]byte(a.asked), false, nil)
		if err == nil {
			e.Text = expand(e.Text, to)
		}
		e.By = r.cfg.Server
		h := requestHeader(a.id())
		r.Send(a.origin.reach(), h.AppendError(nil, &e, []byte(a.asker()), []byte(a.asked)))
	}
}

// requestHeader makes the header of an iq get that has nothing but an id, to be answered.
func requestHeader(id string) *stanza.Header {
	raw := append(stanza.AppendEscaped([]byte("'"), []byte(id)), '\'')
	n := int32(len(raw))
	return &stanza.Header{Raw: raw, Kind: stanza.IQ, Type: stanza.TypeGet,
		ID: stanza.Attr{Outer: stanza.Span{Hi: n}, Value: stanza.Span{Lo: 1, Hi: n - 1}}}
}

// request enters an iq in the table before it is queued for n.
func (s *Source) request(it *item, n *Node) bool { return s.r.iqs.enter(s.newAsk(it, n)) }

func (s *Source) newAsk(it *item, n *Node) *ask {
	return &ask{key: askKey(it.asker(s), it.id()), asked: it.to.String(),
		node: n, origin: s.node, until: s.r.now().Add(s.r.cfg.IQWait)}
}

// reply brings an iq result or error to whoever asked, and to nobody else: an answer is only as good as the
// question (CVE-2024-46957). Several libraries write no from: then it is the address they were asked under.
func (s *Source) reply(w *work, it *item) error {
	if it.place == PlaceServer || it.place == PlaceNone {
		w.end0(Served) // the answer to a ping of the server itself
		return nil
	}
	if bad := check(&it.h); bad != None {
		w.end(BadReply)
		return nil
	}
	var asked []byte
	if it.h.From.Set() {
		if _, err := s.authorise(it); err != nil {
			w.end(BadFrom)
			return err
		}
		asked = it.from.Bytes()
	}
	a := s.r.iqs.answer(s.node, asked, it.to.Bytes(), it.id())
	if a == nil {
		w.end(LateReply)
		return nil
	}
	if asked == nil {
		it.from, it.scratch, _ = stanza.ParseAddress([]byte(a.asked), false, it.scratch) // canonical already
	}
	s.finishRun(w)
	v, direct := s.answerTo(w, it, a.origin)
	if direct {
		s.settle(w, it, s.send(w, it, v.Targets[0].Node))
	} else {
		s.do(w, it, v)
	}
	return nil
}

// answerTo decides on an answer that a node asked for. direct: it goes to that node itself, because it is one of several
// links of the domain that asked, or because the asker has no session now, and the node may still care.
func (s *Source) answerTo(w *work, it *item, origin *Node) (v Verdict, direct bool) {
	if it.place == PlaceNode && origin.home.instances.Load() != nil {
		origin = origin.reach()
	} else {
		s.view(w, it)
		if v := Decide(&it.h, &w.view); v.Action == Deliver || v.Action == Hold {
			return v, false
		}
	}
	return w.view.one(0, Target{Node: origin, Outbox: origin.State() != Attached}), true
}
