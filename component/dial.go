package component

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/sirupsen/logrus"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// NSAccept is the content namespace of a node's stream (XEP-0114 section 3): what mux.New wants as stanza namespace.
const NSAccept = wire.NSComponent

// Defaults of Config and Backoff.
const (
	DefaultMaxStanza = 256 << 10              // bytes, the server's own default
	DefaultUnacked   = 4 << 20                // bytes
	DefaultMinWait   = 250 * time.Millisecond // before the first new attempt
	DefaultMaxWait   = 30 * time.Second
)

const (
	attemptTimeout = 10 * time.Second // one address: connect, TLS, handshake
	steadyAfter    = 30 * time.Second // a link that lived so long starts the back-off anew
)

// Config says where and as whom a node attaches, and what it does with what it gets. Addrs, Domain and Secret are
// needed, the rest has defaults.
type Config struct {
	Addrs  []string    // host:port of servers of one cluster, tried in turn
	Domain string      // the node's own domain, e.g. node1.im.example
	Secret string      // shared with the server; may be empty if TLS has a client certificate, which then says who the node is
	TLS    *tls.Config // nil: no TLS. An empty ServerName is taken from the address
	// StartTLS has TLS begin by STARTTLS, on the listener that takes connections without TLS too. Nothing but the opening
	// of STARTTLS is sent before; a server that does not offer it is not attached to.
	StartTLS bool

	// Plain asks for XEP-0114 and nothing else. Without it a node asks for a stream with SASL and acknowledgements
	// (XEP-0198), and takes XEP-0114 from a server that does not know of them.
	Plain bool

	// Unacked bounds, in bytes, what was sent and is not acknowledged by the server: it is kept in memory, and Send waits
	// when it is more. 0: DefaultUnacked. Of no effect on a link by XEP-0114, which has no acknowledgements.
	Unacked int

	Users []string // user domains of the node: each is restated after a reconnect, also when nobody is left

	// Handler gets every stanza that is not an answer to a request of this node, in stream order, one at a time.
	// Use Messages, or a mux made by mux.New(component.NSAccept, ...). It may call every method of Node, and what
	// it writes to its encoder is sent. Pings are answered before it is asked, disco#info and other iqs where it
	// writes no answer. Nil: messages and presence are read and forgotten.
	Handler xmpp.Handler

	// The callbacks run between two stanzas, on the goroutine of Handler, in stream order. The first of all calls is
	// OnAttach: a handler can use the Node that it was given, which Dial may not have returned yet. A connection that is
	// cut and whose stream is resumed on another one (XEP-0198) is not told: nothing was lost, watches go on, and requests
	// get their answers. OnDetach comes when the server has the stream no more, or cannot be reached for so long.
	OnAttach   func(*Node)                  // attached and, after a reconnect, all sessions restated; watches follow
	OnDetach   func(error)                  // the link ended; the node attaches again by itself
	OnReplaced func(j jid.JID, by string)   // another node (its domain) took the session of j; by is empty if an operator ended it
	OnRefused  func(j jid.JID, cause error) // a session held until now, or the watch of a bare JID, was refused when restated
	OnSession  func(Located)                // of a watched user, see Watch

	// OnDrain is told that an operator drains the node, or its server, and that this is over: on a new stream that is so
	// unless the server says otherwise. A node that is drained keeps its sessions and takes no new ones. So that the drain can end,
	// withdraw the sessions, and send their users to another node. It runs on a goroutine of its own, one call at a time,
	// and may take its time; Done waits for it.
	OnDrain func(on bool)

	// Multicast says that the node takes one copy of a message to many for all its users (XEP-0033): it is addressed to
	// the node, and Message.Recipients are those users. Without it each of them gets a copy of its own.
	Multicast bool

	Log       *logrus.Entry // nil: silent
	Backoff   Backoff       // pace of reconnects
	MaxStanza int           // bytes of one stanza sent; twice that is taken. 0: DefaultMaxStanza

	// DialContext opens the transport; nil: net.Dialer. For proxies and tests.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Backoff paces reconnects: the k-th wait is drawn evenly from the upper half of min(Min*2^k, Max), so that a
// thousand nodes that lost one server do not come back in one instant.
type Backoff struct {
	Min, Max time.Duration // 0: DefaultMinWait, DefaultMaxWait
}

// Wait gives the pause before attempt k, counted from 0; draw gives a number in [0, 1).
func (b Backoff) Wait(k int, draw func() float64) time.Duration {
	lo, hi := b.Min, b.Max
	if lo <= 0 {
		lo = DefaultMinWait
	}
	if hi <= 0 {
		hi = DefaultMaxWait
	}
	d := lo
	for ; k > 0 && d < hi; k-- {
		d *= 2
	}
	d = min(d, hi)
	return d/2 + time.Duration(draw()*float64(d-d/2))
}

// ErrClosed is what every method of a closed Node returns.
var ErrClosed = errors.New("use a closed node")

// Validate reports the first fault of the configuration.
func (c *Config) Validate() error {
	switch {
	case len(c.Addrs) == 0:
		return errors.New("dial: no address given")
	case c.Secret == "" && (c.Plain || !hasCertificate(c.TLS)):
		return errors.New("dial: no secret given")
	case c.StartTLS && (c.TLS == nil || c.Plain):
		return errors.New("dial: StartTLS needs TLS, and is not a part of XEP-0114 (Plain)")
	case c.MaxStanza < 0 || c.Unacked < 0:
		return errors.New("dial: MaxStanza or Unacked is negative")
	}
	for _, a := range c.Addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("dial: address %q: not host:port, as in 127.0.0.1:5347", a)
		}
	}
	if err := c.validateMulticast(); err != nil {
		return err
	}
	for _, d := range slices.Concat([]string{c.Domain}, c.Users) {
		j, err := jid.Parse(d)
		if err != nil {
			return fmt.Errorf("dial: read domain %q: %w", d, err)
		}
		if j.Localpart() != "" || j.Resourcepart() != "" {
			return fmt.Errorf("dial: read domain %q: not a bare domain", d)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MaxStanza == 0 {
		c.MaxStanza = DefaultMaxStanza
	}
	if c.Unacked == 0 {
		c.Unacked = DefaultUnacked
	}
	if c.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		c.Log = logrus.NewEntry(silent)
	}
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{}).DialContext
	}
	c.Log = c.Log.WithField("node", c.Domain)
	return c
}

// Dial attaches a node and keeps it attached until Close. It returns after the first attach. A server that refuses
// (its stream error, a *stanza.StreamError, or a *Failure of SASL, is in the error's chain) ends Dial at once, after each
// address was asked; a server that is not there, or that shuts down, is tried again with Backoff until ctx ends. The end
// of ctx after that has no effect on the node.
//
// Dial announces nothing: sessions of an earlier life of the node stay for the server's grace, so that its users
// can return, unless Announce confirms them.
func Dial(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := newNode(cfg.withDefaults())
	o, err := n.attach(ctx, true)
	if err != nil {
		n.stop()
		return nil, err
	}
	l := n.newLink(o)
	n.setLink(l)
	go n.dispatch() // ends after run, Done waits for it
	go n.run(l)     // ends after Close, Close waits for it
	return n, nil
}

// attach tries each address, round after round, until one takes the node. With first set, a refusal ends it;
// later a refusal may be a matter of time (the old link not yet given up, a secret being rotated).
func (n *Node) attach(ctx context.Context, first bool) (*opened, error) {
	last := errors.New("none")
	for wait := !first; ; wait = true {
		if wait {
			if err := pause(ctx, n.cfg.Backoff.Wait(n.tries, rand.Float64)); err != nil {
				return nil, fmt.Errorf("%w (last attempt: %w)", err, last)
			}
			n.tries++
		}
		o, err := n.attachRound(ctx)
		switch {
		case err == nil:
			return o, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w (last attempt: %w)", context.Cause(ctx), err)
		case first && refused(err):
			return nil, err
		}
		last = err
		n.cfg.Log.WithField("reason", err).Info("attach again after a pause")
	}
}

func (n *Node) attachRound(ctx context.Context) (*opened, error) {
	var errs []error
	for _, addr := range n.addresses() {
		o, err := n.attachTo(ctx, addr)
		if err == nil {
			return o, nil
		}
		errs = append(errs, fmt.Errorf("attach %s to %s: %w", n.domain, addr, err))
	}
	return nil, errors.Join(errs...)
}

// interruptible calls do, whose reads and writes fail once ctx ends: by a deadline in the past, undone before it
// returns.
func interruptible(ctx context.Context, setDeadline func(time.Time) error, do func()) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		setDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	do()
	if !stop() {
		<-interrupted
		setDeadline(time.Time{})
	}
}

func secure(ctx context.Context, conn net.Conn, addr string, cfg *tls.Config) (net.Conn, error) {
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(addr) // Validate has seen it
	}
	tc := tls.Client(conn, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tc, nil
}

// passing lists the stream errors (RFC 6120 4.9.3) that speak of the server's state and not of the node.
var passing = []string{
	"connection-timeout", "internal-server-error", "remote-connection-failed", "reset", "resource-constraint",
	"see-other-host", "system-shutdown",
}

// refused reports whether a server answered with what waiting does not mend.
func refused(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.ContainsFunc(many.Unwrap(), refused)
	}
	var se *wire.StreamError
	var failure *Failure
	var no unfit
	switch {
	case errors.As(err, &se):
		return !slices.Contains(passing, se.Condition)
	case errors.As(err, &failure):
		return failure.Condition != "temporary-auth-failure"
	}
	return errors.As(err, &no)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
