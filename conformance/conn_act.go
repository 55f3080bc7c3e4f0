package conformance

import (
	"net"
	"time"
)

// send writes a text, in pieces if the step wants that, with rest between them. Replies to pings do not come between.
func (c *conn) send(text string, s *step, rest func(time.Duration)) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.flushReplies()
	c.log(c.actor, Sent, []byte(text))
	c.sent.add(text)
	if s.split > 0 && s.split < len(text) {
		c.write([]byte(text[:s.split]))
		rest(s.apart)
		text = text[s.split:]
	}
	size := s.pieces
	if size <= 0 {
		size = len(text)
	}
	for len(text) > 0 {
		n := min(size, len(text))
		c.write([]byte(text[:n]))
		text = text[n:]
		if len(text) > 0 {
			rest(s.apart)
		}
	}
	c.flushReplies()
}

// say writes a text whole.
func (c *conn) say(text string) { c.send(text, &step{}, func(time.Duration) {}) }

// hold has nothing read any more; what is on its way fills the buffers of the system, which are made small.
func (c *conn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		return
	}
	c.held = make(chan struct{})
	if t, ok := c.raw.(*net.TCPConn); ok {
		if err := t.SetReadBuffer(4096); err != nil {
			c.log(c.actor, Noted, []byte("buffer not made small: "+short(err)))
		}
	}
}

// goOn has it read again.
func (c *conn) goOn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil {
		close(c.held)
		c.held = nil
	}
}

// close ends the stream.
func (c *conn) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.say(streamEnd)
}

// drop ends the connection at once; reset has the peer told so by a reset.
func (c *conn) drop(reset bool) {
	if t, ok := c.raw.(*net.TCPConn); ok && reset {
		if err := t.SetLinger(0); err != nil {
			c.log(c.actor, Noted, []byte("no reset: "+short(err)))
		}
	}
	c.log(c.actor, Noted, []byte(map[bool]string{true: "reset", false: "dropped"}[reset]))
	c.sever()
}

// sever closes the connection, whatever waits for it. It may be called from any goroutine, and again.
func (c *conn) sever() {
	c.mu.Lock()
	c.closed, c.broken = true, true
	c.mu.Unlock()
	_ = c.raw.Close() // it may have been closed before
	c.goOn()
}

// part ends what is left of the connection: the stream in order, if the peer plays along.
func (c *conn) part() {
	c.mu.Lock()
	closed, held := c.closed, c.held != nil
	c.mu.Unlock()
	select {
	case <-c.over:
		closed = true
	default:
	}
	if !closed && !held {
		c.close()
	}
	c.goOn()
	select {
	case <-c.over:
	case <-time.After(partingWait + min(time.Second, 3*c.trip)):
	}
	c.release()
	c.sever()
	select {
	case c.upgrade <- nil: // a reader that waited for TLS
	default:
	}
	<-c.over
	<-c.quiet
}

// alive reports whether the stream of an attached component goes on.
func (c *conn) alive() bool {
	select {
	case <-c.over:
		return false
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attached && !c.closed && !c.mute && c.held == nil
}
