package routing

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// ErrClosed is returned by Feed when the peer has closed its stream in orderly fashion (RFC 6120 4.4).
var ErrClosed = errors.New("stream closed by the peer")

// Source is the incoming half of a node's link: what the node sends, in order.
type Source struct {
	// set once
	ID   uint64 // the link's number, for people
	Log  *logrus.Entry
	r    *Router
	node *Node
	inc  uint64
	mark storage.Mark

	stream *Source // the first of those that went on with each other: itself, if it was not resumed

	redo     bool      // not a link: stanzas that waited are decided again as if their node sent them now
	not      *Node     // redo: what waited for this node goes to another of its domain
	since    time.Time // redo: when the stanza came
	of       *taking   // redo: of which it is, nil if the disk has no place of it
	out      Output
	attached time.Time
	halt     chan struct{} // closed by Halt; nil: not a link

	// owned by the reader
	sc    *stanza.Scanner
	own   *domain // the node's own domain, once it was looked up
	last  *domain // the last other domain looked up: mostly the user domain
	sync  SyncState
	asked string    // the id under which the node was asked what it can do
	acts  *Settings // those whose limits sc has
	acks  bool      // the peer counts stanzas, and asks for our count (XEP-0198)
	asks  bool      // it has asked
	until time.Time // it waits for the disk no longer: it is to end

	custody *custody  // nil: nobody has asked for it
	room    *waitroom // redo: the stanza was held, and somebody counts that

	// replaced when the configuration changes
	grant    atomic.Pointer[Grant]
	narrowed atomic.Bool // it has been replaced by one that allows less, and the reader has yet to see to what it announced meanwhile

	// written by the reader, read by all
	accepted atomic.Uint64 // stanzas read
	reads    atomic.Uint64 // times that bytes arrived
	paused   atomic.Bool   // it waits for the disk

	halting atomic.Bool // Halt has been called
}

// SyncState is how far a node is in stating all its sessions (protocol.md 1.4). It is owned by the reader.
type SyncState struct {
	Running bool
	Mark    storage.Mark
}

func (r *Router) newSource(n *Node, g *Grant, sc *stanza.Scanner) *Source {
	id := r.links.Add(1)
	s := &Source{ID: id, r: r, node: n, sc: sc, halt: make(chan struct{}),
		Log: r.cfg.Log.WithField("node", n.Domain).WithField("link", id)}
	s.stream = s
	s.grant.Store(g)
	s.limit()
	return s
}

// limit gives the scanner the limits that count now.
func (s *Source) limit() {
	s.acts = s.r.set()
	s.sc.SetLimits(s.acts.Limits)
}

// Router is the router that the link belongs to.
func (s *Source) Router() *Router { return s.r }

// Stream names what the peer has one stream of: it is the same for all links that went on with each other (XEP-0198 section 5).
func (s *Source) Stream() *Source { return s.stream }

// Node is the node whose link it is.
func (s *Source) Node() *Node { return s.node }

// Grant is what the node may do.
func (s *Source) Grant() *Grant { return s.grant.Load() }

// Sync is the state of the node's statement of sessions; only for the reader.
func (s *Source) Sync() *SyncState { return &s.sync }

// Incarnation and Mark name the node's attachment in the session table.
func (s *Source) Incarnation() (inc uint64, mark storage.Mark) { return s.inc, s.mark }

// Prefixes are the namespace declarations of the stream header, which a stanza of the link may rely on.
func (s *Source) Prefixes() []stanza.Prefix { return s.sc.StreamHeader().Prefixes }

// Reads counts how often bytes arrived; it tells a living link from a dead one.
func (s *Source) Reads() uint64 { return s.reads.Load() }

// Stanzas counts the stanzas that were read from the link.
func (s *Source) Stanzas() uint64 { return s.accepted.Load() }

// Feed takes bytes that the node sent, routes each whole stanza in them, and returns how many bytes it has
// used. It writes to every link that got something before it returns. An error ends the link: a
// *stanza.StreamError is to be told to the peer, ErrClosed is the peer's own orderly end.
func (s *Source) Feed(b []byte) (n int, err error) {
	s.reads.Add(1)
	s.node.busy.Store(true)
	defer s.node.busy.Store(false)
	if s.acts != s.r.set() {
		s.limit()
	}
	if s.custody != nil {
		s.custody.begin()
	}
	w := s.r.work.Get().(*work)
	w.src = s
	for err == nil {
		k := 0
		var used int
		k, used, err = s.scan(w, b[n:])
		n += used
		if rerr := s.route(w, k); rerr != nil {
			err = rerr
		}
		if k < len(w.items) {
			break
		}
	}
	if s.asks {
		s.answerAsked(w)
	}
	w.flush()
	w.src = nil
	s.r.work.Put(w)
	if s.custody != nil {
		s.custody.end(s.accepted.Load())
	}
	if s.narrowed.Load() {
		s.narrowed.Store(false)
		s.revoke()
	}
	return n, err
}

// Proofs takes bytes that the node sent after the router has stopped to accept stanzas: of these only the replies to pings of
// the barrier count, and the counts of XEP-0198 both ways, so that what was read need not be sent again after a restart. It returns
// as Feed does.
func (s *Source) Proofs(b []byte) (n int, err error) {
	if s.custody != nil {
		s.custody.begin()
	}
	w := s.r.work.Get().(*work)
	w.src = s
	for err == nil {
		k, used := 0, 0
		k, used, err = s.scan(w, b[n:])
		n += used
		for i := range k {
			s.proves(w, &w.items[i])
		}
		if k < len(w.items) {
			break
		}
	}
	if s.asks {
		s.answerAsked(w)
	}
	w.flush()
	w.src = nil
	s.r.work.Put(w)
	if s.custody != nil {
		s.custody.end(s.accepted.Load())
	}
	return n, err
}

// scan cuts up to a batch of stanzas from b. k of them are in w, whatever the error.
func (s *Source) scan(w *work, b []byte) (k, n int, err error) {
	for k < len(w.items) {
		h := &w.items[k].h
		tok, used, err := s.sc.Next(b[n:], h)
		n += used
		switch {
		case err != nil:
			return k, n, err
		case tok == stanza.None:
			return k, n, nil
		case tok == stanza.End:
			return k, n, ErrClosed
		case h.Kind == stanza.Other && s.acks && string(s.sc.Space(h)) == nsAcks:
			if err := s.ack(w, h); err != nil {
				return k, n, err
			}
			continue
		case h.Kind == stanza.Other:
			return k, n, s.notStanza(h)
		}
		k++
	}
	return k, n, nil
}

// notStanza gives the stream error for a top-level element that is no stanza.
func (s *Source) notStanza(h *stanza.Header) error {
	switch string(h.Local()) {
	case "error":
		if string(s.sc.Space(h)) == stanza.NSStream {
			s.Log.WithField("error", string(h.Raw)).Info("node ended the stream with an error")
			return ErrClosed // RFC 6120 4.9.1.4: no error in answer to an error
		}
	case "handshake":
		return &stanza.StreamError{Condition: "policy-violation", Text: "the stream is authenticated already; send one handshake only (XEP-0114)"}
	case "message", "presence", "iq":
		return &stanza.StreamError{Condition: "invalid-namespace", Text: "a stanza is in another namespace than " + stanza.NSComponent + "; leave its xmlns out"}
	}
	return &stanza.StreamError{Condition: "unsupported-stanza-type", Text: "a top-level element is no stanza; send message, presence and iq only (RFC 6120 4.9.3.24)"}
}

// Reply queues an answer of the server for the node itself. It may be called only while Service.Serve runs.
func (s *Source) Reply(raw []byte) { s.r.Send(s.node, raw) }

// Send queues a stanza that the server makes itself for a node, in the node's content namespace. It reports
// false when it had to be dropped: the node's queue is full, or it is long gone.
func (r *Router) Send(n *Node, raw []byte) bool { return r.send(n, raw, rec{class: classKeep}) }

// Ping queues an iq of the server itself: like any iq get it does not wait for a node that is not here.
func (r *Router) Ping(n *Node, raw []byte) bool { return r.send(n, raw, rec{class: classRequest}) }

// Probe asks the peer of a node's link to show that it is there, by a ping of the barrier: whatever it sends shows it. A peer
// that has many unanswered ones gets no other.
func (r *Router) Probe(n *Node) { n.queue.probe() }

// Notify queues a notice that can be given later as well: like a ping it does not wait for a node that is not here, and it
// takes no more than half of the queue, so that there is room for what cannot wait.
func (r *Router) Notify(n *Node, raw []byte) bool {
	return r.send(n, raw, rec{class: classRequest, at: notice})
}

func (r *Router) send(n *Node, raw []byte, what rec) bool {
	h := stanza.Header{Raw: raw}
	res, flush := n.queue.put(&h, nil, what)
	if res == putOK {
		r.tally.made.Add(1)
	} else if what.class == classKeep {
		r.tally.untold.Add(1)
	}
	if flush { // a promise, whatever became of raw
		n.queue.flush()
	}
	return res == putOK
}
