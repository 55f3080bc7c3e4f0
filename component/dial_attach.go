package component

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/patchbay-im/patchbay/internal/stream"
	wire "github.com/patchbay-im/patchbay/stanza"
)

// offences lists the stream errors (RFC 6120 4.9.3) with which a server may answer a stream header that has more in it
// than XEP-0114 says.
var offences = []string{
	"bad-format", "bad-namespace-prefix", "invalid-namespace", "invalid-xml", "not-well-formed", "restricted-xml",
	"undefined-condition", "unsupported-feature", "unsupported-version", "xml-not-well-formed",
}

// cutsBefore is how often a server must have closed the connection instead of answering before XEP-0114 is tried: once
// may be a restart, or the network.
const cutsBefore = 2

// past is what a node knows of its last stream with acknowledgements, until the next is open.
type past struct {
	link    *link
	addr    string
	id      string // to resume it by; empty: there is nothing to resume
	over    bool   // the link has ended: the server is asked for h only
	handled uint32 // the server's h when it could not resume
	known   bool   // it said one
}

// forget notes that a stream cannot be resumed, if a stream error says that it was asked for in vain.
func (n *Node) forget(told *wire.StreamError) {
	if n.past != nil && told.App == "handled-count-too-high" {
		n.past.id = ""
	}
}

// addresses gives where to attach, in turn: first the server that may have the last stream.
func (n *Node) addresses() []string {
	p := n.past
	if p == nil || p.id == "" {
		return n.cfg.Addrs
	}
	others := slices.DeleteFunc(slices.Clone(n.cfg.Addrs), func(a string) bool { return a == p.addr })
	return append([]string{p.addr}, others...)
}

// attachTo attaches to one address: with a modern stream, or else as XEP-0114 has it, if the configuration says so or
// the server does not take the former.
func (n *Node) attachTo(ctx context.Context, addr string) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	plain := n.cfg.Plain || n.plainOnly[addr]
	o, err := n.open(ctx, addr, plain)
	if err == nil && o.out.resumed && n.past.over {
		o, err = n.openAnew(ctx, o)
	}
	if err != nil && !plain && ctx.Err() == nil && n.offended(o, err) {
		var told *wire.StreamError
		learned := errors.As(err, &told)
		if o, err = n.open(ctx, addr, true); err == nil && learned {
			n.plainOnly[addr] = true
		}
	}
	if err != nil {
		return nil, err
	}
	return &o.out, nil
}

// open makes one attempt.
func (n *Node) open(ctx context.Context, addr string, plain bool) (*dialing, error) {
	o := &dialing{node: n, addr: addr, plain: plain}
	conn, err := n.cfg.DialContext(ctx, "tcp", addr)
	if err != nil {
		return o, err
	}
	o.conn = conn
	interruptible(ctx, conn.SetDeadline, func() { err = o.open(ctx) })
	switch {
	case err == nil:
		o.out.addr, o.out.carrier = addr, newCarrier(o.link, o.dec)
		return o, nil
	case ctx.Err() != nil:
		err = fmt.Errorf("wait for the handshake: %w", context.Cause(ctx))
	}
	o.conn.Close()
	return o, err
}

// openAnew gives up a stream that was resumed although its link had ended here: requests were given up, and sessions are
// to be stated. What the server has of it is known now.
func (n *Node) openAnew(ctx context.Context, o *dialing) (*dialing, error) {
	n.past.id, n.past.handled, n.past.known = "", o.out.handled, true
	_ = o.write([]byte(stream.CloseTag))
	o.conn.Close()
	return n.open(ctx, o.addr, false)
}

// offended reports whether a server has ended the stream because its header asked for more than XEP-0114, or may have.
func (n *Node) offended(o *dialing, err error) bool {
	if o.modern || n.cfg.StartTLS || n.past != nil && n.past.addr == o.addr {
		return false
	}
	var told *wire.StreamError
	if errors.As(err, &told) {
		return slices.Contains(offences, told.Condition)
	}
	if o.answered || !errors.Is(err, errCut) {
		delete(n.cuts, o.addr)
		return false
	}
	n.cuts[o.addr]++
	return n.cuts[o.addr] >= cutsBefore
}
