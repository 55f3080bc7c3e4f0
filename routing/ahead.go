package routing

import (
	"bytes"
	"slices"

	"github.com/patchbay-im/patchbay/stanza"
)

// A node may wait for an answer before it is done with a stanza: in a handler, say, that looks a user up. What it is not done with
// shuts the window, and the answer lies behind it. So answers go past a shut window (decision 32): they are put before what is
// written next, and are part of the queue there as if they had come before it, numbers and all.
const (
	aheadMost  = 64         // answers that one look lets go ahead, and times that it looks for what keeps one back
	aheadBytes = windowMost // that may be unproved beyond the window
)

// pastWindow is what a queue knows of answers that may go past a shut window. Guarded by the queue's mu.
type pastWindow struct {
	last   uint64 // number of the last answer that was queued; 0: none waits
	looked uint64 // last, and w, when none was found that may go
	sent   uint64
}

// noteAnswer notes that the stanza queued last may be an answer. Called with mu held.
func (q *Queue) noteAnswer(h *stanza.Header, r rec) {
	if r.origin == 0 && bytes.HasPrefix(h.Raw, []byte("<iq")) || isReply(h) {
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
	return a.last > 0 && (a.looked != a.last || a.sent != q.sent) && q.sent >= q.acks.again && q.proof.room(q.unproved)+aheadBytes > 0
}

// answersFirst puts answers before what the first block has to write, and gives how many, and their bytes: they are written though
// the window is shut. Called with mu held, by the holder of the writing flag, at the end of a stanza.
func (q *Queue) answersFirst() (stanzas, size int) {
	if !q.mayGo() {
		return 0, 0
	}
	l := aheadLook{q: q, room: q.proof.room(q.unproved) + aheadBytes}
	for i := 0; i < len(q.blocks) && l.stanzas < aheadMost; i++ {
		l.block(q.blocks[i])
	}
	switch {
	case l.stanzas > 0:
	case l.waits:
		q.past.looked, q.past.sent = q.past.last, q.sent
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
	tries         int // looks for what keeps one back

	waits   bool // some answers do not go
	notices bool // of the server were passed
}

// block looks at one block.
func (l *aheadLook) block(b *block) {
	if b.b == nil {
		l.notices = l.notices || b.notices
		return
	}
	at := b.done
	for i := b.next; i < len(b.recs) && l.stanzas < aheadMost; i++ {
		r := b.recs[i]
		raw := b.b[at : at+int(r.size)]
		if r.class != classMoved && (r.origin == 0 || bytes.HasPrefix(raw, []byte("<iq"))) {
			switch kindOf(raw) {
			case kindNotice:
				l.notices = l.notices || r.origin == 0
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
		return false
	case r.class.promised() && (b.kept || b.keeping || first.kept || first.keeping || first.first <= l.q.custody.safe):
		return false
	case r.origin == 0:
		return !l.notices
	}
	l.tries++
	return l.tries <= aheadMost && !l.behindOwn(b, i, raw)
}

// behindOwn reports whether something of the same node to the same address may be before an answer.
func (l *aheadLook) behindOwn(b *block, i int, raw []byte) bool {
	to, ok := addressee(raw)
	if !ok {
		return true
	}
	for n, o := range l.q.blocks {
		if o.b == nil {
			if len(to.Local()) == 0 && o.itself || len(to.Local()) > 0 && o.mayHave(userHash(to.Bare())) {
				return true
			}
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
			if r.origin == b.recs[i].origin && r.class != classMoved {
				if other, ok := addressee(o.b[at : at+int(r.size)]); !ok || other.Equal(to) {
					return true
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
