package server_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// What can come from the server.
const (
	isHeader  = "a stream header"
	isElement = "an element"
	isClose   = "the closing tag"
	isEnd     = "the end of TCP"
	isReset   = "a reset"
	isBroken  = "broken XML"
)

// item is one thing that the server sent.
type item struct {
	what string
	el   *element // isHeader, isElement
	raw  string   // isElement: its bytes
	err  error
}

func (it item) String() string {
	switch {
	case it.what == isElement && len(it.raw) > 1000:
		return it.raw[:1000] + "..."
	case it.what == isElement:
		return it.raw
	case it.err != nil:
		return it.what + ": " + it.err.Error()
	}
	return it.what
}

// actor is one raw peer of the server: a TCP connection and what was read from it.
type actor struct {
	name string
	st   *stage

	// owned by the scene
	conn    net.Conn
	mouth   *mouth    // of conn
	items   chan item // from the reader
	backlog []item    // taken from items, and not yet expected
	id      string    // of its stream
	domain  string    // that its stream has asked for
	awaits  string    // the id of the ping whose answer it waits for
	open    bool      // authenticated, and not known to have ended
	deaf    bool      // it does not read
	sent    time.Time

	reading sync.Mutex  // held while the actor does not read
	curious atomic.Bool // it is shown the router's question of what it can do
	mute    atomic.Bool // it does not answer pings of the router by itself
	pings   pings
}

// actor gives the actor of a name, new if the scene has not named it before.
func (st *stage) actor(name string) *actor {
	a := st.actors[name]
	if a == nil {
		a = &actor{name: name, st: st, pings: pings{answered: map[string]bool{}, news: make(chan struct{}, 1)}}
		st.actors[name] = a
		st.names = append(st.names, name)
	}
	return a
}

// connect makes a new connection, over TLS or not, from a loopback address.
func (a *actor) connect(overTLS bool, from string) {
	a.leave()
	addr := a.st.running().ComponentAddr()
	if overTLS {
		addr = a.st.server.ComponentTLSAddr()
	}
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil {
		breakf("%s connects: %v", a.name, err)
	}
	if overTLS {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // self-signed
	}
	a.conn, a.items, a.backlog, a.open, a.id = conn, make(chan item, 1<<14), nil, false, ""
	a.mouth = newMouth(conn)
	go a.read(conn, a.items, a.mouth)
	go a.mouth.answer() // ends with read
}

// leave ends the connection, if there is one.
func (a *actor) leave() {
	if a.deaf {
		a.listen(true)
	}
	if a.conn != nil {
		_ = a.conn.Close()
	}
	a.open = false
}

// reset ends the connection with RST.
func (a *actor) reset() {
	if tc, ok := a.conn.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
	a.leave()
}

// listen makes the actor read again, or stop reading: the kernel still takes some megabytes for it.
func (a *actor) listen(on bool) {
	if on == !a.deaf {
		return
	}
	if a.deaf = !on; on {
		a.reading.Unlock()
	} else {
		a.reading.Lock()
	}
}

// hearing is the reader's end of the connection: what it has read is kept until its element is whole.
type hearing struct {
	a    *actor
	conn net.Conn
	buf  bytes.Buffer
	off  int64 // of the first byte of buf
}

func (h *hearing) Read(b []byte) (int, error) {
	h.a.reading.Lock()
	//lint:ignore SA2001 it waits only until the actor may read
	h.a.reading.Unlock()
	n, err := h.conn.Read(b)
	h.buf.Write(b[:n])
	return n, err
}

// taken gives the bytes up to an offset of the stream, and forgets them.
func (h *hearing) taken(to int64) string {
	raw := string(h.buf.Next(int(to - h.off)))
	h.off = to
	return raw
}

// read hears the server out. Its goroutine ends with the connection.
func (a *actor) read(conn net.Conn, items chan<- item, m *mouth) {
	defer close(items)
	defer close(m.wake)
	h := &hearing{a: a, conn: conn}
	d := xml.NewDecoder(h)
	for {
		tok, err := d.Token()
		switch tok := tok.(type) {
		case xml.StartElement:
			it := item{what: isHeader}
			if tok.Name.Local == "stream" && tok.Name.Space == nsStream {
				it.el, err = begin(tok)
			} else {
				it.what = isElement
				it.el, err = readElement(d, tok)
			}
			it.raw = h.taken(d.InputOffset())
			if err == nil && a.shows(m, it) {
				items <- it
			}
		case xml.EndElement:
			items <- item{what: isClose}
		}
		if err != nil {
			items <- ending(err, len(bytes.TrimSpace(h.buf.Bytes())) > 0)
			return
		}
	}
}

// ending tells how a connection ended.
func ending(err error, torn bool) item {
	var syntax *xml.SyntaxError
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return item{what: isReset, err: err}
	case errors.Is(err, io.EOF), errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF"):
		return item{what: isEnd}
	}
	return item{what: isBroken, err: fmt.Errorf("%w (in the middle of an element: %t)", err, torn)}
}

// next gives the next thing that the server sent.
func (a *actor) next() item {
	if len(a.backlog) > 0 {
		it := a.backlog[0]
		a.backlog = a.backlog[1:]
		return it
	}
	return a.receive()
}

func (a *actor) receive() item {
	if a.items == nil {
		breakf("%s has not connected", a.name)
	}
	select {
	case it, ok := <-a.items:
		if !ok {
			return item{what: isEnd}
		}
		if strings.Contains(it.raw, "play-secret") {
			breakf("%s was shown a secret: %v", a.name, it)
		}
		if it.isFence() && it.el.attr("id") != a.awaits {
			return a.receive() // it was sent again after a drop
		}
		return it
	case <-time.After(patience):
		breakf("%s received nothing within %v", a.name, patience)
	}
	return item{}
}

// write sends bytes. What the server makes of them is for the scene to say, also when it has closed.
func (a *actor) write(b []byte, chunk int) {
	if a.conn == nil {
		breakf("%s has not connected", a.name)
	}
	a.sent = time.Now()
	a.mouth.say(b, chunk)
}

// header is what an actor opens its stream with.
func header(domain string) string {
	return "<stream:stream xmlns='" + nsComponent + "' xmlns:stream='" + nsStream + "' to='" + domain + "'>"
}

// digest is the content of the handshake, XEP-0114 3.
func digest(id, secret string) string {
	sum := sha1.Sum([]byte(id + secret))
	return hex.EncodeToString(sum[:])
}

// attach opens a stream and authenticates.
func (a *actor) attach(domain, secret string) {
	if a.conn == nil || a.open || a.id != "" {
		a.connect(false, "")
	}
	a.write([]byte(header(domain)), 0)
	a.takeHeader(a.next())
	a.write([]byte("<handshake>"+digest(a.id, secret)+"</handshake>"), 0)
	it := a.next()
	if it.what != isElement || it.el.name.Local != "handshake" {
		breakf("%s opens %s: received %v", a.name, domain, it)
	}
	a.open = true
}

// takeHeader notes the id of the stream.
func (a *actor) takeHeader(it item) {
	if it.what != isHeader {
		breakf("%s received %v instead of a stream header", a.name, it)
	}
	a.id, a.domain = it.el.attr("id"), it.el.attr("from")
}

// fence waits until the server has done with all that the actor sent; what comes meanwhile is kept.
func (a *actor) fence() {
	if !a.open || a.deaf {
		return
	}
	a.st.fences++
	id := fmt.Sprintf("fence-%d", a.st.fences)
	a.awaits = id
	a.write([]byte("<iq type='get' id='"+id+"' to='"+hub+"'><ping xmlns='urn:xmpp:ping'/></iq>"), 0)
	for {
		it := a.receive()
		if it.isFence() {
			return
		}
		a.backlog = append(a.backlog, it)
		if it.what != isElement {
			a.open = false
			return
		}
	}
}

// isFence tells the answer to a ping of fence.
func (it item) isFence() bool {
	return it.what == isElement && it.el.name.Local == "iq" && strings.HasPrefix(it.el.attr("id"), "fence-")
}

// expectNothing holds that all that was received was expected.
func (a *actor) expectNothing() {
	if a.deaf {
		return
	}
	if len(a.backlog) > 0 {
		breakf("%s has received %v, which the scene does not say", a.name, a.backlog[0])
	}
}
