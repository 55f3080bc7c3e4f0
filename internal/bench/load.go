package bench

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Link is one connection to a server under test, past its handshake.
type Link struct {
	Node  string // the domain of the node, "" if there is none
	Conn  net.Conn
	Rest  []byte // what arrived behind the handshake
	Other Other  // takes what is no frame
	Acks  *Acks  // nil: a plain link
}

// Load sends frames over links, and counts them where they arrive.
type Load struct {
	// set once
	Source  *Source
	Senders []*Link       // more than one: each batch goes over one of them by chance
	Window  int64         // frames under way at most
	Limit   time.Duration // of one Run
	Meter   *Meter

	// owned by the goroutine of Run
	rng  rand.PCG
	late askers

	wg    sync.WaitGroup
	links []net.Conn
}

// Take reads a link with a buffer of a size until the load is closed. buffer grows if a frame needs it.
func (l *Load) Take(link *Link, sink *Sink, buffer int) {
	l.links = append(l.links, link.Conn)
	sink.acks = link.Acks
	l.wg.Go(func() { // Close waits for it
		if err := read(link, max(buffer, 2*sink.form.size), sink.Take); err != nil {
			l.Meter.Fail(err)
		}
	})
}

// Skip reads a link and throws away what arrives, until the load is closed. It answers what the server asks, and gives the
// rest of what arrived to each, in parts that end with a tag. Over a modern link nothing else may come, for stanzas that are not looked at
// cannot be counted.
func (l *Load) Skip(link *Link, each func(b []byte)) {
	l.links = append(l.links, link.Conn)
	l.wg.Go(func() { // Close waits for it
		take := func(b []byte) (int, []byte, error) { return skip(b, link.Other, each) }
		if link.Acks != nil {
			take = link.Acks.answers
		}
		err := read(link, skipBuffer, take)
		if errors.Is(err, io.ErrShortBuffer) { // else the link has ended, as it may
			l.Meter.Fail(err)
		}
	})
}

// skipBuffer is more than a question of the server, or a tag, has.
const skipBuffer = 64 << 10

// asks begins each iq that the server asks a node itself.
var asks = []byte("<iq type='get' id='pb-")

// skip is the work of Skip: it finds the server's questions by how they begin, and reads nothing else.
func skip(b []byte, other Other, each func([]byte)) (n int, answer []byte, err error) {
	end := bytes.LastIndexByte(b, '>') + 1
	for n < end {
		at := asked(b[n:end])
		if at < 0 {
			each(b[n:end])
			return end, answer, nil
		}
		if at > 0 {
			each(b[n : n+at])
			n += at
		}
		used, more, err := other(b[n:])
		n, answer = n+used, append(answer, more...)
		if used == 0 || err != nil {
			return n, answer, err
		}
	}
	return n, answer, nil
}

// read gives what a link receives to take, and sends its answers. The end of our own link is no error.
func read(link *Link, buffer int, take func([]byte) (int, []byte, error)) error {
	buf := make([]byte, max(buffer, 2*len(link.Rest)))
	end := copy(buf, link.Rest)
	for {
		n, answer, err := take(buf[:end])
		if err != nil {
			return err
		}
		end = copy(buf, buf[n:end])
		if len(answer) > 0 {
			if _, err := link.Conn.Write(answer); err != nil {
				return err
			}
		}
		if end == len(buf) {
			return io.ErrShortBuffer
		}
		n, err = link.Conn.Read(buf[end:])
		end += n
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// asked finds the first question of the server in b, -1 if there is none. It looks for the letter that is rare in a load, for this
// runs on each byte that arrives.
func asked(b []byte) int {
	const letter = len("<i")
	for at := letter; at < len(b); at++ {
		next := bytes.IndexByte(b[at:], asks[letter])
		if next < 0 {
			return -1
		}
		if at += next; bytes.HasPrefix(b[at-letter:], asks) {
			return at - letter
		}
	}
	return -1
}

// Run sends count frames as fast as the window lets it, and returns when all that are due have arrived, with the
// time that took.
func (l *Load) Run(count int) (time.Duration, error) {
	began := time.Now()
	for made := 0; made < count; {
		n := min(l.Source.Batch(), count-made)
		if err := l.send(n); err != nil {
			return 0, err
		}
		made += n
		if due := l.Source.Due(); due-l.Meter.Got() > l.Window {
			// Half the window at a time: to be woken for each frame would cost more than to send it.
			if err := l.Meter.Wait(due-l.Window/2, l.Limit-time.Since(began)); err != nil {
				return 0, err
			}
		}
	}
	err := l.Meter.Wait(l.Source.Due(), l.Limit-time.Since(began))
	return time.Since(began), err
}

// send writes n frames over one of the links.
func (l *Load) send(n int) error {
	i := 0
	if len(l.Senders) > 1 {
		i = int(Range{N: len(l.Senders)}.pick(&l.rng))
	}
	to, frames := l.Senders[i], l.Source.Next(i, n)
	if to.Acks != nil {
		return l.late.send(to, frames, n)
	}
	_, err := to.Conn.Write(frames)
	return err
}

// Close closes all links and waits for their readers.
func (l *Load) Close() {
	for _, s := range l.Senders {
		_ = s.Conn.Close()
	}
	for _, c := range l.links {
		_ = c.Close()
	}
	l.wg.Wait()
}
