package component

import (
	"encoding/xml"
	"strconv"
	"time"
)

// idleBuffer is the largest buffer that a link keeps while it has nothing to write, in bytes.
const idleBuffer = 16 << 10

// keep takes a stanza for carry to write. It is written on as many connections as it takes.
func (l *link) keep(k kept) error {
	l.mu.Lock()
	over := l.asks == nil || l.last != nil
	if !over {
		l.acks.add(k)
	}
	l.mu.Unlock()
	if over {
		return errLinkEnded
	}
	signal(l.work)
	return nil
}

// acknowledge takes an <a/> or an <r/> of the server.
func (l *link) acknowledge(start xml.StartElement) error {
	switch start.Name.Local {
	case "r":
		l.mu.Lock()
		l.acks.ask(time.Now())
		l.mu.Unlock()
		signal(l.work)
	case "a":
		h, err := strconv.ParseUint(attr(start, "h"), 10, 32)
		if err != nil {
			return errNoH
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		defer l.move()
		return l.acks.ack(uint32(h), time.Now())
	}
	return nil
}

// move tells those who wait for acknowledgements. Under the lock.
func (l *link) move() {
	close(l.moved)
	l.moved = make(chan struct{})
}

// poke has those look again who wait for room.
func (l *link) poke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.move()
}

// count counts a stanza from the server. Not fresh: it is here already.
func (l *link) count() (number uint32, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.acks == nil {
		return 0, true
	}
	return l.acks.take()
}

// sort notes of the stanza counted last whether a handler is to be called for it.
func (l *link) sort(handler bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.acks == nil:
	case handler:
		l.acks.hand()
	default:
		l.acks.settle()
	}
}

// handledOne notes that the handler of a stanza has returned.
func (l *link) handledOne(number uint32) {
	if l.acks == nil {
		return
	}
	l.mu.Lock()
	l.acks.finish(number)
	tell := l.acks.asked || l.acks.owing
	l.mu.Unlock()
	if tell {
		signal(l.work)
	}
}

// handled is the h for the server.
func (l *link) handled() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks.handled()
}

// demand has carry ask for an acknowledgement.
func (l *link) demand() {
	l.mu.Lock()
	l.acks.urgent = true
	l.mu.Unlock()
	signal(l.work)
}

// carry writes what a link with acknowledgements has to say, on each of its connections, and nobody else does. It ends
// with the link, or when it has written the end of the stream.
func (l *link) carry() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var buf []byte
	for {
		c, changed := l.carrying()
		var due <-chan time.Time
		if c != nil {
			var next time.Time
			if buf, next = l.pump(c, buf); !next.IsZero() {
				timer.Reset(time.Until(next))
				due = timer.C
			}
		}
		if cap(buf) > idleBuffer {
			buf = nil
		}
		select {
		case <-l.said:
			return
		default:
		}
		select {
		case <-l.work:
		case <-due:
		case <-changed:
		case <-l.ended:
			return
		}
	}
}

// pump writes until nothing is left that is due, and tells when something will be; zero: when something has happened.
func (l *link) pump(c *carrier, buf []byte) ([]byte, time.Time) {
	for {
		l.mu.Lock()
		if l.carrier != c {
			l.mu.Unlock()
			return buf, time.Time{}
		}
		before := l.acks.bytes
		buf = l.acks.batch(buf[:0], time.Now())
		if l.acks.bytes < before {
			l.move()
		}
		next, last := l.acks.next(), l.last
		l.mu.Unlock()
		if len(buf) == 0 && last == nil {
			return buf, next
		}
		ending := len(buf) == 0
		if ending {
			buf = append(buf, last...)
		}
		if _, err := c.conn.Write(buf); err != nil {
			c.breakOff()
			return buf, time.Time{}
		}
		if ending {
			close(l.said)
			return buf, time.Time{}
		}
	}
}

// drop notes that the connection has ended, and keeps the stream.
func (l *link) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.carrier.conn.Close()
	l.carrier = nil
	close(l.changed)
	l.changed = make(chan struct{})
}

// adopt goes on with another connection, on which the server has resumed the stream.
func (l *link) adopt(o *opened) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.acks.resume(o.handled, o.said); err != nil {
		return err
	}
	l.carrier = o.carrier
	if l.last != nil {
		o.carrier.conn.SetDeadline(time.Now().Add(closeWait))
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.move()
	return nil
}
