package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
)

// farewell bounds the end of a stream: writing its last bytes, and waiting for the peer's. A peer that goes on
// sending is read for longer, but not for ever: the drain time if it was attached.
const farewell = 2 * time.Second

// link is one connection of a peer, from accept to close. Its goroutine is the reader.
type link struct {
	// set once
	s     *Server
	addr  netip.AddrPort
	since time.Time // accepted
	once  sync.Once

	// owned by the reader
	nc      net.Conn             // under conn
	hs      *component.Handshake // nil once it is attached
	entered bool                 // counted by the gate as unauthenticated

	// owned by the keeper
	ping pinger

	// changed by the reader only, which needs no lock to read; guarded by mu for others
	conn   *stream.Conn // a new one once the stream is secured (STARTTLS)
	plain  bool         // not over TLS
	tls    uint16       // the version of TLS; 0: none
	method string       // how the domain was proved (component.Handshake.Method); "" while it was not
	modern bool         // the stream is one
	failed bool         // a proof has failed, and was written down
	src    *routing.Source

	// guarded by mu
	mu      sync.Mutex
	asked   string              // the domain that the peer asked for, once it did
	why     *stanza.StreamError // set when the server ends the link
	closing bool                // the reader has ended: the connection is being closed as it should
	over    bool                // its end is written down
	hears   bool                // it reads what the peer has got, while the server stops
	deaf    bool                // the server has stopped, and nothing is heard any more
	grade   routing.Grade       // what was known of delivery when it ended; the node's next link begins anew
}

// serve runs one link.
func (s *Server) serve(nc net.Conn, overTLS bool) {
	l := &link{s: s, plain: !overTLS, addr: peerOf(nc), since: time.Now()}
	ctx, cancel := context.WithTimeout(s.ctx, s.Config().Timers.Handshake)
	defer cancel()
	l.entered = s.acceptor.Gate.Enter(ctx, l.addr.Addr())
	if !l.entered && !s.mayRefuse(overTLS) {
		l.turnAway()
		_ = nc.Close()
		return
	}
	nc = l.secure(ctx, nc)
	if nc == nil {
		l.leave()
		return
	}
	l.nc, l.conn = nc, stream.NewConn(nc)
	l.hs = component.NewHandshake(s.acceptor, l.initiator(overTLS), l.say)
	if !s.enter(l) {
		l.note(LinkEnded, EndStopped, "the server stopped", "")
		l.leave()
		_ = nc.Close()
		return
	}
	overflow := !l.entered
	err := l.run()
	l.end(err)
	s.leave(l)
	if overflow {
		s.refusing.Add(-1)
	}
}

// turnAway writes down that the gate did not let the connection in, and that it is closed without a word.
func (l *link) turnAway() {
	if l.s.ctx.Err() != nil {
		l.note(LinkEnded, EndStopped, "the server stopped", "")
		return
	}
	l.note(LinkRefused, errTooMany.Condition, errTooMany.Text, l.mend(errTooMany))
}

// maxRefusing bounds the streams over the gate's bounds that are told so at one time; more are closed without a word.
const maxRefusing = 100

// mayRefuse reports whether a stream that the gate did not let in may be told so. Over TLS that would cost the very
// handshake that the gate is to spare.
func (s *Server) mayRefuse(overTLS bool) bool {
	if overTLS {
		return false
	}
	if s.refusing.Add(1) > maxRefusing {
		s.refusing.Add(-1)
		return false
	}
	return true
}

func peerOf(nc net.Conn) netip.AddrPort {
	if ta, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		ap := ta.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// enter lists a link, unless the server is stopping.
func (s *Server) enter(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.links[l] = struct{}{}
	s.readers.Add(1)
	return true
}

func (s *Server) leave(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

// leave tells the gate that the link is no longer unauthenticated.
func (l *link) leave() {
	if l.entered {
		l.entered = false
		l.s.acceptor.Gate.Leave(l.addr.Addr())
	}
}

// ended tells Stop that nothing more can come from this link.
func (l *link) ended() { l.once.Do(l.s.readers.Done) }

// initiator is what the handshake needs to know of the peer.
func (l *link) initiator(overTLS bool) component.Initiator {
	trusted := l.s.Config().Listen.Plaintext(l.addr.Addr())
	from := component.Initiator{Addr: l.addr.Addr(), Trusted: trusted, Deny: l.denied(trusted, overTLS), Failed: l.refuseProof}
	if tc, ok := l.nc.(*tls.Conn); ok {
		cs := tc.ConnectionState()
		from.TLS, l.tls = &cs, cs.Version
	}
	from.StartTLS = !overTLS && l.s.keys.get() != nil
	return from
}

// run reads until the link ends. The time to authenticate is one, whether the stream is secured meanwhile or not.
func (l *link) run() error {
	if !l.entered {
		return errTooMany
	}
	until := time.Now().Add(l.s.Config().Timers.Handshake)
	_ = l.conn.SetReadDeadline(until)
	for {
		err := l.conn.Receive(l.s.Config().Limits.Stanza, l.feed)
		if !errors.Is(err, component.ErrStartTLS) {
			return err
		}
		if err := l.startTLS(until); err != nil {
			return err
		}
	}
}

// fed gives bytes to the router. The limit of the buffer follows the configuration, which the router does by itself.
func (l *link) fed(b []byte) (n int, err error) {
	l.conn.SetLimit(l.s.Config().Limits.Stanza)
	return l.src.Feed(b)
}

// feed takes bytes from the connection: the handshake first, then stanzas.
func (l *link) feed(b []byte) (n int, err error) {
	if l.src != nil {
		return l.fed(b)
	}
	if l.plain && l.hs.Domain() == "" && speaksTLS(b) {
		return 0, errTLSHere
	}
	n, done, err := l.hs.Feed(b)
	l.ask(l.hs.Domain())
	if err != nil || !done {
		return n, err
	}
	if err := l.attach(); err != nil {
		return n, err
	}
	if n == len(b) {
		return n, nil
	}
	m, err := l.feed(b[n:])
	return n + m, err
}

// ask publishes the domain that the peer asks for.
func (l *link) ask(domain string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = domain
}

// setSource publishes the source to the keeper.
func (l *link) setSource(src *routing.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.src = src
	if l.why != nil {
		src.Halt()
	}
}

// source is the link's source, for goroutines other than the reader.
func (l *link) source() *routing.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.src
}

// say writes to the peer before the link has a queue.
func (l *link) say(b []byte) error {
	_ = l.conn.SetWriteDeadline(time.Now().Add(l.s.Config().Timers.Handshake))
	_, err := l.conn.Write(b)
	_ = l.conn.SetWriteDeadline(time.Time{})
	return err
}

// stop makes the reader end the link for a reason of the server's.
func (l *link) stop(why *stanza.StreamError) {
	l.mu.Lock()
	if l.why == nil {
		l.why = why
	}
	if !l.closing {
		l.conn.Halt()
		if l.src != nil {
			l.src.Halt()
		}
	}
	l.mu.Unlock()
}

// stopping gives the reason of stop, if there was one.
func (l *link) stopping() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != nil {
		return l.why
	}
	return nil
}

// end closes the stream as RFC 6120 4.4 and 4.9.1.1 ask, whatever ended the reader.
func (l *link) end(err error) {
	l.mu.Lock()
	l.closing = true
	if l.src != nil {
		l.grade = l.src.Grade()
	}
	if l.why != nil && !errors.Is(err, errNotSecured) { // that is written down already, and nobody can be told
		err = l.why
	}
	l.mu.Unlock()
	_ = l.conn.SetReadDeadline(time.Time{}) // stop may have come while the reader ended by itself
	if l.src == nil {
		l.ended()
		l.refuse(err)
		return
	}
	var se *stanza.StreamError
	isError := errors.As(err, &se)
	if isError && se.Condition == "system-shutdown" { // of Stop: a drained server says it to strangers only
		l.ended()
		l.hear()
		<-l.s.closing // all queues are written, on disk, or answered
	}
	patience := farewell
	if isError && se.Condition == "conflict" {
		patience = 0 // it has just not answered a ping for a second
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(patience))
	if errors.Is(err, routing.ErrClosed) {
		l.src.Closed()
	}
	clean := l.src.Detach()
	l.ended()
	switch {
	case isError:
		mend := l.mend(se)
		l.note(LinkEnded, se.Condition, se.Text, mend)
		l.s.closed.told(se)
		log := l.src.Log.WithFields(logrus.Fields{"from": l.addr, "reason": se.Condition})
		if mend != "" {
			log = log.WithField("mend", mend)
		}
		log.Warn("link ended: " + se.Text)
		if !clean {
			_ = l.conn.Close() // a stanza was cut in the middle: nothing can follow it
			return
		}
		l.conn.Finish(se.AppendTo(nil), farewell, l.s.Config().Timers.Drain)
	case errors.Is(err, routing.ErrClosed) && clean:
		l.note(LinkEnded, EndClosed, "the peer closed its stream", "")
		l.src.Log.Info("node closed its stream")
		l.conn.Finish([]byte(stream.CloseTag), farewell, l.s.Config().Timers.Drain)
	default:
		l.note(LinkEnded, EndDropped, cause(err), "")
		l.src.Log.WithFields(logrus.Fields{"from": l.addr, "reason": cause(err)}).Warn("link dropped")
		_ = l.conn.Close()
	}
}

// hear reads what the peer says of what it has got, until the queues are closed. Stanzas are not accepted any more.
func (l *link) hear() {
	l.mu.Lock()
	if !l.deaf {
		l.hears = true
		l.conn.Resume()
	}
	l.mu.Unlock()
	_ = l.conn.Receive(l.s.Config().Limits.Stanza, l.src.Proofs) // how it ends is seen at the farewell
	l.mu.Lock()
	l.hears = false
	l.mu.Unlock()
}

// hush ends hear. A link that says farewell already waits for its peer's, undisturbed.
func (l *link) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
	if l.hears {
		l.conn.Halt()
	}
}

// cause words the end of a connection.
func cause(err error) string {
	if errors.Is(err, io.EOF) {
		return "the peer ended the connection without closing its stream"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
