package routing

import (
	"bytes"
	"math"
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// A node may wait for an answer before it is done with a stanza: in a handler, say, that looks a user up. What it is not done with
// shuts the window, and the answer lies behind it. So answers go past a shut window (decision 32): they are put before what is
// written next, and are part of the queue there as if they had come before it, numbers and all.
const (
	aheadMost     = 64         // answers that one look lets go ahead
	aheadCompared = 8 << 10    // stanzas that it holds against answers of other nodes: 150 ns each, under the queue's lock
	aheadBytes    = windowMost // that may be unproved beyond the window
)

// pastWindow is what a queue knows of answers that may go past a shut window. Guarded by the queue's mu.
type pastWindow struct {
	last   uint64 // number of the last answer that was queued; 0: none waits
	looked uint64 // last, when none was found that may go,
	until  uint64 // and the w with which one might
	spent  bool   // that look compared as much as one may: of other nodes none can
}

// noteAnswer notes that the stanza queued last may be an answer. Called with mu held.
func (q *Queue) noteAnswer(h *stanza.Header, r rec) {
	switch {
	case r.origin == 0 && bytes.HasPrefix(h.Raw, []byte("<iq")):
		q.past.last = q.number
	case isReply(h) && (q.past.last == 0 || !q.past.spent || q.sent >= q.past.until):
		q.past.last = q.number
	}
}

// isReply reports whether a stanza that a link sent answers an iq.
func isReply(h *stanza.Header) bool {
	return h.Kind == stanza.IQ && (h.Type == stanza.TypeResult || h.Type == stanza.TypeError)
}

// isAnswer reports whether a stanza that the server made is an iq for the node itself. A library that counts its ids anew on
// each link would take it for the answer to another question.
func (q *Queue) isAnswer(raw []byte) bool {
	if !bytes.HasPrefix(raw, []byte("<iq")) {
		return false
	}
	to, ok := addressee(raw)
	return !ok || string(to.Domain()) == q.node.Domain
}

// quickClass gives the class of an answer from another node to the node itself, behind more than memory is to hold: on disk it would
// wait for stanzas that the node may not be done with before it has the answer. Called with mu held.
func (q *Queue) quickClass(h *stanza.Header, r rec) class {
	was := r.class
	if r.class = classAnswer; was == classKeep && q.out != nil && q.isAnswer(h.Raw) && q.fit(len(h.Raw), r) == putOK {
		return classAnswer
	}
	return was
}

// mayGo reports whether answers may wait that can go past a shut window. While a link that was resumed gets again what was written
// before, in its order, none can: the peer knows those stanzas by their numbers. Called with mu held.
func (q *Queue) mayGo() bool {
	a := &q.past
	return a.last > 0 && (a.looked != a.last || q.sent >= a.until) && q.sent >= q.acks.again && q.proof.room(q.unproved)+aheadBytes > 0
}

// answersFirst puts answers before what the first block has to write, and gives how many, and their bytes: they are written though
// the window is shut. Called with mu held, by the holder of the writing flag, at the end of a stanza.
func (q *Queue) answersFirst() (stanzas, size int) {
	if !q.mayGo() {
		return 0, 0
	}
	l := aheadLook{q: q, room: q.proof.room(q.unproved) + aheadBytes, until: math.MaxUint64}
	for i := 0; i < len(q.blocks) && l.stanzas < aheadMost; i++ {
		l.block(q.blocks[i])
	}
	switch {
	case l.stanzas > 0:
	case l.waits:
		q.past.looked, q.past.until, q.past.spent = q.past.last, l.until, l.compared > aheadCompared
	default:
		q.past.last = 0
	}
	return l.stanzas, l.size
}

// aheadLook is one look at what waits, first to last.
type aheadLook struct {
	q             *Queue
	room          int // bytes that may go
	stanzas, size int // that go
	compared      int // stanzas that were held against answers

	waits  bool       // some answers do not go,
	until  uint64     // before w is this
	passed int        // stanzas, and
	notice int        // of those the first that is a notice of the server; 0: none
	kept   []keptBack // what else answers are kept back behind
}

// keptBack is an answer that does not go: others from and to the same stay behind it.
type keptBack struct {
	origin storage.NodeID
	to     uint32
}

// wait notes that an answer may go when so many more stanzas are written, and gives false: it does not now.
func (l *aheadLook) wait(stanzas int) bool {
	l.until = min(l.until, l.q.sent+uint64(stanzas))
	return false
}

// block looks at one block.
func (l *aheadLook) block(b *block) {
	if b.b == nil {
		if b.notices && l.notice == 0 {
			l.notice = 1 // or later
		}
		l.passed += b.count
		return
	}
	at := b.done
	for i := b.next; i < len(b.recs) && l.stanzas < aheadMost; i++ {
		r := b.recs[i]
		raw := b.b[at : at+int(r.size)]
		if r.class != classMoved {
			l.passed++
		}
		if r.class != classMoved && (r.origin == 0 || bytes.HasPrefix(raw, []byte("<iq"))) {
			switch kindOf(raw) {
			case kindNotice:
				if r.origin == 0 && l.notice == 0 {
					l.notice = l.passed
				}
			case kindAnswer:
				if l.goes(b, i, raw) {
					l.move(b, i, at)
				} else {
					l.waits = true
				}
			}
		}
		at += int(r.size)
	}
}

// goes reports whether an answer may go before all that is before it. What the server says of sessions, and what the same node has
// sent to the same address, stays before it; and what somebody may have been told to be on disk stays in its block.
func (l *aheadLook) goes(b *block, i int, raw []byte) bool {
	r, first := b.recs[i], l.q.blocks[0]
	switch {
	case l.size+len(raw) > l.room, !b.prepared():
		return l.wait(1)
	case r.class.promised() && (b.kept || b.keeping || first.kept || first.keeping || first.first <= l.q.custody.safe):
		return l.wait(1)
	case r.origin == 0:
		return l.notice == 0 || l.wait(l.notice)
	}
	to, ok := addressee(raw)
	if !ok {
		return l.wait(1)
	}
	this := keptBack{r.origin, userHash(to.Bytes())}
	if slices.Contains(l.kept, this) {
		return false
	}
	if l.behindOwn(b, i, to) {
		l.kept = append(l.kept, this)
		return false
	}
	return true
}

// behindOwn reports whether something of the same node to the same address may be before an answer.
func (l *aheadLook) behindOwn(b *block, i int, to stanza.Address) bool {
	before := 0 // stanzas that are
	for n, o := range l.q.blocks {
		if o.b == nil {
			if len(to.Local()) == 0 && o.itself || len(to.Local()) > 0 && o.mayHave(userHash(to.Bare())) {
				return !l.wait(1)
			}
			before += o.count
			continue
		}
		j, at := o.next, o.done
		if n == 0 {
			j, at = j+l.stanzas, at+l.size // those go too
		}
		for ; j < len(o.recs); j++ {
			r := o.recs[j]
			if o == b && j == i {
				return false
			}
			if r.class != classMoved {
				before++
			}
			if r.origin == b.recs[i].origin && r.class != classMoved {
				if l.compared++; l.compared > aheadCompared {
					return !l.wait(aheadCompared / 8)
				}
				if other, ok := addressee(o.b[at : at+int(r.size)]); !ok || other.Equal(to) {
					return !l.wait(before)
				}
			}
			at += int(r.size)
		}
	}
	return true
}

// move puts the i-th stanza of a block, which begins at a byte of it, behind those that go already.
func (l *aheadLook) move(b *block, i, at int) {
	q, first := l.q, l.q.blocks[0]
	r := b.recs[i]
	raw := bytes.Clone(b.b[at : at+int(r.size)])
	to, place := first.done+l.size, first.next+l.stanzas
	if b == first {
		copy(b.b[to+len(raw):], b.b[to:at])
		copy(b.b[to:], raw)
		copy(b.recs[place+1:], b.recs[place:i])
		b.recs[place] = r
	} else {
		q.waited(b, 1, len(raw))
		b.recs[i].class = classMoved
		b.holes++
		r.came = uint32(max(0, b.since+int64(r.came)*1e6-first.since) / 1e6)
		was := cap(first.b)
		first.b = slices.Insert(first.b, to, raw...)
		first.recs = slices.Insert(first.recs, place, r)
		q.grew(cap(first.b) - was)
		q.waited(first, -1, -len(raw))
	}
	first.parted, first.index = true, nil // its numbers are not exact any more
	first.turns++
	if r.class.promised() {
		first.users = nil
	}
	l.stanzas, l.size = l.stanzas+1, l.size+len(raw)
}

// stanzaKind is what a stanza is to those that go past it.
type stanzaKind uint8

const (
	kindOther  stanzaKind = iota // an error, or a request
	kindAnswer                   // an iq result or error
	kindNotice                   // a message or presence
)

// kindOf reads what a queued stanza is.
func kindOf(raw []byte) stanzaKind {
	w := stanza.WalkBytes(raw)
	if !w.Next() {
		return kindOther
	}
	typ, _, _ := w.Attr("type")
	is := string(typ) == "error"
	switch {
	case string(w.Local()) == "iq" && (is || string(typ) == "result"):
		return kindAnswer
	case string(w.Local()) == "iq" || is:
		return kindOther
	}
	return kindNotice
}

// noteOrder notes of a block that leaves memory what answers may not go past.
func (b *block) noteOrder() {
	b.each(func(raw []byte, r rec) {
		if r.origin == 0 {
			b.notices = b.notices || kindOf(raw) == kindNotice
		} else if to, ok := addressee(raw); !b.itself && (!ok || len(to.Local()) == 0) {
			b.itself = true
		}
	})
}
