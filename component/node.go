package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// closeWait bounds how long Close waits for the server's closing tag (RFC 6120 4.4).
const closeWait = 5 * time.Second

// Node is an attached node: the dialing half of a component link that renews itself. All methods may be called from
// any goroutine, also from Config.Handler and the callbacks.
//
//	run        attach -> read link -> resume, or attach and restate sessions -> ...   owns the read half of the current link
//	dispatch   inbox -> Config.Handler, callbacks, answers to pings                   one stanza at a time, in stream order
//	watch      one per link: a connection that stays silent is given up
//	carry      one per link with acknowledgements: owns its write half
//
// Because reading goes on while a handler runs, a handler may wait for answers (Announce, SendIQ); because a ping is
// answered by dispatch, its answer proves that the handlers of all earlier stanzas have returned.
type Node struct {
	// set once
	cfg     Config
	domain  jid.JID
	ctx     context.Context // ends when Close begins
	cancel  context.CancelCauseFunc
	stopped chan struct{} // closed by run
	done    chan struct{} // closed by dispatch
	inbox   inbox
	held    sessions
	watches watches

	// owned by Dial, then run
	tries     int // rounds of attaching since a link was steady
	salted    salted
	plainOnly map[string]bool // addresses of servers that know XEP-0114 only, and say so by an error
	cuts      map[string]int  // how often a server has closed the connection instead of answering
	past      *past           // of the last stream with acknowledgements; nil: there was none
	next      *opened         // opened in an attempt to resume; nil: none

	seen recent // owned by dispatch

	drainer *link // owned by dispatch: who said last that the node is drained; nil: nobody does
	drains  drains

	mu     sync.Mutex
	cur    *link         // guarded by mu; nil: detached
	change chan struct{} // guarded by mu; closed when cur changes
	loose  bool          // guarded by mu; a plain link has ended and nobody knows what became of what was sent on it
}

func newNode(cfg Config) *Node {
	n := &Node{
		cfg:     cfg,
		domain:  jid.MustParse(cfg.Domain), // Validate has seen it
		stopped: make(chan struct{}),
		done:    make(chan struct{}),
		change:  make(chan struct{}),

		salted:    salted{secret: []byte(cfg.Secret)},
		plainOnly: make(map[string]bool),
		cuts:      make(map[string]int),
	}
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.inbox.init()
	n.held.init()
	n.watches.init()
	n.seen.init()
	return n
}

// Domain is the node's own address.
func (n *Node) Domain() jid.JID { return n.domain }

// Done is closed when the node has ended: after Close, once the last handler has returned.
func (n *Node) Done() <-chan struct{} { return n.done }

// Send sends one stanza, read from r, e.g. stanza.Message{...}.Wrap(component.Body("hello")). What becomes of a message
// is told by the error that bounces, if it bounces. A missing from is filled with the node's domain, a missing id with a
// random one. While the node is detached, or still restating its sessions, Send waits; ctx ends the waiting.
//
// With acknowledgements (XEP-0198) it returns when the stanza is kept, to be sent until the server has it: as it is on
// the connection that goes on with the stream, and else, if it is no request, with a delay (XEP-0203) on the next stream.
// It waits while Config.Unacked bytes are kept. A stanza for which the server ends the stream is given up, and logged.
//
// On a plain link it returns when the bytes are with the operating system, and what is under way when the link drops may
// be lost; if ctx ends while the bytes of a stanza leave, the link is given up, for half a stanza cannot be taken back,
// and a new one made. Flush tells when all is in the server's custody. Save a message before you send it: what is kept
// here ends with the process.
func (n *Node) Send(ctx context.Context, r xml.TokenReader) error {
	raw, err := encodeStanza(r, n.domain.String(), n.cfg.MaxStanza)
	if err != nil {
		return err
	}
	for {
		l, err := n.await(ctx)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		err = l.writeAfter(ctx, func() error { l.sentLoose(1); return nil }, raw)
		if err == nil {
			return nil
		}
		// What was cut in the middle of a stanza was never parsed, so writing it again makes no duplicate.
		if !errors.Is(err, errLinkEnded) {
			return fmt.Errorf("send: %w", err)
		}
	}
}

// SendIQ sends a request and waits for its answer. It gives the tokens inside the result, or a stanza.Error. iq.ID
// is chosen here, whatever it was; an empty iq.From is the node's domain. A link that ends meanwhile is an error:
// whether the request was carried out is then unknown.
func (n *Node) SendIQ(ctx context.Context, iq stanza.IQ, payload xml.TokenReader) (xml.TokenReader, error) {
	l, err := n.awaitAnswers(ctx)
	if err != nil {
		return nil, fmt.Errorf("send iq: %w", err)
	}
	rep, err := n.ask(ctx, l, request{iq: iq, payload: payload})
	if err != nil {
		return nil, fmt.Errorf("send iq: %w", err)
	}
	if rep.err != nil {
		return nil, *rep.err
	}
	return &tokens{list: rep.payload}, nil
}

// await gives the link that is attached and has restated its sessions.
func (n *Node) await(ctx context.Context) (*link, error) {
	for {
		n.mu.Lock()
		l, change := n.cur, n.change
		n.mu.Unlock()
		var ready, ended chan struct{}
		if l != nil {
			ready, ended = l.ready, l.ended
		}
		if n.ctx.Err() != nil {
			return nil, ErrClosed
		}
		select {
		case <-ended:
			ready = nil
		default:
		}
		select {
		case <-ready:
			return l, nil
		case <-change:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-n.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// awaitAnswers is await for who wants an answer: a link whose server has closed its stream gives none.
func (n *Node) awaitAnswers(ctx context.Context) (*link, error) {
	for {
		l, err := n.await(ctx)
		if err != nil {
			return nil, err
		}
		select {
		case <-l.mute:
		default:
			return l, nil
		}
		select {
		case <-l.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (n *Node) setLink(l *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cur = l
	close(n.change)
	n.change = make(chan struct{})
}

// tellAttached has OnAttach called, in its turn.
func (n *Node) tellAttached() {
	n.inbox.push(inbound{call: func() {
		n.drainOver()
		if n.cfg.OnAttach != nil {
			n.cfg.OnAttach(n)
		}
	}})
}

func (n *Node) onDetach(err error) {
	if n.cfg.OnDetach != nil {
		n.cfg.OnDetach(err)
	}
}

// stop ends a node that was never attached.
func (n *Node) stop() { n.cancel(ErrClosed) }

// Close leaves in order: it ends the stream, waits up to 5 s for the server to end it too (RFC 6120 4.4), and stops
// reconnecting. Sessions stay announced for the server's grace, as after a restart: Withdraw them first if their
// users are gone. It does not wait for a handler that still runs, so it may be called from one; Done does.
func (n *Node) Close() error {
	n.cancel(ErrClosed)
	n.mu.Lock()
	l := n.cur
	n.mu.Unlock()
	if l != nil {
		l.leave()
	}
	<-n.stopped
	return nil
}

// tokens reads a list of tokens.
type tokens struct{ list []xml.Token }

// Token gives the next token, io.EOF after the last.
func (t *tokens) Token() (xml.Token, error) {
	if len(t.list) == 0 {
		return nil, io.EOF
	}
	tok := t.list[0]
	t.list = t.list[1:]
	return tok, nil
}
