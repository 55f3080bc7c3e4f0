package routing

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
)

// fanning is one fan-out on its way (XEP-0033 5): each address is decided like a message of its own. Nodes that take
// one stanza for several of their users get one; for all others there is a copy for each address.
type fanning struct {
	fan
	s      *Source
	w      *work
	it     item // of the copy at hand
	seen   []byte
	groups []*group
	single bool // no more groups
	hint   Hint // once it is hinted
	hinted bool
	parts  int // copies that are in custody somewhere
	bytes  int // queued since the last flush
}

// group is the addresses for which one node gets one stanza.
type group struct {
	node *Node
	list []int // indexes of addresses
}

// fanFlush is how many bytes of copies are queued before they are written: a large fan-out must not fill the queues of
// nodes that are fast enough.
const fanFlush = 256 << 10

// largeFan is the memory for a copy that is kept for the next fan-out.
const largeFan = 64 << 10

// fanOut sends a message to each of its addresses.
func (s *Source) fanOut(w *work, it *item) Reason {
	f := &fanning{s: s, w: w, fan: fan{full: s.r.set().Fan}}
	if why := f.base(it); why != None {
		return why
	}
	if why := f.read(); why != None {
		return why
	}
	f.seen, f.it.from = f.appendOpen(nil), it.from
	for i := range f.list {
		if a := &f.list[i]; a.wanted && a.why == None {
			a.why = f.one(i)
		}
	}
	for _, g := range f.groups {
		f.send(g)
	}
	f.account(it)
	if cap(w.fan) > largeFan {
		w.fan = nil
	}
	return None
}

// base makes the header of the message as it goes on.
func (f *fanning) base(it *item) Reason {
	f.h = &it.h
	if e := f.s.edit(f.w, it); e != nil {
		again := newRedo(f.s.r)
		defer again.close()
		h := &stanza.Header{}
		tok, _, err := again.sc.Next(it.h.AppendEdited(nil, e), h)
		if err != nil || tok != stanza.Element {
			return Unreadable
		}
		f.h = h
	}
	return None
}

// one decides one address. None: the message is in custody for it, or in a group that is still to be sent.
func (f *fanning) one(i int) Reason {
	a := &f.list[i]
	s, it := f.s, &f.it
	it.h, it.to, it.again = *f.h, a.who, false
	it.toHash = 0
	it.locate(s.domain(a.who.Domain()))
	if it.place == PlaceUsers && len(a.who.Local()) > 0 {
		it.toHash = s.r.sessions.Hash(a.who.Bare())
	}
	s.look(f.w, it)
	if f.w.view.asksHint(&it.h) {
		f.w.view.Hint = f.hintOf()
	}
	v := Decide(&it.h, &f.w.view)
	switch v.Action {
	case Serve, FanOut:
		return NotServed // the router's own addresses are no recipients, and nothing goes round
	case Deliver:
		if it.place == PlaceUsers && !s.mustWait(it) {
			v.Targets = f.gather(i, v.Targets)
		}
		if len(v.Targets) == 0 {
			return None
		}
	case Bounce, Drop:
		return v.Reason
	}
	it.h.Raw = f.copyFor(i)
	it.h.Flags = 0                      // it is one of ours now
	it.again = len(v.Targets) < a.nodes // no second look-up: it would find the node of a group
	f.parts++
	before := f.w.copies
	why := s.act(f.w, it, v)
	f.parts += int(f.w.copies - before)
	f.w.copies = before // they are counted with all others
	switch {
	case why == NodeUnknown && it.again && len(v.Targets) < a.nodes:
		f.w.end(OtherCopy)
		why = None
	case why != None:
		f.parts--
	default:
		a.took = true
	}
	f.flush(len(it.h.Raw))
	return why
}

// hintOf says whether the message may be stored; it is the same for all addresses.
func (f *fanning) hintOf() Hint {
	if !f.hinted {
		f.hint, f.hinted = hintOf(f.h, nil), true
	}
	return f.hint
}

// gather puts an address into the groups of the targets that take one stanza for several users, and gives the rest.
func (f *fanning) gather(i int, targets []Target) []Target {
	rest := targets[:0]
	f.list[i].nodes = len(targets)
	for _, t := range targets {
		if f.single || t.Outbox || !t.Node.multicast.Load() {
			rest = append(rest, t)
			continue
		}
		k := slices.IndexFunc(f.groups, func(g *group) bool { return g.node == t.Node })
		if k < 0 {
			k = len(f.groups)
			f.groups = append(f.groups, &group{node: t.Node})
		}
		f.groups[k].list = append(f.groups[k].list, i)
	}
	return rest
}

// copyFor gives the message for one address, in bytes that end with the next one.
func (f *fanning) copyFor(i int) []byte {
	a, raw := &f.list[i], f.h.Raw
	b := append(f.w.fan[:0], raw[:f.h.To.Value.Lo]...)
	b = stanza.AppendEscaped(b, a.who.Bytes())
	b = append(b, raw[f.h.To.Value.Hi:f.body.Lo]...)
	b = append(b, f.seen...)
	if a.blind {
		b = f.appendAddress(b, i, false)
	}
	b = append(b, raw[f.body.Hi:]...)
	f.w.fan = b
	return b
}

// flush writes what is queued when it is much.
func (f *fanning) flush(n int) {
	if f.bytes += n; f.bytes < fanFlush {
		return
	}
	f.bytes = 0
	f.w.write()
}

// send queues the stanza of a group. Where the node's queue does not take it, its addresses are decided once more,
// each by itself.
func (f *fanning) send(g *group) {
	mine := make([]bool, len(f.list))
	for _, i := range g.list {
		mine[i] = true
	}
	isMine := func(i int) bool { return mine[i] }
	f.w.fan = f.appendFor(f.w.fan[:0], []byte(g.node.Domain),
		func(i int) bool { return mine[i] || !f.list[i].blind }, isMine)
	h := stanza.Header{Raw: f.w.fan}
	res, flush, at := g.node.queue.putAt(&h, nil, rec{origin: f.s.node.ID(), class: classGroup, at: f.w.version})
	f.s.went(at)
	if flush {
		f.w.queues = append(f.w.queues, g.node.queue)
	}
	switch res {
	case putOK:
		for _, i := range g.list {
			f.list[i].took = true
		}
		f.parts++
		f.flush(len(h.Raw))
	case putFull, putBehind, putKept, putDisk:
		why := g.node.queue.why(res)
		for _, i := range g.list {
			f.list[i].why = why
		}
	default: // its link has just gone
		for _, i := range g.list {
			f.list[i].why = f.alone(i)
		}
	}
}

// alone decides an address whose node's link has gone between the decision and the queue, unless another node has it.
func (f *fanning) alone(i int) Reason {
	if f.list[i].took {
		return None
	}
	f.single = true
	return f.one(i)
}

// account ends the message: of all its parts one is the message itself, the others are copies. Failed addresses come
// back in one error.
func (f *fanning) account(it *item) {
	w := f.w
	parts := f.parts
	counts := map[Reason]int{}
	var most Reason
	for i := range f.list {
		why := f.list[i].why
		if why == None {
			continue
		}
		parts++
		w.end(why)
		if why.Outcome() != Bounced {
			f.list[i].why = None // silence is what is due
			continue
		}
		if counts[why]++; counts[why] > counts[most] {
			most = why
		}
	}
	if parts == 0 {
		w.end0(Served) // it asked for nothing that was not delivered
		return
	}
	w.copies += uint64(parts - 1)
	if most != None {
		f.tell(it, most)
	}
}

// tell sends the error: its condition is that of most of the failed addresses, which it lists. Those with another
// condition have it inside.
func (f *fanning) tell(it *item, most Reason) {
	e := most.StanzaError()
	e.By = f.s.r.cfg.Server
	var to []byte
	if !it.h.From.Set() {
		to = []byte(f.s.node.Domain)
	}
	failed, list := 0, []byte(nil)
	for i := range f.list {
		if why := f.list[i].why; why != None {
			failed++
			list = f.appendFailed(list, i, most)
		}
	}
	one := "each address listed"
	if failed == 1 {
		i := slices.IndexFunc(f.list, func(a fanAddress) bool { return a.why != None })
		one = string(f.list[i].who.Bytes())
	}
	e.Text = fmt.Sprintf("%d of %d addresses failed: ", failed, f.asked()) + string(bytes.ReplaceAll([]byte(e.Text), []byte("%to"), []byte(one)))
	b := it.h.AppendError(f.w.buf[:0], &e, to, nil)
	end := "</message>"
	b = append(b[:len(b)-len(end)], "<addresses xmlns='"+stanza.NSAddress+"'>"...)
	b = append(append(b, list...), "</addresses>"+end...)
	f.w.buf = b
	f.s.made(f.w, f.s.node)
}

// asked counts the addresses that were to be delivered to.
func (f *fanning) asked() int {
	n := 0
	for i := range f.list {
		if f.list[i].wanted {
			n++
		}
	}
	return n
}

// appendFailed lists a failed address in the error, with its condition if that is not the one of most.
func (f *fanning) appendFailed(dst []byte, i int, most Reason) []byte {
	a := &f.list[i]
	tag := stanza.WalkBytes(f.h.In(a.at))
	tag.Next()
	dst = append(dst, "<address"...)
	for _, name := range []string{"type", "jid", "uri", "node", "desc"} {
		if value, _, ok := tag.Attr(name); ok {
			dst = append(append(append(dst, ' '), name...), "='"...)
			dst = append(stanza.AppendEscaped(dst, stanza.AppendUnescaped(nil, value)), '\'')
		}
	}
	if a.why == most {
		return append(dst, "/>"...)
	}
	e := a.why.StanzaError()
	dst = append(append(append(dst, "><"...), e.Condition...), " xmlns='"+stanza.NSStanzas+"'/>"...)
	dst = append(dst, e.App...)
	return append(dst, "</address>"...)
}
