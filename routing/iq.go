package routing

import (
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// maxAsks bounds the iqs that may wait for an answer at one time.
const maxAsks = 1 << 17

// maxSame bounds those of one asker under one id: they are searched one by one.
const maxSame = 64

// ask is an iq get or set that went to a node and is not answered yet.
type ask struct {
	key    string // asker and id
	asker  string
	id     string
	asked  string // the address it was sent to
	node   *Node  // the node it went to
	origin *Node  // the node it came from
	until  time.Time

	same       *ask // the next one with this key
	prev, next *ask // in order of until
}

// iqTable makes sure that each iq get or set is answered exactly once, by the one who was asked or by us
// (RFC 6120 8.2.3): one table for the server, bounded.
type iqTable struct {
	// guarded by mu
	mu   sync.Mutex
	asks map[string]*ask
	ring ask // head of the list of all
	len  int
}

func (t *iqTable) init() {
	t.asks = map[string]*ask{}
	t.ring.prev, t.ring.next = &t.ring, &t.ring
}

func askKey(asker, id []byte) string {
	b := make([]byte, 0, len(asker)+len(id)+1)
	return string(append(append(append(b, asker...), 0), id...))
}

// enter notes a request; false: the table is full.
func (t *iqTable) enter(a *ask) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.len >= maxAsks {
		return false
	}
	t.len++
	last := t.asks[a.key]
	for n := 1; last != nil && last.same != nil; n++ {
		if n == maxSame {
			t.len--
			return false
		}
		last = last.same
	}
	if last == nil {
		t.asks[a.key] = a
	} else {
		last.same = a // several with one id are answered in order
	}
	a.prev, a.next = t.ring.prev, &t.ring
	a.prev.next, a.next.prev = a, a
	return true
}

// answer takes out the request that a reply of node answers: sent to asker under id, from the address asked,
// or, with asked nil, from whatever address the node was asked under. nil: nobody asked, or no longer.
func (t *iqTable) answer(node *Node, asked, asker, id []byte) *ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	for a := t.asks[askKey(asker, id)]; a != nil; a = a.same {
		if a.node == node && (asked == nil || a.asked == string(asked)) {
			t.remove(a)
			return a
		}
	}
	return nil
}

// remove takes a out. Called with mu held.
func (t *iqTable) remove(a *ask) {
	t.len--
	a.prev.next, a.next.prev = a.next, a.prev
	first := t.asks[a.key]
	if first == a {
		if a.same == nil {
			delete(t.asks, a.key)
		} else {
			t.asks[a.key] = a.same
		}
		return
	}
	for first.same != a {
		first = first.same
	}
	first.same = a.same
}

// take removes and returns, oldest first, the requests that satisfy want; it stops at the first that does not
// when they are wanted by age.
func (t *iqTable) take(byAge bool, want func(*ask) bool) []*ask {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*ask
	for a := t.ring.next; a != &t.ring; {
		next := a.next
		if want(a) {
			t.remove(a)
			taken = append(taken, a)
		} else if byAge {
			break
		}
		a = next
	}
	return taken
}

// requestsDropped answers what a node was asked and can no longer answer, because its link dropped.
func (r *Router) requestsDropped(n *Node) {
	r.answerFor(r.iqs.take(false, func(a *ask) bool { return a.node == n }), NodeDropped)
}

// requestsExpired answers what nobody answered in time.
func (r *Router) requestsExpired(now time.Time) {
	r.answerFor(r.iqs.take(true, func(a *ask) bool { return !now.Before(a.until) }), IQTimeout)
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
		h := requestHeader(a.id)
		r.Send(a.origin, h.AppendError(nil, &e, []byte(a.asker), []byte(a.asked)))
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
func (s *Source) request(it *item, n *Node) bool {
	asker, id := it.asker(s), it.id()
	return s.r.iqs.enter(&ask{key: askKey(asker, id), asker: string(asker), id: string(id), asked: it.to.String(),
		node: n, origin: s.node, until: s.r.now().Add(s.r.cfg.IQWait)})
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
		if err := s.authorise(it); err != nil {
			w.end(BadReply)
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
	s.view(w, it)
	s.finishRun(w)
	v := Decide(&it.h, &w.view)
	if v.Action == Deliver {
		s.do(w, it, v)
	} else {
		s.send(w, it, a.origin) // the asker has no session now; the node that asked for it may still care
	}
	return nil
}
