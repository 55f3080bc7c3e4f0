package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

const (
	mostElement = 64 << 20        // bytes of one element that a judged peer may send
	mostReplies = 1 << 20         // bytes of what is answered without a word and not written yet; a peer that asks more gets no answer
	writeWait   = 5 * time.Second // for the peer to take a part of what is sent
	writeSize   = 64 << 10        // bytes of such a part
	partingWait = 500 * time.Millisecond
)

// conn is one connection of an actor.
type conn struct {
	// set once
	actor string
	node  NodeName               // whom the stream is for
	serve bool                   // the actor is the server
	own   func(from string) bool // an address of a component of the run
	log   func(actor string, kind RecordKind, b []byte)
	inbox *inbox
	raw   net.Conn      // below TLS
	over  chan struct{} // closed when the reader has ended
	asked chan struct{} // holds one when there are replies to write; closed by the reader
	quiet chan struct{} // closed when no reply is written any more

	// owned by the player
	trip    time.Duration // what connecting took
	release func() bool   // takes back what bind has said

	// owned by the reader
	reader *wire.Reader
	counts bool // the stream is managed (XEP-0198)
	count  int  // stanzas since then

	// guarded by mu
	mu       sync.Mutex
	net      net.Conn
	id       string        // of the stream
	mute     bool          // pings and the end of the stream are not answered
	held     chan struct{} // not nil while nothing is to be read; closed to go on
	upgrade  chan net.Conn // the reader waits here for TLS
	closed   bool          // </stream:stream> was sent, or the connection was given up
	broken   bool          // a write did not go through: what would come behind it would be out of place
	proceeds bool          // the peer has said <proceed/>, and nothing else by then
	replies  []byte        // what is answered without a word and not written yet
	attached bool          // of the server: the handshake was right
	attends  bool          // what the judged component says by itself is for the play

	// guarded by wmu: what is written
	wmu  sync.Mutex
	sent outline // of what was written, to see where a stanza may begin
}

// start makes a conn of a connection, and begins to read. What is read ends with the connection: see part.
func (r *runner) start(ctx context.Context, actor string, nc net.Conn) *conn {
	node, _ := r.target.node(actor)
	c := &conn{actor: actor, node: node, serve: actor == "s", own: r.target.own, log: r.log, inbox: newInbox(), over: make(chan struct{}),
		reader: wire.NewReader(mostElement), net: nc, raw: nc, upgrade: make(chan net.Conn, 1), asked: make(chan struct{}, 1), quiet: make(chan struct{})}
	if c.serve {
		c.id = token() + token()
	}
	c.bind(ctx)
	go c.read()
	go c.answering()
	return c
}

// bind has the connection cut when a context ends, which ends all that waits for it: with the time of the case, or with the run.
func (c *conn) bind(ctx context.Context) { c.release = context.AfterFunc(ctx, c.sever) }

// read puts into the inbox what comes, until the connection ends.
func (c *conn) read() {
	defer close(c.over)
	defer close(c.asked)
	buf := make([]byte, 64<<10)
	sound := true
	for {
		nc := c.gate()
		n, err := nc.Read(buf)
		if n > 0 {
			c.log(c.actor, Received, buf[:n])
		}
		if n > 0 && sound {
			c.reader.Feed(buf[:n])
			sound = c.events()
		}
		if err != nil {
			c.log(c.actor, Noted, []byte("connection ended: "+short(err)))
			c.inbox.put(item{over: true, err: err, at: time.Now()})
			return
		}
	}
}

// gate waits as long as the actor holds, and gives the connection.
func (c *conn) gate() net.Conn {
	for {
		c.mu.Lock()
		held, nc := c.held, c.net
		c.mu.Unlock()
		if held == nil {
			return nc
		}
		<-held
	}
}

// events takes all that has been read whole. It reports false when what came is not XML.
func (c *conn) events() bool {
	for {
		ev, err := c.reader.Next()
		if errors.Is(err, wire.ErrMore) {
			return true
		}
		if err != nil {
			c.inbox.put(item{err: err, at: time.Now()})
			return false
		}
		if !c.event(ev) {
			return false
		}
	}
}

// event takes one.
func (c *conn) event(ev wire.Event) bool {
	switch {
	case ev.Kind == wire.Text && strings.Trim(ev.Text, " \t\r\n") == "":
		return true
	case ev.Kind == wire.Header && !c.serve:
		id, _ := ev.Element.Attr("id")
		c.mu.Lock()
		c.id = id
		c.mu.Unlock()
	case ev.Kind == wire.Whole && c.acknowledged(ev.Element.Name):
		return true
	case ev.Kind == wire.Whole && (c.answered(ev.Element) || c.serve && c.unasked(ev.Element)):
		return true
	case ev.Kind == wire.End:
		c.answerEnd()
	}
	if !c.inbox.put(item{ev: ev, at: time.Now()}) {
		c.inbox.put(item{err: errInboxFull, at: time.Now()})
		c.sever()
		return false
	}
	if ev.Kind == wire.Whole {
		return c.restarts(ev.Element.Name)
	}
	return true
}

// acknowledged counts stanzas once the stream is managed, and answers the server's <r/> (XEP-0198 4) unless the actor is mute: then it is
// for the play.
func (c *conn) acknowledged(name wire.Name) bool {
	switch {
	case name == wire.Name{Space: nsSM, Local: "enabled"}:
		c.counts = true
	case c.counts && name.Space == nsComponent:
		c.count++
	case c.counts && name == wire.Name{Space: nsSM, Local: "r"}:
		c.mu.Lock()
		mute := c.mute
		c.mu.Unlock()
		if !mute {
			c.reply("<a xmlns='" + nsSM + "' h='" + strconv.Itoa(c.count) + "'/>")
		}
		return !mute
	}
	return false
}

// restarts begins a new stream where the one so far has ended (RFC 6120 4.3.3): behind SASL, and behind TLS, which the
// actor makes.
func (c *conn) restarts(name wire.Name) bool {
	switch name {
	case wire.Name{Space: nsSASL, Local: "success"}:
		rest := c.reader.Buffered()
		c.reader = wire.NewReader(mostElement)
		c.reader.Feed(rest)
	case wire.Name{Space: nsTLS, Local: "proceed"}:
		c.mu.Lock()
		c.proceeds = len(c.reader.Buffered()) == 0
		c.mu.Unlock()
		if nc := <-c.upgrade; nc == nil {
			return false
		}
		c.reader = wire.NewReader(mostElement)
	}
	return true
}

// secure makes TLS of the connection, once the peer has said proceed. Bytes that came behind <proceed/> in the clear are no part of
// TLS (RFC 6120 5.3.3), and whoever takes them for one can be told what the peer never said.
func (c *conn) secure(ctx context.Context) error {
	c.mu.Lock()
	nc, proceeds := c.net, c.proceeds
	c.proceeds = false
	c.mu.Unlock()
	if !proceeds {
		return errors.New("the server has not said proceed, or has said more behind it")
	}
	if err := nc.SetDeadline(time.Now().Add(writeWait)); err != nil {
		c.upgrade <- nil
		return err
	}
	t := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // the certificate is not what is judged
	if err := t.HandshakeContext(ctx); err != nil {
		c.upgrade <- nil
		return err
	}
	c.log(c.actor, Noted, []byte("TLS: "+tls.VersionName(t.ConnectionState().Version)))
	c.mu.Lock()
	c.net = t
	c.mu.Unlock()
	err := t.SetDeadline(time.Time{})
	c.upgrade <- t
	return err
}

// answered answers what the server itself asks of every component, unless the actor is mute: pings, and what it is (XEP-0030 3.1).
// What another component of the run asks is for the play.
func (c *conn) answered(e *wire.Element) bool {
	kind, _ := e.Attr("type")
	from, _ := e.Attr("from")
	id, _ := e.Attr("id")
	if c.serve || e.Name.Local != "iq" || !isContent(e.Name.Space) || kind != "get" || id == "" || from == "" || c.own(from) {
		return false // what is no whole request is for the play to see
	}
	payload := ""
	switch {
	case e.Child(nsPing, "ping") != nil:
	case e.Child(nsDisco, "query") != nil:
		payload = "<query xmlns='" + nsDisco + "'><identity category='component' type='generic'/><feature var='" + nsDisco + "'/><feature var='" + nsPing + "'/></query>"
	default:
		return false
	}
	c.mu.Lock()
	mute := c.mute
	c.mu.Unlock()
	if !mute {
		c.answer(e, payload)
	}
	return true
}

// answer answers a request with a result.
func (c *conn) answer(e *wire.Element, payload string) {
	id, _ := e.Attr("id")
	from, _ := e.Attr("from")
	to, _ := e.Attr("to")
	c.reply("<iq type='result' id='" + escapeAttr(id) + "' from='" + escapeAttr(to) + "' to='" + escapeAttr(from) + "'>" + payload + "</iq>")
}
