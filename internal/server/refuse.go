package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/patchbay-im/patchbay/component"
	"github.com/patchbay-im/patchbay/internal/stream"
	"github.com/patchbay-im/patchbay/stanza"
)

// What a link is refused with, besides what package component says of its handshake.
var (
	errTooMany = &stanza.StreamError{Condition: "resource-constraint",
		Text: "too many streams from this address are not yet authenticated; try again later"}
	errPlaintext = &stanza.StreamError{Condition: "policy-violation",
		Text: "this address may attach over TLS only (listen.plaintext_from); use the TLS port (listen.component_tls)"}
	errPlainHere = &stanza.StreamError{Condition: "policy-violation",
		Text: "this port takes TLS only, and the stream came without; begin with TLS, or use the plain port (listen.component)"}
	errTLSHere = &stanza.StreamError{Condition: "not-well-formed",
		Text: "this port takes no TLS, and the peer began with it; connect without TLS, or use the TLS port (listen.component_tls)"}
	errNoEntry = &stanza.StreamError{Condition: "host-unknown",
		Text: "the domain may not attach here any more; ask who runs the router"}
	errConflict = &stanza.StreamError{Condition: "conflict",
		Text: "another link has this domain and is alive; end it first, or give this node a domain of its own"}
	errAllTaken = &stanza.StreamError{Condition: "conflict",
		Text: "as many links as may share this domain are alive (nodes[].instances); end one first, or allow more"}
	errNotKept = &stanza.StreamError{Condition: "internal-server-error",
		Text: "the router cannot write down that the node is attached; attach again later"}
)

// denied tells why a peer may not attach over this connection, nil if it may.
func (l *link) denied(trusted, overTLS bool) *stanza.StreamError {
	switch {
	case overTLS && l.plain:
		return errPlainHere
	case l.plain && !trusted:
		return errPlaintext
	}
	return nil
}

// recordTLS begins every TLS connection: a handshake record of version 3, and no XML.
const recordTLS = "\x16\x03"

// speaksTLS reports whether the first bytes of a connection begin a TLS handshake.
func speaksTLS(b []byte) bool {
	return len(b) >= len(recordTLS) && string(b[:len(recordTLS)]) == recordTLS
}

// secure does the TLS handshake, if it is due. A peer that opens its stream without one is heard out, so that it can be
// told. It gives nil when the connection is closed.
func (l *link) secure(ctx context.Context, nc net.Conn) net.Conn {
	tc, ok := nc.(*tls.Conn)
	if !ok {
		return nc
	}
	err := tc.HandshakeContext(ctx)
	if err == nil {
		return nc
	}
	var bad tls.RecordHeaderError
	if raw, ok := tc.NetConn().(*opening); ok && errors.As(err, &bad) && bad.Conn != nil && bad.RecordHeader[0] == '<' {
		l.plain = true
		return &rewound{raw.TCPConn, bad.RecordHeader[:]}
	}
	l.failTLS(tc, err)
	_ = nc.Close()
	return nil
}

// openings takes connections for TLS of which no more is read at first than the header of a record: package tls gives
// that back when it is none, but not what it has read behind it.
type openings struct{ net.Listener }

// Accept takes the next connection.
func (o openings) Accept() (net.Conn, error) {
	nc, err := o.Listener.Accept()
	if tc, ok := nc.(*net.TCPConn); ok {
		return &opening{tc, len(tls.RecordHeaderError{}.RecordHeader)}, err
	}
	return nc, err
}

// opening is a connection to be secured.
type opening struct {
	*net.TCPConn
	few int // bytes that may still be read at first; owned by the reader
}

// Read reads few bytes at first.
func (o *opening) Read(b []byte) (int, error) {
	if o.few == 0 {
		return o.TCPConn.Read(b)
	}
	n, err := o.TCPConn.Read(b[:min(len(b), o.few)])
	o.few -= n
	return n, err
}

// rewound is a connection whose first bytes have been read, and are read again.
type rewound struct {
	*net.TCPConn
	head []byte // owned by the reader
}

// Read gives the first bytes first.
func (r *rewound) Read(b []byte) (int, error) {
	if len(r.head) == 0 {
		return r.TCPConn.Read(b)
	}
	n := copy(b, r.head)
	r.head = r.head[n:]
	return n, nil
}

// remoteAlert is how package net marks an error that the peer has told: an alert of TLS.
const remoteAlert = "remote error"

// gone reports whether the peer ended the connection.
func gone(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// errNotSecured ends a link whose TLS handshake has failed behind <proceed/>: that is written down, and nobody can be told.
var errNotSecured = errors.New("the stream was not secured")

// startTLS secures the connection behind <proceed/> (RFC 6120 5.4.3). What comes now is the peer's ClientHello, or not TLS.
func (l *link) startTLS(until time.Time) error {
	ctx, cancel := context.WithDeadline(l.s.ctx, until)
	defer cancel()
	tc := tls.Server(l.nc, l.s.secured)
	if err := tc.HandshakeContext(ctx); err != nil {
		l.failTLS(tc, err)
		return errNotSecured
	}
	cs := tc.ConnectionState()
	conn := stream.NewConn(tc)
	_ = conn.SetReadDeadline(until)
	l.mu.Lock()
	l.nc, l.conn, l.plain, l.tls = tc, conn, false, cs.Version
	if l.why != nil {
		conn.Halt() // stop has halted the one before
	}
	l.mu.Unlock()
	l.hs.Secured(cs)
	return nil
}

// refuseProof writes a failed proof of a modern stream down, and lets who fails too often wait for its answer. The stream
// goes on.
func (l *link) refuseProof(f *component.Failure) {
	l.mu.Lock()
	l.failed = true
	l.mu.Unlock()
	e := l.ending(LinkRefused, f.Condition, f.Text, l.mendProof(f))
	l.s.closed.add(e)
	l.s.refusals.tell(e)
	l.waitPenalty()
}

// waitPenalty lets a peer wait that has failed too often.
func (l *link) waitPenalty() {
	if wait := l.hs.Penalty(); wait > 0 {
		select {
		case <-time.After(wait):
		case <-l.s.ctx.Done():
		}
	}
}

// refuse ends a stream that was never attached.
func (l *link) refuse(err error) {
	var se *stanza.StreamError
	switch {
	case errors.As(err, &se):
	case errors.Is(err, errNotSecured):
		l.leave()
		_ = l.conn.Close()
		return
	case errors.Is(err, component.ErrLeft):
		l.quit(EndClosed, err.Error())
		l.leave()
		l.conn.Finish([]byte(stream.CloseTag), farewell/4, farewell)
		return
	case isTimeout(err):
		se = &stanza.StreamError{Condition: "connection-timeout",
			Text: "no complete handshake came within " + l.s.Config().Timers.Handshake.String() + "; send header and handshake at once (XEP-0114)"}
	default:
		l.quit(EndDropped, cause(err))
		l.leave()
		_ = l.conn.Close() // the peer left: nobody to tell
		return
	}
	l.note(LinkRefused, se.Condition, se.Text, l.mend(se))
	l.s.closed.told(se)
	l.waitPenalty()
	l.leave() // only now: one that waits for its penalty is still unauthenticated
	l.conn.Finish(l.hs.Refuse(se), farewell/4, farewell)
}

// quit notes that the peer left before it was attached. Why one did whose proof had failed is written down already.
func (l *link) quit(reason, text string) {
	l.mu.Lock()
	failed := l.failed
	l.over = l.over || failed
	l.mu.Unlock()
	if failed {
		l.s.closed.refused.Add(1)
		return
	}
	l.note(LinkEnded, reason, text, "")
}

// failTLS writes down why the TLS handshake failed. Nobody can be told.
func (l *link) failTLS(tc *tls.Conn, err error) {
	var bad tls.RecordHeaderError
	var op *net.OpError
	heard := tc.ConnectionState().Version != 0 // the peer has said which TLS it speaks
	text := "the TLS handshake failed: " + strings.TrimPrefix(err.Error(), "tls: ")
	switch {
	case l.s.ctx.Err() != nil:
		l.note(LinkEnded, EndStopped, "the server stopped", "")
		return
	case !heard && gone(err):
		l.note(LinkEnded, EndDropped, cause(io.EOF), "")
		return
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		text = "no TLS handshake came within " + l.s.Config().Timers.Handshake.String()
	case errors.As(err, &bad) && l.hs != nil:
		text = "something without TLS came behind <proceed/>; the next thing has to be the ClientHello (RFC 6120 5.4.3.1)"
	case errors.As(err, &bad):
		text = "this port takes TLS only, and what came was not TLS"
	case gone(err):
		text = "the peer ended the connection in the middle of the TLS handshake"
	case errors.As(err, &op) && op.Op == remoteAlert:
		text = "the peer ended the TLS handshake: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	}
	l.note(LinkRefused, EndTLS, text, l.mendTLS(err))
}
