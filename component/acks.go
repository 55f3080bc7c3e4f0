package component

import (
	"fmt"
	"strconv"
	"time"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// Pace of acknowledgements. The server tells of itself what has come into its custody, so it is asked only behind much, or when it has
// told nothing for a while (docs/adr/0031).
const (
	askBytes    = 64 << 10               // an <r/> behind so many bytes of stanzas,
	askStanzas  = 128                    // or so many stanzas,
	askRides    = 200 * time.Millisecond // or so long after the first, or the last count, along with a stanza,
	askAfter    = 300 * time.Millisecond // or after so long by itself
	tellFirst   = 20 * time.Millisecond  // how long the answer to an <r/> waits for handlers that are at work
	tellStanzas = 64                     // if they were not done by then, an <a/> follows for each so many,
	tellAfter   = 50 * time.Millisecond  // or after so long
	writeBytes  = 64 << 10               // of one write
)

// acks counts the stanzas of a stream both ways and keeps those that the server has not acknowledged (XEP-0198). It
// outlives a connection. It has no lock, no clock and does no input or output: a link guards it and gives it the time.
//
//	sent      base < list <= sent      [0:written) of list is on the connection, the rest is to be written
//	received  done <= got              done: all up to it are handled; got - here: what the server repeats
//
// All numbers are counts modulo 2^32 (XEP-0198 section 4).
type acks struct {
	// what the node sends
	list    []kept    // oldest first
	base    uint32    // number of the stanza before the first of list
	acked   uint32    // the server's h
	written int       // how many of list are on this connection
	bytes   int       // of list
	behind  int       // stanzas on the connection behind the last <r/>
	weight  int       // bytes of them
	first   time.Time // when the first of them was written, or the server told of more
	urgent  bool      // an <r/> is wanted now

	// what the node gets
	got    uint32 // number of the last stanza taken
	here   uint32 // number of the last stanza on this connection
	open   int    // stanzas handed to the inbox whose handlers have not returned
	done   uint32
	told   uint32    // the h that was written last
	target uint32    // number of the last stanza before the last <r/>
	asked  bool      // an <r/> has no answer yet
	owing  bool      // the answer it got was less than target
	tellAt time.Time // when the next <a/> is due, if handlers take long
}

// kept is a stanza that was sent and is not acknowledged.
type kept struct {
	raw []byte
	at  time.Time // when it was sent first
}

// countError says that the server acknowledged more than it was sent, or less than before (XEP-0198 section 4).
type countError struct {
	h, sent, before uint32
}

// counted gives the error for an h that is not one of those from before to sent; nil: it is.
func (a *acks) counted(h uint32) error {
	if h-a.acked <= a.sent()-a.acked {
		return nil
	}
	return &countError{h: h, sent: a.sent(), before: a.acked}
}

// low reports whether it is less than before: modulo 2^32 it is what is nearer.
func (e *countError) low() bool { return e.before-e.h < e.h-e.sent }

// Error says by how much.
func (e *countError) Error() string {
	if e.low() {
		return fmt.Sprintf("the server has acknowledged %d stanzas, and %d before", e.h, e.before)
	}
	return fmt.Sprintf("the server has acknowledged %d stanzas of %d", e.h, e.sent)
}

// streamError gives what the server is told.
func (e *countError) streamError() *wire.StreamError {
	if e.low() {
		return &wire.StreamError{Condition: "undefined-condition", Text: "the h of an a is lower than one before; send the count of those handled since enabled (XEP-0198)"}
	}
	return &wire.StreamError{Condition: "undefined-condition", Text: "the h of an a is higher than the count of stanzas sent; send the count of those handled since enabled (XEP-0198)", App: fmt.Sprintf(
		"<handled-count-too-high xmlns='%s' h='%d' send-count='%d'/>", wire.NSSM, e.h, e.sent)}
}

// sent is the number of the last stanza.
func (a *acks) sent() uint32 { return a.base + uint32(len(a.list)) }

// add takes a stanza to be written.
func (a *acks) add(k kept) {
	a.list = append(a.list, k)
	a.bytes += len(k.raw)
}

// ack notes the server's h. What is acknowledged and not yet on this connection is written nevertheless: after a
// resumption the server counts it.
func (a *acks) ack(h uint32, now time.Time) error {
	if err := a.counted(h); err != nil {
		return err
	}
	if h != a.acked {
		a.first = now
	}
	a.acked = h
	a.trim()
	return nil
}

// trim forgets what is acknowledged and written.
func (a *acks) trim() {
	n := min(int(a.acked-a.base), a.written)
	a.drop(n)
	a.written -= n
	if a.written == 0 {
		a.quiet()
	}
}

// quiet notes that nothing on the connection waits for an <a/>.
func (a *acks) quiet() { a.behind, a.weight, a.first = 0, 0, time.Time{} }

// drop takes the n oldest stanzas out.
func (a *acks) drop(n int) {
	for i := range n {
		a.bytes -= len(a.list[i].raw)
		a.list[i] = kept{}
	}
	a.base += uint32(n)
	if n < len(a.list)-n {
		a.list = a.list[n:]
		return
	}
	rest := copy(a.list, a.list[n:]) // the room in front is used again
	clear(a.list[rest:])
	a.list = a.list[:rest]
}

// resume goes on with a new connection: the server has h, and was told said. The rest is to be written again.
func (a *acks) resume(h, said uint32) error {
	if err := a.counted(h); err != nil {
		return err
	}
	a.acked = h
	a.drop(int(h - a.base))
	a.written, a.urgent = 0, false
	a.quiet()
	a.here, a.told, a.asked, a.owing = said, said, false, false
	return nil
}

// rest gives what the server has not acknowledged, also by a last h if there is one, when the stream is over.
func (a *acks) rest(h uint32, known bool) []kept {
	if known && a.counted(h) == nil {
		a.acked = h
	}
	a.drop(int(a.acked - a.base))
	return a.list
}

// take counts a stanza from the server. Not fresh: it came on an earlier connection too, and is in the inbox or handled.
func (a *acks) take() (number uint32, fresh bool) {
	a.here++
	if int32(a.here-a.got) <= 0 {
		return a.here, false
	}
	a.got = a.here
	return a.got, true
}

// hand notes that the stanza taken last waits for its handler.
func (a *acks) hand() { a.open++ }

// settle notes that the stanza taken last needs no handler.
func (a *acks) settle() {
	if a.open == 0 {
		a.done = a.got
	}
}

// finish notes that the handler of a stanza has returned. Handlers run in order. What needed none and came behind it is
// counted with the next, or now if there is none.
func (a *acks) finish(number uint32) {
	a.open--
	a.done = number
	if a.open == 0 {
		a.done = a.got
	}
}

// handled is the node's h: never more than has come on this connection, although what the server repeats was handled.
func (a *acks) handled() uint32 {
	if int32(a.done-a.here) > 0 {
		return a.here
	}
	return a.done
}

// ask notes an <r/> of the server.
func (a *acks) ask(now time.Time) {
	a.target = a.here
	if !a.asked {
		a.asked, a.tellAt = true, now.Add(tellFirst)
	}
}

// reached reports whether all is handled that the last <r/> asked for.
func (a *acks) reached() bool { return int32(a.handled()-a.target) >= 0 }

// telling reports whether an <a/> is due.
func (a *acks) telling(now time.Time) bool {
	switch h := a.handled(); {
	case a.asked:
		return a.reached() || !now.Before(a.tellAt)
	case !a.owing || h == a.told:
		return false
	default:
		return a.reached() || h-a.told >= tellStanzas || !now.Before(a.tellAt)
	}
}

// urge has all that is to be written be asked about at once, and what was.
func (a *acks) urge() { a.urgent = a.urgent || a.behind > 0 || a.written < len(a.list) }

// asking reports whether an <r/> is due. ride: a stanza is written with it.
func (a *acks) asking(now time.Time, ride bool) bool {
	if a.urgent || a.behind >= askStanzas || a.weight >= askBytes {
		return true
	}
	wait := askAfter
	if ride {
		wait = askRides
	}
	return a.behind > 0 && !now.Before(a.first.Add(wait))
}

// batch appends what is to be written now, nothing if that is nothing.
func (a *acks) batch(dst []byte, now time.Time) []byte {
	if a.telling(now) {
		a.told = a.handled()
		a.asked, a.owing = false, !a.reached()
		a.tellAt = now.Add(tellAfter)
		dst = append(dst, "<a xmlns='"+wire.NSSM+"' h='"...)
		dst = append(strconv.AppendUint(dst, uint64(a.told), 10), "'/>"...)
	}
	from := a.written
	for len(dst) < writeBytes && a.written < len(a.list) {
		raw := a.list[a.written].raw
		dst = append(dst, raw...)
		a.written++
		if a.behind == 0 {
			a.first = now
		}
		a.behind++
		a.weight += len(raw)
		if a.behind >= askStanzas || a.weight >= askBytes {
			dst = a.appendAsk(dst)
		}
	}
	if a.asking(now, a.written > from) && (!a.urgent || a.written == len(a.list)) {
		dst = a.appendAsk(dst)
	}
	a.trim()
	return dst
}

func (a *acks) appendAsk(dst []byte) []byte {
	if a.written == len(a.list) {
		a.urgent = false
	}
	a.quiet()
	return append(dst, "<r xmlns='"+wire.NSSM+"'/>"...)
}

// next is when batch has something to write at the latest; zero: not before something happens.
func (a *acks) next() time.Time {
	var at time.Time
	if a.behind > 0 {
		at = a.first.Add(askAfter)
	}
	if tell := a.asked || a.owing && a.handled() != a.told; tell && (at.IsZero() || a.tellAt.Before(at)) {
		at = a.tellAt
	}
	return at
}
