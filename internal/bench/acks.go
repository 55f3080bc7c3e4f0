package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// The pace at which a node asks how many of its stanzas are in custody: that of the SDK.
const (
	askStanzas = 128
	askBytes   = 64 << 10
	askAfter   = 50 * time.Millisecond // after the first stanza that no question follows
)

const (
	askAcks  = "<r xmlns='" + stanza.NSSM + "'/>"
	tellAcks = "<a xmlns='" + stanza.NSSM + "' h='%d'/>"
)

// Acks counts the stanzas of a modern link both ways (XEP-0198). It answers each question of the server at once, and asks at the
// pace of the SDK.
type Acks struct {
	// set once
	id  string // under which the link may be resumed
	key *scram // of its node

	// owned by who reads the link
	handled uint32 // stanzas that came

	// owned by who sends over it
	behind int       // stanzas behind the last question
	weight int       // bytes of them
	first  time.Time // when the first of them was sent
	buf    []byte

	sent atomic.Uint32 // stanzas
	told atomic.Uint32 // of them in the server's custody, as it said last
}

// errAcks ends a load whose server counts what it cannot have got.
var errAcks = errors.New("read acknowledgement: it is of more stanzas than were sent")

// answer is the Other of a modern link.
func (a *Acks) answer(b []byte) (n int, answer []byte, err error) {
	end := bytes.IndexByte(b, '>') + 1
	switch {
	case end == 0:
		return 0, nil, nil
	case bytes.HasPrefix(b, []byte("<r ")):
		return end, fmt.Appendf(nil, tellAcks, a.handled), nil
	case bytes.HasPrefix(b, []byte("<a ")):
		return end, nil, a.take(attribute(b[:end], "h"))
	}
	n, answer, err = answerPing(b)
	if n > 0 && err == nil {
		a.handled++
		a.sent.Add(1) // the answer
	}
	return n, answer, err
}

// take notes the server's count.
func (a *Acks) take(text string) error {
	h, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return fmt.Errorf("read acknowledgement: %w", err)
	}
	sent, told := a.sent.Load(), a.told.Load()
	if uint32(h)-told > sent-told {
		return fmt.Errorf("%w: %d of %d, and %d before", errAcks, h, sent, told)
	}
	a.told.Store(uint32(h))
	return nil
}

// answers is answer for all that came over a link that gets nothing else.
func (a *Acks) answers(b []byte) (n int, answer []byte, err error) {
	for n < len(b) {
		used, more, err := a.answer(b[n:])
		n, answer = n+used, append(answer, more...)
		if used == 0 || err != nil {
			return n, answer, err
		}
	}
	return n, answer, nil
}

// says counts stanzas that are about to be sent. Plain links do not count.
func (a *Acks) says(n int) {
	if a != nil {
		a.sent.Add(uint32(n))
	}
}

// gets counts a stanza that came.
func (a *Acks) gets() {
	if a != nil {
		a.handled++
	}
}

// ask gives n frames of one size with the questions that belong between them, good until the next call.
func (a *Acks) ask(frames []byte, n int, now time.Time) []byte {
	size := len(frames) / n
	a.says(n)
	a.buf = a.buf[:0]
	for len(frames) > 0 {
		if a.behind == 0 {
			a.first = now
		}
		k := max(1, min(len(frames)/size, askStanzas-a.behind, (askBytes-a.weight)/size))
		a.buf, frames = append(a.buf, frames[:k*size]...), frames[k*size:]
		if a.behind, a.weight = a.behind+k, a.weight+k*size; a.behind >= askStanzas || a.weight+size > askBytes {
			a.buf = append(a.buf, askAcks...)
			a.behind, a.weight = 0, 0
		}
	}
	return a.buf
}

// askers are the links of a load that have sent without asking, the first of them first. They are owned by the goroutine that sends, so
// there is no timer for each: who is late asks before the next frame of any.
type askers []asker

type asker struct {
	link  *Link
	since time.Time
}

// send writes n frames over a modern link, after the questions that are due on all.
func (s *askers) send(link *Link, frames []byte, n int) error {
	now, a := time.Now(), link.Acks
	k := 0
	for ; k < len(*s) && now.Sub((*s)[k].since) >= askAfter; k++ {
		late := (*s)[k].link
		if late.Acks.behind == 0 || late.Acks.first != (*s)[k].since {
			continue // it has asked behind many
		}
		late.Acks.behind, late.Acks.weight = 0, 0
		if _, err := io.WriteString(late.Conn, askAcks); err != nil {
			return err
		}
	}
	*s = (*s)[:copy(*s, (*s)[k:])]
	_, err := link.Conn.Write(a.ask(frames, n, now))
	if a.behind > 0 && a.first == now {
		*s = append(*s, asker{link, now})
	}
	return err
}
