package routing

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"
)

// The two-step ping barrier (protocol 2). Of two pings on a link, the second one written after the reply to the first
// was read, the reply to the second proves what was written before the first: with one ping alone, libraries with
// asynchronous handlers confirm messages whose handler never started.
//
//	boundary of a ping   stanzas that were written on the link before it
//	answered             the highest boundary whose ping has been answered
//	carries              what a ping's reply will prove: answered, at the moment it was written
const (
	pingMark = "pb-"

	windowStart = 256 << 10 // bytes that may be written and not proved
	windowLeast = 64 << 10
	windowMost  = 4 << 20 // and while it is not known whether the peer answers

	pingEvery = 128 // stanzas between two pings, or a quarter of the window
	pingsOpen = 8   // outstanding at most

	pingAfter  = 50 * time.Millisecond  // after the first stanza that no ping follows
	pingRides  = 100 * time.Millisecond // after the last ping: the next goes along with a stanza, which costs no write of its own
	pingApart  = 150 * time.Millisecond // after the last ping: the next goes by itself
	probeAfter = 5 * time.Second        // without a reply, while the socket takes bytes: the other form, then grade written
	probeAgain = 60 * time.Second       // a link of grade written
	probeKnown = 4 * time.Minute        // the same, for a node that has answered on an earlier link
	quickReply = 50 * time.Millisecond
	slowReply  = time.Second
)

// ping is one that was written, or is about to be, and has no reply yet.
type ping struct {
	number   uint64
	boundary uint64
	carries  uint64
	at       int64
	explicit bool
}

// barrier is the proof of one link. It has no lock and no clock: its queue has. Times are nanoseconds of any clock that
// only goes on.
type barrier struct {
	// set by start
	head string // of the ids: pingMark, 16 random digits, and a dash
	to   string // the rest of a ping behind its id
	off  bool   // nothing is asked, and nothing proved
	acks bool   // the peer counts what it has handled, and says so when it is asked (XEP-0198): no ping is written

	grade    Grade
	known    bool // an earlier link of the node has answered: if this one does not yet, it is slow
	explicit bool // the form with xmlns='jabber:client': the peer answers that one
	number   uint64
	open     []ping // oldest first
	answered uint64
	last     uint64 // the boundary of the last ping
	window   int
	shut     bool // the window was full since the last reply

	stanzas, bytes int   // written since the last ping
	first          int64 // when the first of them was written; 0: there are none
	want           bool  // a ping is to be written, however little that was
	turned         bool  // probing: it was asked in the other form, too
	silent         int64 // and for how long nothing came
	asked          int64 // when the last ping was
	ticked         int64
}

// start begins the proof of a new link.
func (b *barrier) start(server, node string, off bool, now int64) {
	var random [8]byte
	_, _ = rand.Read(random[:])       // never fails (crypto/rand)
	explicit := b.known && b.explicit // the form that an earlier link has answered
	*b = barrier{known: b.known, explicit: explicit, head: pingMark + hex.EncodeToString(random[:]) + "-", off: off, grade: GradeProbing, window: windowStart,
		to: "' from='" + server + "' to='" + node + "'><ping xmlns='urn:xmpp:ping'/></iq>", open: b.open[:0], ticked: now}
	if off {
		b.grade = GradeWritten
	}
}

// proves reports whether the peer is known to prove what it gets.
func (b *barrier) proves() bool { return b.grade >= GradeProved }

// room is how many bytes may be written, when so many are not proved.
func (b *barrier) room(unproved int) int {
	switch b.grade {
	case GradeProved, GradeAcked:
		return b.window - unproved
	case GradeProbing:
		return windowMost - unproved
	}
	return 1 << 30
}

// due reports whether a ping has to follow so many more stanzas, and bytes of them.
func (b *barrier) due(stanzas, size int) bool {
	if b.off || len(b.open) >= pingsOpen && (b.grade == GradeProved || !b.want) {
		return false
	}
	if b.want || b.grade == GradeWritten {
		return b.want
	}
	return stanzas > 0 && (b.stanzas+stanzas >= pingEvery || b.bytes+size >= b.window/4)
}

// ride asks for a ping that goes along with stanzas that are about to be written. A link on which few are written at a time would
// else have a write, and wake its peer, for nearly each stanza's ping alone.
func (b *barrier) ride(now func() int64) {
	if b.off || b.first == 0 || b.want || !b.proves() {
		return
	}
	at := now()
	b.want = at-b.first >= int64(pingAfter)/2 && at-b.asked >= int64(pingRides)
}

// late reports whether time asks for a ping: for what was written behind the last one, or if nothing was, for what is answered and
// not proved.
func (b *barrier) late(now int64, written, proved uint64) bool {
	if written > b.last {
		return now-b.first >= int64(pingAfter) && now-b.asked >= int64(pingApart)
	}
	if now-b.asked >= int64(probeAfter) {
		return written > proved // one of those asked may never be answered
	}
	return now-b.asked >= int64(pingRides) && b.closing(proved)
}

// add counts what is written behind the last ping.
func (b *barrier) add(stanzas, size int, now func() int64) {
	if b.off {
		return
	}
	if b.first == 0 {
		b.first = now()
	}
	b.stanzas, b.bytes = b.stanzas+stanzas, b.bytes+size
}

// ask appends a ping whose boundary is given.
func (b *barrier) ask(dst []byte, boundary uint64, now int64) []byte {
	if len(b.open) >= pingsOpen { // it has never answered: what is not answered is not missed
		b.open = b.open[:copy(b.open, b.open[1:])]
	}
	b.number++
	b.open = append(b.open, ping{number: b.number, boundary: boundary, carries: b.answered, at: now, explicit: b.explicit})
	b.last, b.stanzas, b.bytes, b.first, b.want, b.asked = boundary, 0, 0, 0, false, now
	if b.acks {
		return append(dst, ackRequest...)
	}
	dst = append(dst, "<iq "...)
	if b.explicit {
		dst = append(dst, "xmlns='jabber:client' "...)
	}
	dst = append(append(dst, "type='get' id='"...), b.head...)
	return append(strconv.AppendUint(dst, b.number, 10), b.to...)
}

// answer takes the id of a reply. is reports whether it answers a ping: the first one does. All below proved was read by
// the peer, and handed on.
func (b *barrier) answer(id []byte, now int64) (proved uint64, is bool) {
	digits, ours := bytes.CutPrefix(id, []byte(b.head))
	if !ours || len(digits) == 0 {
		return 0, false
	}
	number, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0, false
	}
	for i, p := range b.open {
		if p.number != number {
			continue
		}
		b.open = b.open[:copy(b.open, b.open[i+1:])] // those before it were read before it
		b.answered = max(b.answered, p.boundary)
		b.adapt(now - p.at)
		b.want = b.want || p.explicit != b.explicit // those in the other form may never be answered
		b.grade, b.known, b.explicit, b.silent = GradeProved, true, p.explicit, 0
		return p.carries, true
	}
	return 0, false
}

// adapt makes the window follow the time that a reply took.
func (b *barrier) adapt(took int64) {
	switch {
	case took > int64(slowReply):
		b.window = max(b.window/2, windowLeast)
	case took < int64(quickReply) && b.shut:
		b.window = min(2*b.window, windowMost)
	}
	b.shut = false
}

// closing reports whether a ping has to be written for the sake of what is answered and not proved.
func (b *barrier) closing(proved uint64) bool {
	if b.answered <= proved {
		return false
	}
	for _, p := range b.open {
		if p.carries >= b.answered {
			return false // its reply will do
		}
	}
	return true
}

// patience is how long a probing link may be silent after it was asked in both forms, before it is taken for one that does not
// answer.
func (b *barrier) patience() int64 {
	if b.known {
		return int64(probeKnown)
	}
	return int64(probeAfter)
}

// tick lets time pass: it notes whether a ping is due, and downgrades a link whose peer does not answer. blocked: the
// socket takes nothing, or nobody reads it here: then nothing can be said of the peer.
func (b *barrier) tick(now int64, written, proved uint64, blocked bool) {
	passed := now - b.ticked
	b.ticked = now
	switch {
	case b.off:
	case b.proves():
		b.want = b.want || b.late(now, written, proved)
	case b.grade == GradeProbing && !blocked:
		b.silent += passed
		switch {
		case !b.turned && b.silent >= int64(probeAfter):
			b.explicit, b.want, b.turned, b.silent = !b.explicit, true, true, 0
		case b.turned && b.silent >= b.patience():
			b.grade, b.explicit, b.asked = GradeWritten, false, now
		default:
			b.want = b.want || len(b.open) == 0
		}
	case b.grade == GradeWritten && !b.want && now-b.asked >= int64(probeAgain):
		b.explicit, b.want = !b.explicit, true
	}
}
