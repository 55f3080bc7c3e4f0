package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// The pace at which a node asks how many of its stanzas are in custody: that of the SDK.
const (
	askStanzas = 128
	askBytes   = 64 << 10
	askRides   = 200 * time.Millisecond // after the first stanza that no question follows, or the last count, along with a stanza
	askAfter   = 300 * time.Millisecond // and by itself
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
	listed bool      // among the askers
	buf    []byte

	sent atomic.Uint32 // stanzas
	told atomic.Uint32 // of them in the server's custody, as it said last
	news atomic.Int64  // when it said more than before, UnixNano
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
	if uint32(h) != told {
		a.news.Store(time.Now().UnixNano())
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

// since is when the time began after which to ask about what is behind the last question, zero if all is told.
func (a *Acks) since() time.Time {
	if a.sent.Load() == a.told.Load() {
		a.quiet()
	}
	if news := time.Unix(0, a.news.Load()); a.behind > 0 && news.After(a.first) {
		return news
	}
	return a.first
}

// quiet notes that nothing is to be asked about.
func (a *Acks) quiet() { a.behind, a.weight, a.first = 0, 0, time.Time{} }

// ask gives n frames of one size with the questions that belong between them, good until the next call.
func (a *Acks) ask(frames []byte, n int, now time.Time) []byte {
	size, since := len(frames)/n, a.since()
	a.says(n)
	a.buf = a.buf[:0]
	for len(frames) > 0 {
		if a.behind == 0 {
			a.first, since = now, now
		}
		k := max(1, min(len(frames)/size, askStanzas-a.behind, (askBytes-a.weight)/size))
		a.buf, frames = append(a.buf, frames[:k*size]...), frames[k*size:]
		if a.behind, a.weight = a.behind+k, a.weight+k*size; a.behind >= askStanzas || a.weight+size > askBytes {
			a.buf = append(a.buf, askAcks...)
			a.quiet()
		}
	}
	if a.behind > 0 && now.Sub(since) >= askRides {
		a.buf = append(a.buf, askAcks...)
		a.quiet()
	}
	return a.buf
}

// askers are the links of a load that have sent without asking, the first that may have to ask first. They are owned by the goroutine that
// sends, so there is no timer for each: who is late asks before the next frame of any.
type askers []asker

type asker struct {
	link  *Link
	since time.Time
}

// send writes n frames over a modern link, after the questions that are due on all.
func (s *askers) send(link *Link, frames []byte, n int) error {
	now, a := time.Now(), link.Acks
	if err := s.late(now); err != nil {
		return err
	}
	_, err := link.Conn.Write(a.ask(frames, n, now))
	s.add(link)
	return err
}

// late asks on all links on which it is time.
func (s *askers) late(now time.Time) error {
	for len(*s) > 0 && now.Sub((*s)[0].since) >= askAfter {
		link := (*s)[0].link
		*s = (*s)[:copy(*s, (*s)[1:])]
		a := link.Acks
		a.listed = false
		if since := a.since(); a.behind == 0 || now.Sub(since) < askAfter {
			s.add(link)
			continue
		}
		a.quiet()
		if _, err := io.WriteString(link.Conn, askAcks); err != nil {
			return err
		}
	}
	return nil
}

// add puts a link into its place, if it is to ask and has none.
func (s *askers) add(link *Link) {
	since := link.Acks.since()
	if link.Acks.listed || link.Acks.behind == 0 {
		return
	}
	link.Acks.listed = true
	at, _ := slices.BinarySearchFunc(*s, since, func(e asker, t time.Time) int { return e.since.Compare(t) })
	*s = slices.Insert(*s, at, asker{link, since})
}
