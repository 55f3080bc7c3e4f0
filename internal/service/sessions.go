package service

import (
	"errors"
	"strconv"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// maxItems bounds one statement (protocol.md 1.1).
const maxItems = 1000

// syncStep is the value of sync on a statement.
type syncStep uint8

const (
	syncNone syncStep = iota
	syncStart
	syncMore
	syncEnd
	syncAll
)

var syncSteps = map[string]syncStep{"": syncNone, "start": syncStart, "more": syncMore, "end": syncEnd, "all": syncAll}

// request is one iq of urn:patchbay:sessions:1 while it is served.
type request struct {
	s    *Service
	src  *routing.Source
	h    *stanza.Header
	from stanza.Address
	to   stanza.Address // the user domain
	step syncStep

	items   []item
	scratch []byte
}

type item struct {
	who      stanza.Address
	priority int8
	withdraw bool
	created  bool // this statement made the session
	tried    bool // the router was told to expect it
	expected bool // something is stored for the user
}

// itemError refuses a whole statement because of one of its items; n < 0: because of the statement itself.
type itemError struct {
	n   int
	err stanza.Error
}

func refuse(n int, typ, condition, text string) *itemError {
	return &itemError{n: n, err: stanza.Error{Type: typ, Condition: condition, Text: text}}
}

// statement serves one iq with announces and withdraws: all or nothing, in document order, the index at once,
// the result when it is on disk (protocol.md 1.1 to 1.4).
func (r *request) statement() {
	bad := r.read()
	if bad == nil {
		bad = r.check()
	}
	if bad != nil {
		r.deny(bad)
		return
	}
	r.apply()
}

// read takes the statement apart.
func (r *request) read() *itemError {
	w, _ := payload(r.src, r.h)
	value, escaped, _ := w.Attr("sync")
	if escaped {
		value = stanza.AppendUnescaped(nil, value)
	}
	step, ok := syncSteps[string(value)]
	if !ok {
		return refuse(-1, "modify", "bad-request", "sync is start, more, end or all")
	}
	r.step = step
	for children := 0; w.Next(); {
		if w.Depth() != 3 {
			continue
		}
		if children++; children > maxItems { // of any namespace: to find that of one costs more than an item
			return refuse(len(r.items), "wait", "resource-constraint", "a statement has at most "+strconv.Itoa(maxItems)+" items; send several")
		}
		if string(w.Space()) != stanza.NSSessions {
			continue // an extension that we do not know
		}
		if bad := r.readItem(&w); bad != nil {
			return bad
		}
	}
	return nil
}

// readItem reads the item that w is at.
func (r *request) readItem(w *stanza.Walker) *itemError {
	it, n := item{}, len(r.items)
	switch string(w.Local()) {
	case "announce":
	case "withdraw":
		it.withdraw = true
	default:
		return refuse(n, "modify", "bad-request", "an item is announce or withdraw")
	}
	jid, escaped, ok := w.Attr("jid")
	if !ok {
		return refuse(n, "modify", "jid-malformed", "the item has no jid")
	}
	var err error
	if it.who, r.scratch, err = stanza.ParseAddress(jid, escaped, r.scratch); err != nil {
		return refuse(n, "modify", "jid-malformed", err.Error())
	}
	if it.who.IsBare() || len(it.who.Local()) == 0 {
		return refuse(n, "modify", "jid-malformed", "the jid is not full; sessions have the form user@domain/resource")
	}
	if prio, _, ok := w.Attr("priority"); ok {
		p, err := strconv.ParseInt(string(prio), 10, 8)
		if err != nil {
			return refuse(n, "modify", "bad-request", "priority is a number from -128 to 127")
		}
		it.priority = int8(p)
	}
	r.items = append(r.items, it)
	return nil
}

// check holds the statement against the grants and the state of the node, before anything is changed.
func (r *request) check() *itemError {
	if string(r.from.Domain()) != r.src.Node().Domain {
		return refuse(-1, "auth", "forbidden", "only the node itself states its sessions; send from "+r.src.Node().Domain)
	}
	if (r.step == syncMore || r.step == syncEnd) && !r.src.Sync().Running {
		return refuse(-1, "modify", "unexpected-request", "no sync has been started on this link; begin with sync='start'")
	}
	if r.src.Grant().Instances > 1 && len(r.items) > 0 {
		return refuse(0, "cancel", "not-allowed", "several links share this node's domain (nodes[].instances), so it can hold no users")
	}
	granted := r.src.Grant().MayAnnounce(r.to.Domain())
	draining := !r.src.TakesSessions()
	never := !r.src.Grant().TakeOver && !r.inSync()
	room := r.s.room()
	for n, it := range r.items {
		switch {
		case !granted || string(it.who.Domain()) != string(r.to.Domain()):
			return refuse(n, "auth", "forbidden", "the jid is in a domain that is not granted to this node, or not the one addressed (nodes[].users)")
		case it.withdraw:
		case draining && !r.s.holds(r.src, it.who) && !(r.inSync() && r.s.heldElsewhere(it.who, r.src.Node().ID())):
			return refuse(n, "cancel", "not-allowed", "the node or its server is drained and takes no new sessions; log the user in on another")
		case never && r.s.heldElsewhere(it.who, r.src.Node().ID()):
			r.s.sessions.Excuse(it.who.Bare(), r.src.Node().ID())
			return refuse(n, "cancel", "conflict", "another node holds the session, and takeover is never for this node")
		case !room(it.who):
			r.s.sessions.Excuse(it.who.Bare(), r.src.Node().ID())
			return refuse(n, "wait", "resource-constraint", tooMany)
		}
	}
	return nil
}

// inSync reports whether the statement is part of a sync: what another node holds is listed then, not taken.
func (r *request) inSync() bool { return r.step != syncNone || r.src.Sync().Running }

const tooMany = "the user has too many sessions; withdraw some"

// room gives a function that reports whether a user may have one more session, counting those that it was asked
// for before.
func (s *Service) room() func(stanza.Address) bool {
	more, asked := map[string]int{}, map[string]bool{}
	return func(who stanza.Address) bool {
		h := s.sessions.Hash(who.Bare())
		if asked[who.String()] || len(s.sessions.Find(h, who.Bare(), who.Resource(), nil)) > 0 {
			return true
		}
		asked[who.String()] = true
		more[string(who.Bare())]++
		return len(s.sessions.Find(h, who.Bare(), nil, nil))+more[string(who.Bare())] <= storage.MaxResources
	}
}

// heldElsewhere reports whether another node holds a session.
func (s *Service) heldElsewhere(who stanza.Address, node storage.NodeID) bool {
	m := s.sessions.Find(s.sessions.Hash(who.Bare()), who.Bare(), who.Resource(), nil)
	return len(m) > 0 && m[0].Node != node
}

// apply changes the index, item by item, and asks for the commit.
func (r *request) apply() {
	before := *r.src.Sync()
	if r.step == syncStart || r.step == syncAll {
		*r.src.Sync() = routing.SyncState{Running: true, Mark: r.s.sessions.NextMark()}
	}
	b := r.s.begin(r.src)
	replaced, bad := r.change(b)
	if bad != nil {
		*r.src.Sync() = before
		b.Commit(nil)
		r.announced()
		r.deny(bad)
		return
	}
	if r.step == syncEnd || r.step == syncAll {
		mark := r.src.Sync().Mark
		*r.src.Sync() = routing.SyncState{}
		b.WithdrawBelow(mark, storage.Unconfirmed)
		r.src.Accepted()
		r.src.Confirmed()
	} else {
		r.src.Accepted()
	}
	r.announced()
	r.commit(b, replaced)
}

// change applies the items to the index, and gives the list of those that another node keeps. check has made sure
// that it cannot fail, unless another link takes this node's domain at this moment, or adds sessions of the same user:
// then what was created is taken back, and what was taken over stays.
func (r *request) change(b *storage.Batch) (replaced []byte, bad *itemError) {
	for n := range r.items {
		it := &r.items[n]
		if it.withdraw {
			b.Withdraw(it.who.Bare(), it.who.Resource())
			continue
		}
		it.tried, it.expected = true, r.s.router.Expect(it.who.Bare(), r.src.Node())
		change, prev, err := r.s.announce(r.src, b, it.who, it.priority)
		if err != nil {
			r.undo(b, r.items[:n])
			if errors.Is(err, storage.ErrStale) {
				return nil, refuse(-1, "cancel", "conflict", "a newer link has the domain; state sessions there")
			}
			return nil, refuse(n, "wait", "resource-constraint", tooMany)
		}
		if change == storage.Held {
			replaced = r.appendHeld(replaced, it.who, prev)
		}
		it.created = change == storage.Created
	}
	return replaced, nil
}

// undo takes back the sessions that a refused statement created: all or nothing.
func (r *request) undo(b *storage.Batch, items []item) {
	for _, it := range items {
		if it.created {
			b.Withdraw(it.who.Bare(), it.who.Resource())
		}
	}
}

// announced lets go what was held for the users that have a session now.
func (r *request) announced() {
	for _, it := range r.items {
		if it.tried {
			r.s.router.Announced(it.who.Bare(), it.expected)
		}
	}
}

// appendHeld lists a session that another node keeps.
func (r *request) appendHeld(dst []byte, who stanza.Address, holder storage.NodeID) []byte {
	rec, _ := r.s.sessions.Node(holder)
	dst = append(dst, "<replaced jid='"...)
	dst = stanza.AppendEscaped(dst, who.Bytes())
	dst = append(dst, "' node='"...)
	dst = append(dst, rec.Domain...)
	return append(dst, "'/>"...)
}

// commit sends the result once the changes are on disk. It is made now: the request's bytes are borrowed.
func (r *request) commit(b *storage.Batch, replaced []byte) {
	out := append(r.appendResult(make([]byte, 0, 192+len(replaced))), "<sessions xmlns='"+stanza.NSSessions+"'"...)
	if len(replaced) > 0 {
		out = append(append(append(out, '>'), replaced...), "</sessions></iq>"...)
	} else {
		out = append(out, "/></iq>"...)
	}
	src, router := r.src, r.s.router
	b.Commit(func(err error) {
		if err != nil {
			return // no result: nothing is acknowledged that is not on disk. The table has told the server, which ends
		}
		if stays(src) { // what a link asked that was resumed meanwhile is answered on that
			router.Send(src.Node(), out)
		}
	})
}

// appendResult appends the start tag of the result.
func (r *request) appendResult(dst []byte) []byte {
	dst = append(dst, "<iq type='result' id='"...)
	dst = stanza.AppendEscaped(dst, stanza.AppendUnescaped(nil, r.h.In(r.h.ID.Value))) // its quotes may be others
	dst = append(append(dst, "' from='"...), r.to.Bytes()...)
	dst = stanza.AppendEscaped(append(dst, "' to='"...), r.from.Bytes())
	return append(dst, "'>"...)
}

// deny refuses a statement.
func (r *request) deny(bad *itemError) {
	r.s.refusals.add(bad.err.Condition)
	r.refused(bad)
}

// refused answers with an error that names the item.
func (r *request) refused(bad *itemError) {
	e := bad.err
	e.By = r.s.router.Server()
	if bad.n >= 0 {
		e.App = "<item xmlns='" + stanza.NSSessions + "' n='" + strconv.Itoa(bad.n) + "'/>"
	}
	r.src.Reply(r.h.AppendError(nil, &e, r.from.Bytes(), r.to.Bytes()))
}
