package conformance_test

import (
	"bytes"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchbay-im/patchbay/conformance"
	"github.com/patchbay-im/patchbay/conformance/wire"
)

// small is a component server (XEP-0114) that exists to be judged: with no wrong it is right, and each wrong breaks one rule.
// It reads with conformance/wire, writes bytes, and knows nothing of patchbay.
//
//	link.read ──► link.take ──► header, handshake ──► small.attach
//	                        └─► small.route ──► link.say of another, or of its own ──► link.write
type small struct {
	// set once
	domain   string
	nodes    map[string]string     // the secret of each component
	wrong    *wrong                // what it becomes
	now      atomic.Pointer[wrong] // what it is
	listener net.Listener
	over     sync.WaitGroup // of all links and the accepter

	// guarded by mu
	mu    sync.Mutex
	every map[*link]bool   // connections that are open
	links map[string]*link // who is attached, by domain
	asked map[ask]*wire.Element
}

// What a small server takes of one peer, and how long.
const (
	mostBytes   = 64 << 10
	mostDepth   = 64
	mostAttrs   = 64
	mostWaiting = 8 << 20 // bytes for a peer that does not read
	proofWait   = 5 * time.Second
	partWait    = 300 * time.Millisecond
	answerWait  = 60 * time.Second
	liveWait    = 400 * time.Millisecond
)

// startSmall starts one on loopback. It ends with stop.
func startSmall(nodes []conformance.NodeName, w *wrong) (*small, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &small{domain: "probe.test", nodes: map[string]string{}, wrong: w, listener: listener,
		every: map[*link]bool{}, links: map[string]*link{}, asked: map[ask]*wire.Element{}}
	for _, n := range nodes {
		s.nodes[n.Domain] = n.Secret
	}
	s.now.Store(&wrong{})
	s.over.Go(s.accept)
	return s, nil
}

// accept takes connections. The suite attaches each component once before the first case, and gives up if it cannot: so long
// the server is right.
func (s *small) accept() {
	for came := 1; ; came++ {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if came > len(s.nodes) {
			s.now.Store(s.wrong)
		}
		l := &link{s: s, conn: conn, wake: make(chan struct{}, 1), done: make(chan struct{}), live: make(chan struct{}, 1)}
		s.mu.Lock()
		s.every[l] = true
		s.mu.Unlock()
		s.over.Go(l.read)
		s.over.Go(l.write)
	}
}

func (s *small) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	for l := range s.every {
		_ = l.conn.Close()
	}
	s.mu.Unlock()
	s.over.Wait()
}

// link is one connection.
type link struct {
	s    *small
	conn net.Conn
	wake chan struct{} // one value: there is something to write
	done chan struct{} // closed when the reader has ended
	live chan struct{} // one value: it has answered a ping

	// owned by read
	reader *wire.Reader
	headed bool   // our header was sent
	name   string // the component that the peer wants to be
	id     string // of the stream
	lang   string // xml:lang of the peer's header

	// guarded by mu
	mu      sync.Mutex
	proved  bool
	pending []byte
	last    bool   // what is pending ends the stream
	count   int    // for a wrong that counts
	stash   string // for a wrong that holds something back
}

// read takes what arrives, until the connection ends.
func (l *link) read() {
	defer l.part()
	l.reader = wire.NewReader(l.s.now.Load().limits().bytes)
	buf := make([]byte, 16<<10)
	l.until(proofWait)
	for {
		n, err := l.conn.Read(buf)
		if n > 0 && !l.ended() {
			l.take(l.s.now.Load().arrives(bytes.Clone(buf[:n])))
		}
		var late net.Error
		if errors.As(err, &late) && late.Timeout() && !l.ended() {
			l.refuse(tooSlow)
			continue
		}
		if err != nil {
			return
		}
	}
}

// until has a read end after a time, or never again.
func (l *link) until(wait time.Duration) {
	at := time.Time{}
	if wait > 0 {
		at = time.Now().Add(wait)
	}
	_ = l.conn.SetReadDeadline(at)
}

// part is the end of a link: what was asked of it is answered, and who comes now is a new one.
func (l *link) part() {
	l.s.detach(l)
	l.mu.Lock()
	l.last = true
	l.mu.Unlock()
	close(l.done)
	l.stir()
}

// write writes what is pending, in order, and ends the connection behind the last.
func (l *link) write() {
	for range l.wake {
		l.mu.Lock()
		b, last := l.pending, l.last
		l.pending = nil
		l.mu.Unlock()
		if last {
			_ = l.conn.SetWriteDeadline(time.Now().Add(partWait))
		}
		if len(b) > 0 {
			_, _ = l.conn.Write(b)
		}
		if last {
			break
		}
	}
	if l.s.now.Load().stays {
		l.wait(20 * time.Second)
	} else if tcp, ok := l.conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // closing before all was read would reset the connection, and what was written might be lost
	}
	l.wait(partWait)
	_ = l.conn.Close()
	<-l.done
	l.s.mu.Lock()
	delete(l.s.every, l)
	l.s.mu.Unlock()
}

// wait lets the peer end the connection first.
func (l *link) wait(most time.Duration) {
	select {
	case <-l.done:
	case <-time.After(most):
	}
}

// stir has the writer look.
func (l *link) stir() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// put queues what is to be written. It reports false when the peer does not take it.
func (l *link) put(k kind, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.s.now.Load().leaves(l, k, text)
	if l.last || len(l.pending)+len(out) > mostWaiting {
		return false
	}
	l.pending = append(l.pending, out...)
	l.last = k == ofEnd
	return true
}

// say is put, written at once.
func (l *link) say(k kind, text string) bool {
	took := l.put(k, text)
	l.stir()
	return took
}

func (l *link) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// end ends the stream (RFC 6120 4.4).
func (l *link) end() { l.say(ofEnd, "</stream:stream>") }

// refuse ends the stream for a reason (RFC 6120 4.9). It reports true where the wrong does not mind.
func (l *link) refuse(why reason) bool {
	w := l.s.now.Load()
	condition, minds := w.condition(why)
	if !minds {
		return true
	}
	if condition == "" { // it is not told
		return false
	}
	l.s.detach(l)
	if !l.headed && !w.bareErrors {
		l.head(l.s.domain)
	}
	l.say(ofError, "<stream:error><"+condition+" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
	l.end()
	return false
}

// take reads bytes of the stream.
func (l *link) take(b []byte) {
	l.reader.Feed(b)
	if !l.headed && !l.declared() {
		return
	}
	for !l.ended() {
		ev, err := l.reader.Next()
		if errors.Is(err, wire.ErrMore) {
			l.begun()
			return
		}
		if err != nil {
			l.refuse(breach(err))
			return
		}
		l.event(ev)
	}
}

func (l *link) event(ev wire.Event) {
	switch ev.Kind {
	case wire.Header:
		l.open(ev.Element)
	case wire.Text:
		if strings.Trim(string(ev.Raw), " \t\r\n") != "" {
			l.refuse(strayText)
		} else {
			l.refuse(whitespace)
		}
	case wire.End:
		l.s.detach(l)
		if !l.s.now.Load().noFarewell {
			l.end()
		}
	case wire.Whole:
		if deep, _ := outline(ev.Element.Raw); deep > l.s.now.Load().limits().depth {
			l.refuse(tooDeep)
		} else if attrs(ev.Element) <= l.s.now.Load().limits().attrs || l.refuse(tooManyAttrs) {
			l.element(ev.Element)
		}
	}
}

// begun looks at an element that is not whole yet: a header within the stream never will be.
func (l *link) begun() {
	if !l.headed {
		return
	}
	deep, first := outline(l.reader.Buffered())
	switch {
	case first == "stream:stream":
		l.refuse(secondHeader)
	case deep > l.s.now.Load().limits().depth:
		l.refuse(tooDeep)
	}
}
