package component

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
	"mellium.im/xmpp/stream"
)

const (
	silentPing = 60 * time.Second // a link that gave nothing for so long is asked for a sign of life
	silentDead = 90 * time.Second // and is given up after so long
)

var errLinkEnded = errors.New("the link has ended")

// link is one attached stream, from the node's side.
type link struct {
	// set once
	conn    *linkConn
	session *xmpp.Session
	writing chan struct{} // holds one value while somebody writes
	ready   chan struct{} // closed by restate: sessions are restated, others may write
	ended   chan struct{} // closed by end
	wanted  chan struct{} // one value: a request has begun to wait for its answer
	broken  chan struct{} // closed when a write has failed
	once    sync.Once     // of closing broken

	mu     sync.Mutex
	asks   map[string]*asked // guarded by mu; nil once the link has ended
	reason error             // guarded by mu; why it ended
}

func newLink(c *linkConn, s *xmpp.Session) *link {
	return &link{
		conn: c, session: s,
		writing: make(chan struct{}, 1),
		ready:   make(chan struct{}),
		ended:   make(chan struct{}),
		wanted:  make(chan struct{}, 1),
		broken:  make(chan struct{}),
		asks:    make(map[string]*asked),
	}
}

// write puts one whole stanza on the stream. Session.Send is not used: it starts a goroutine per stanza, and an
// encoding that fails inside it leaves half a stanza on the stream. A write that ctx cuts in the middle of a stanza
// ends the link, one that ctx stops before its first byte does not.
func (l *link) write(ctx context.Context, raw []byte) error { return l.writeAfter(ctx, nil, raw) }

// writeAfter is write for what is decided when its turn has come: what first notes is in the order of the stream. first
// may be nil; if it gives an error nothing is written.
func (l *link) writeAfter(ctx context.Context, first func() error, raw []byte) error {
	select {
	case l.writing <- struct{}{}:
	case <-l.ended:
		return l.why()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.writing }()
	if l.session.State()&xmpp.OutputStreamClosed != 0 {
		return errLinkEnded
	}
	if first != nil {
		if err := first(); err != nil {
			return err
		}
	}
	var n int
	var err error
	interruptible(ctx, l.conn.SetWriteDeadline, func() { n, err = l.conn.Write(raw) })
	switch {
	case n == len(raw):
		return nil
	case n == 0 && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	l.conn.Close() // the reader sees it and ends the link
	l.once.Do(func() { close(l.broken) })
	return fmt.Errorf("%w: %w", errLinkEnded, err)
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
	l.conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asks = nil
	l.reason = reason
	close(l.ended)
}

// leave writes the closing tag (RFC 6120 4.4) and lets the reader wait for the server's, both for closeWait at most.
func (l *link) leave() {
	deadline := time.Now().Add(closeWait)
	l.conn.SetDeadline(deadline)
	select {
	case l.writing <- struct{}{}:
		defer func() { <-l.writing }()
		l.conn.SetWriteDeadline(deadline) // the last writer may have taken it away
		if err := l.session.Close(); err != nil {
			l.conn.Close()
		}
	case <-l.ended:
	case <-time.After(time.Until(deadline)):
		l.conn.Close()
	}
}

// blame ends the stream with an error (RFC 6120 4.9.1.1).
func (l *link) blame(e stream.Error) {
	l.conn.SetDeadline(time.Now().Add(closeWait))
	var buf bytes.Buffer
	enc := xml.NewEncoder(&buf)
	if _, err := e.WriteXML(enc); err == nil && enc.Flush() == nil {
		l.write(context.Background(), buf.Bytes())
	}
	l.leave()
}

// read takes stanzas off the link until it ends; io.EOF is the server's closing tag.
func (n *Node) read(l *link) error {
	r := l.session.TokenReader()
	defer r.Close()
	for {
		l.conn.grant()
		tok, err := r.Token()
		if err != nil {
			return n.readEnd(l, err)
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue // white space between stanzas (RFC 6120 4.6.1)
		}
		in := inbound{link: l, start: start.Copy()}
		if in.rest, err = readElement(r); err != nil {
			return n.readEnd(l, err)
		}
		in.size = l.conn.limit - l.conn.left
		n.take(in)
	}
}

// readEnd answers the end of the stream: the server's closing tag with ours, what breaks the rules with a stream
// error, all else by dropping the link.
func (n *Node) readEnd(l *link, err error) error {
	var syntax *xml.SyntaxError
	switch {
	case err == io.EOF:
		l.leave()
		return errors.New("the server closed the stream")
	case errors.Is(err, errTooLong):
		l.blame(stream.PolicyViolation)
	case errors.As(err, &syntax) && syntax.Msg == "unexpected EOF":
		return errors.New("the connection ended without the end of the stream")
	case errors.As(err, &syntax):
		l.blame(stream.NotWellFormed)
	}
	return streamError(err)
}

// readElement gives the tokens after a start tag up to and with the end tag that matches it.
func readElement(r xml.TokenReader) ([]xml.Token, error) {
	var list []xml.Token
	for depth := 1; depth > 0; {
		tok, err := r.Token()
		if err != nil {
			return nil, err
		}
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
		list = append(list, xml.CopyToken(tok))
	}
	return list, nil
}

// watch gives up a link on which nothing arrives although a sign of life was asked for: a ping to the node itself,
// which every XEP-0114 server sends back. While the inbox is full nobody reads, so the clock stands still.
func (n *Node) watch(l *link) {
	tick := time.NewTicker(silentPing / 4)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for asked := false; ; {
		select {
		case <-l.ended:
			return
		case <-tick.C:
		}
		quiet := l.conn.silence()
		switch {
		case n.inbox.full() || quiet < silentPing:
			asked = false
		case quiet >= silentDead && asked:
			n.cfg.Log.WithField("reason", "silent").Warn("give up a link that gives no sign of life")
			l.conn.Close()
			return
		case !asked:
			asked = true
			n.pingSelf(ctx, l)
		}
	}
}

// pingSelf sends a ping to the node's own domain. The write must not hold watch up: a peer that does not read would.
func (n *Node) pingSelf(ctx context.Context, l *link) {
	ctx, cancel := context.WithTimeout(ctx, silentPing/4)
	defer cancel()
	iq := stanza.IQ{Type: stanza.GetIQ, To: n.domain, From: n.domain, ID: NewID()}
	raw, err := encodeStanza(iq.Wrap(empty(nsPing, "ping")), "", n.cfg.MaxStanza)
	if err == nil {
		err = l.write(ctx, raw)
	}
	if err != nil {
		n.cfg.Log.WithField("reason", err).Debug("ask for a sign of life")
	}
}

// asked is a request that waits for its answer.
type asked struct {
	id      string
	to      string        // only the entity that was asked may answer (CVE-2024-46957)
	apply   func(reply)   // run by the reader, so in stream order, also if nobody waits any more; may be nil
	done    chan reply    // holds one
	refused chan struct{} // closed when the answer cannot be read
	left    bool          // guarded by link.mu; nobody waits any more
}

type reply struct {
	payload []xml.Token   // inside of the iq
	err     *stanza.Error // the answer was an error
}

type request struct {
	iq      stanza.IQ
	payload xml.TokenReader
	first   func() error // see writeAfter; may be nil
	apply   func(reply)  // see asked; may be nil
}

// ask writes a request on a link and waits for the answer.
func (n *Node) ask(ctx context.Context, l *link, req request) (reply, error) {
	a, err := n.begin(ctx, l, req)
	if err != nil {
		return reply{}, err
	}
	return a.wait(ctx, l)
}

// begin writes a request on a link. Unless there is an error, wait has to be called.
func (n *Node) begin(ctx context.Context, l *link, req request) (*asked, error) {
	req.iq.ID = NewID()
	if req.iq.From.Equal(jid.JID{}) {
		req.iq.From = n.domain
	}
	raw, err := encodeStanza(req.iq.Wrap(req.payload), "", n.cfg.MaxStanza)
	if err != nil {
		return nil, err
	}
	a := &asked{id: req.iq.ID, to: req.iq.To.String(), apply: req.apply, done: make(chan reply, 1), refused: make(chan struct{})}
	if !l.expect(a) {
		return nil, l.why()
	}
	if err := l.writeAfter(ctx, req.first, raw); err != nil {
		l.forget(a)
		return nil, err
	}
	return a, nil
}

// wait gives the answer to a request.
func (a *asked) wait(ctx context.Context, l *link) (reply, error) {
	defer l.abandon(a)
	select {
	case rep := <-a.done:
		return rep, nil
	case <-a.refused:
		return reply{}, ErrBehind
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	case <-l.ended:
	}
	select {
	case rep := <-a.done: // it came just before the end
		return rep, nil
	default:
		return reply{}, l.why()
	}
}

func (l *link) expect(a *asked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asks == nil {
		return false
	}
	l.asks[a.id] = a
	signal(l.wanted)
	return true
}

// asking reports whether a request waits for its answer.
func (l *link) asking() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asks {
		if !a.left {
			return true
		}
	}
	return false
}

// refuse ends the requests that wait.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asks {
		if !a.left {
			l.desert(a)
			close(a.refused)
		}
	}
}

// abandon notes that nobody waits for an answer any more.
func (l *link) abandon(a *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desert(a)
}

// desert is abandon under the lock. What is to be noted of the answer is noted when it comes.
func (l *link) desert(a *asked) {
	a.left = true
	if a.apply == nil {
		delete(l.asks, a.id)
	}
}

func (l *link) forget(a *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asks, a.id)
}

// answer hands an iq result or error to the request it answers, if there is one.
func (l *link) answer(in inbound) bool {
	id, from := attr(in.start, "id"), attr(in.start, "from")
	l.mu.Lock()
	a := l.asks[id]
	if a != nil && (from == a.to || from == "") {
		delete(l.asks, id)
	} else {
		a = nil
	}
	l.mu.Unlock()
	if a == nil {
		return false
	}
	rep := reply{payload: in.rest[:len(in.rest)-1]}
	if attr(in.start, "type") == string(stanza.ErrorIQ) {
		cause, err := stanza.UnmarshalError(&tokens{list: rep.payload})
		if err != nil {
			cause = stanza.Error{Type: stanza.Cancel, Condition: stanza.UndefinedCondition}
		}
		rep.err = &cause
	}
	if a.apply != nil {
		a.apply(rep)
	}
	a.done <- rep
	return true
}
