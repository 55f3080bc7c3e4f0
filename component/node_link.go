package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/internal/stream"
	wire "github.com/patchbay-im/patchbay/stanza"
)

var errLinkEnded = errors.New("the link has ended")

// link is one attached stream, from the node's side. With acknowledgements it outlives its connection.
type link struct {
	// set once
	limit   int           // bytes not acknowledged beyond which writers wait
	full    func() bool   // the inbox is: nobody reads acknowledgements
	writing chan struct{} // holds one value while somebody writes
	ready   chan struct{} // closed by restate: sessions are restated, others may write
	ended   chan struct{} // closed by end
	mute    chan struct{} // closed by the reader: the server has closed its stream, and answers nothing more
	wanted  chan struct{} // one value: a request has begun to wait for its answer
	work    chan struct{} // one value: carry may have something to write
	said    chan struct{} // closed by carry: the stream is ended from our side
	life    time.Duration // how long the server waits for a resumption

	// owned by restate, then run
	backlog  []kept // what the last link left, to be sent first
	suspects int    // how many at its head may have ended that link, with the part that is under way
	part     int    // how many of them are under way

	mu      sync.Mutex
	carrier *carrier          // guarded by mu; nil: dropped, and perhaps to be resumed
	changed chan struct{}     // guarded by mu; closed when carrier changes
	acks    *acks             // set once, what it points to is guarded by mu; nil: a plain link
	moved   chan struct{}     // guarded by mu; closed when acks has moved, or full
	last    []byte            // guarded by mu; the last bytes of the stream, once they are known
	loose   int               // guarded by mu; stanzas of the application since the last Flush, on a plain link
	asks    map[string]*asked // guarded by mu; nil once the link has ended
	reason  error             // guarded by mu; why it ended
}

// newLink makes the link of a stream that is open, and notes how it is to be resumed.
func (n *Node) newLink(o *opened) *link {
	l := &link{
		limit: n.cfg.Unacked, full: n.inbox.full, life: o.life,
		writing: make(chan struct{}, 1),
		ready:   make(chan struct{}),
		ended:   make(chan struct{}),
		mute:    make(chan struct{}),
		wanted:  make(chan struct{}, 1),
		work:    make(chan struct{}, 1),
		said:    make(chan struct{}),
		carrier: o.carrier,
		changed: make(chan struct{}),
		moved:   make(chan struct{}),
		asks:    make(map[string]*asked),
	}
	n.past = nil
	if o.acked {
		l.acks = &acks{}
		n.past = &past{link: l, addr: o.addr, id: o.id}
	}
	return l
}

// carrying gives the connection of now, nil if there is none, and what is closed when that changes.
func (l *link) carrying() (*carrier, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.carrier, l.changed
}

// write puts one whole stanza on the stream. On a plain link a write that ctx cuts in the middle of a stanza ends the
// link, one that ctx stops before its first byte does not. On one with acknowledgements the stanza is kept, and carry
// writes it.
func (l *link) write(ctx context.Context, raw []byte) error { return l.writeAfter(ctx, nil, raw) }

// writeAfter is write for what is decided when its turn has come: what first notes is in the order of the stream. first
// may be nil; if it gives an error nothing is written.
func (l *link) writeAfter(ctx context.Context, first func() error, raw []byte) error {
	if err := l.turn(ctx); err != nil {
		return err
	}
	defer func() { <-l.writing }()
	if first != nil {
		if err := first(); err != nil {
			return err
		}
	}
	if l.acks != nil {
		return l.keep(kept{raw: raw, at: time.Now()})
	}
	c, _ := l.carrying()
	var n int
	var err error
	interruptible(ctx, c.conn.SetWriteDeadline, func() { n, err = c.conn.Write(raw) })
	switch {
	case n == len(raw):
		return nil
	case n == 0 && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	c.breakOff()
	return fmt.Errorf("%w: %w", errLinkEnded, err)
}

// turn takes the turn to write, when there is room for what is written. Whoever has it gives it back.
func (l *link) turn(ctx context.Context) error {
	for {
		select {
		case l.writing <- struct{}{}:
		case <-l.ended:
			return l.why()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		l.mu.Lock()
		over, moved := l.last != nil || l.asks == nil, l.moved
		room := l.acks == nil || l.acks.bytes < l.limit
		if !room {
			l.acks.urge()
		}
		l.mu.Unlock()
		if !over && (room || l.full()) {
			return nil
		}
		signal(l.work)
		<-l.writing
		if over {
			moved = nil // it ends soon
		}
		select {
		case <-moved:
		case <-l.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// why gives errLinkEnded with the reason.
func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == nil {
		return errLinkEnded
	}
	return fmt.Errorf("%w: %w", errLinkEnded, l.reason)
}

// end marks the link as over: waiting requests and writers return. Called once, by the reader.
func (l *link) end(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.carrier != nil {
		l.carrier.conn.Close()
	}
	l.asks = nil
	l.reason = reason
	close(l.ended)
}

// leave writes the closing tag (RFC 6120 4.4) and lets the reader wait for the server's, both for closeWait at most.
func (l *link) leave() { l.finish([]byte(stream.CloseTag)) }

// blame ends the stream with an error (RFC 6120 4.9.1.1).
func (l *link) blame(condition string) {
	l.finish((&wire.StreamError{Condition: condition}).AppendTo(nil))
}

// finish writes the last bytes of the stream, unless somebody else has.
func (l *link) finish(last []byte) {
	l.mu.Lock()
	mine := l.last == nil
	if mine {
		l.last = last
	}
	c := l.carrier
	l.mu.Unlock()
	if c == nil {
		return // run gives it up
	}
	deadline := time.Now().Add(closeWait)
	c.conn.SetDeadline(deadline)
	late := time.NewTimer(closeWait)
	defer late.Stop()
	if l.acks != nil {
		signal(l.work)
		select {
		case <-l.said:
		case <-c.broken:
		case <-l.ended:
		case <-late.C:
			c.conn.Close()
		}
		return
	}
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
		c.conn.SetWriteDeadline(deadline) // the last writer may have taken it away
		if !mine {
			return
		}
		if _, err := c.conn.Write(last); err != nil {
			c.conn.Close()
		}
	case <-l.ended:
	case <-late.C:
		c.conn.Close()
	}
}

// read takes stanzas off a connection until it ends.
func (n *Node) read(l *link) error {
	c, _ := l.carrying()
	for {
		c.conn.grant()
		start, err := topElement(c.dec)
		if err != nil {
			return n.readEnd(l, err)
		}
		in := inbound{link: l, start: start}
		if in.rest, err = readElement(c.dec); err != nil {
			return n.readEnd(l, err)
		}
		if l.acks != nil && start.Name.Space == wire.NSSM {
			if err := l.acknowledge(start); err != nil {
				return n.readEnd(l, err)
			}
			continue
		}
		in.size = c.conn.limit - c.conn.left
		n.take(in)
	}
}

// readEnd answers the end of the stream: the server's closing tag with ours, what breaks the rules with a stream
// error, all else by dropping the connection: then the error is errCut.
func (n *Node) readEnd(l *link, err error) error {
	var syntax *xml.SyntaxError
	var told *wire.StreamError
	var wrong *countError
	switch {
	case err == io.EOF:
		n.serveRest(l)
		l.leave()
		return errors.New("the server closed the stream")
	case errors.As(err, &told):
		n.forget(told)
		return told
	case err == errCut:
		return err
	case errors.As(err, &wrong):
		l.finish(wrong.streamError().AppendTo(nil))
		n.past.id = ""
	case errors.Is(err, errTooLong):
		l.blame("policy-violation")
	case errors.Is(err, errText), errors.Is(err, errNoH):
		l.blame("bad-format")
	case errors.Is(err, errRestricted):
		l.blame("restricted-xml")
	case errors.As(err, &syntax):
		l.blame("not-well-formed")
	default:
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return err
}

// serveRest returns when all is handled, and answered, that came before the server closed its stream (RFC 6120 4.4), or after
// closeWait. Who waits for an answer of the server waits no longer: it may be a handler.
func (n *Node) serveRest(l *link) {
	close(l.mute)
	handled := make(chan struct{})
	n.inbox.push(inbound{call: func() { close(handled) }})
	c, _ := l.carrying()
	late := time.NewTimer(closeWait)
	defer late.Stop()
	select {
	case <-handled:
	case <-c.broken:
	case <-n.ctx.Done(): // Close has ended the stream
	case <-late.C:
	}
}
