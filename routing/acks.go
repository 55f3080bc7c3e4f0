package routing

import (
	"errors"
	"strconv"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// NotResumed is why a link cannot go on with an earlier one: it is not known, or no more (XEP-0198 section 5). Handled is how
// many of the stanzas that the earlier one sent are in custody here, modulo 2^32, if that is Known.
type NotResumed struct {
	Handled uint32
	Known   bool
}

// Error says so.
func (e *NotResumed) Error() string { return "there is no link to go on with under this id" }

// resumeWaits is how long a resumption waits until all that the peer sent is in custody. It has to be: the peer sends again what is
// not counted, and all of it is here. A peer that begins anew says of what it sends again that it is late.
const resumeWaits = 3 * time.Second

var errTakenBack = errors.New("what was to be resumed is held no more")

// StartAcked is Start for a link whose peer counts the stanzas it has handled, and is told how many of its own are in custody
// (XEP-0198). id is the one under which it may be resumed after a drop, for as long as the grace lasts; empty: it may not.
func (s *Source) StartAcked(out Output, id string, hello []byte) error {
	s.acks = true
	s.Count(id, s.tell)
	return s.start(out, hello, func(q *Queue) { q.attachAcks(out, id) })
}

// Resumable tells what there is under the id of a node's link. old is that link, if it is attached still: it is to be ended
// before Resume can go on with it. known: there is something to go on with.
func (r *Router) Resumable(domainName, id string) (old *Source, known bool) {
	n := r.nodeOf(domainName)
	if src, _ := n.Source(); src != nil && n.queue.linkedAs(id) {
		return src, true
	}
	return nil, n.queue.heldAs(id)
}

// Resume goes on with a link that dropped: its sessions are as they were, and after StartResumed its stanzas go on behind those
// that the peer has counted, h of them modulo 2^32. The error is a *NotResumed, a *TooHigh, or ErrAttached.
func (r *Router) Resume(domainName string, g *Grant, sc *stanza.Scanner, id string, h uint32) (*Source, error) {
	n := r.nodeOf(domainName)
	if !n.queue.heldAs(id) || g.Instances > 1 { // another of them would take over what is held
		return nil, r.notResumed(n, id)
	}
	n.mu.Lock()
	old := n.held
	n.mu.Unlock()
	if old != nil && !old.custody.settle(resumeWaits) {
		return nil, r.notResumed(n, id)
	}
	src := r.newSource(n, g, sc)
	if old != nil {
		src.stream = old.stream // before it is the node's: the stream has not ended
	}
	if !n.claim(src) {
		return nil, ErrAttached
	}
	n.mu.Lock()
	old = n.held
	src.inc = n.rec.Inc
	n.mu.Unlock()
	ok := false
	var err error
	if old != nil {
		src.inc, src.mark, src.sync, src.asked, src.stream = old.inc, old.mark, old.sync, old.asked, old.stream
		src.acks = true
		src.GoOn(old, src.tell)
		ok, err = n.queue.claim(id, h)
	}
	switch {
	case err != nil:
		src.Detach()
		return nil, err
	case !ok && n.State() == Away:
		src.Detach() // a user of it logged in elsewhere: the grace begins again
		return nil, r.notResumed(n, id)
	case !ok:
		n.unclaim() // it has ended
		return nil, r.notResumed(n, id)
	}
	return src, nil
}

// notResumed says how many stanzas of an earlier link are in custody, if that is known.
func (r *Router) notResumed(n *Node, id string) error {
	h, known := r.countOf(n, id)
	return &NotResumed{Handled: h, Known: known}
}

// StartResumed opens the way out of a link that goes on with another: behind <resumed/> follow the stanzas that the peer has
// not counted, requests too, and then what has come since. After an error the link is to be detached.
func (s *Source) StartResumed(out Output) error {
	n, r := s.node, s.r
	n.busy.Store(true) // until it returns nothing is read
	defer n.busy.Store(false)
	s.out = out
	n.home.coming.Add(1)
	n.opened()
	id, ok := n.queue.resume(out)
	if !ok {
		return errTakenBack
	}
	n.grade.Store(uint32(GradeAcked))
	r.sessions.SetNodeState(n.ID(), s.current(), n.standing(), time.Time{})
	n.mu.Lock()
	n.since = r.now()
	was := n.granted
	n.setState(r, Attached)
	s.attached, n.held = n.since, nil
	if n.confirms.Load() {
		n.timer = time.AfterFunc(r.set().Grace, func() { r.unconfirmed(s) })
	}
	n.mu.Unlock()
	hello := append([]byte("<resumed xmlns='"+nsAcks+"' previd='"), id...)
	hello = append(strconv.AppendUint(append(hello, "' h='"...), uint64(uint32(s.Custody())), 10), "'/>"...)
	err := n.queue.begin(out, hello)
	if was != nil && !was.within(s.Grant()) {
		s.revoke()
	}
	n.tellDrain(r)
	return err
}

// takeBack ends the time in which a node's link may be resumed: what was not proved waits for its next one, and what it was
// asked is answered.
func (r *Router) takeBack(n *Node) {
	if !n.queue.takeBack() {
		return
	}
	r.requestsDropped(n)
	n.mu.Lock()
	n.held = nil
	n.mu.Unlock()
}

// tell tells the peer of a new count of what it sent, unasked. The beat calls it, which knows of the link once it has been fed: out
// is set.
func (s *Source) tell(h uint64) {
	if q := s.node.queue; q.mention(s.out, h) {
		q.flush()
	}
}

// ack takes an element of XEP-0198 that is no stanza.
func (s *Source) ack(w *work, h *stanza.Header) error {
	q := s.node.queue
	flush := false
	switch string(h.Local()) {
	case "r":
		s.asks = true // what is routed with it counts
	case "a":
		count, err := countIn(h)
		if err != nil {
			return err
		}
		if flush, err = q.acked(count); err != nil {
			return refusal(err)
		}
	default:
		return &stanza.StreamError{Condition: "policy-violation", Text: "stream management is on already; send r, a and stanzas only (XEP-0198)"}
	}
	if flush {
		w.queues = append(w.queues, q)
	}
	return nil
}

// answerAsked answers the question for the count of stanzas in custody.
func (s *Source) answerAsked(w *work) {
	s.asks = false
	w.account()
	sent := s.custody.ask(s.accepted.Load())
	if q := s.node.queue; q.acknowledge(s.out, s.Custody(), sent) {
		w.queues = append(w.queues, q)
	}
}

// countIn reads the h of an element.
func countIn(h *stanza.Header) (uint32, error) {
	w := h.Walk()
	w.Next()
	value, _, _ := w.Attr("h")
	count, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil {
		return 0, &stanza.StreamError{Condition: "bad-format", Text: "the h of an a is no number below 2^32; send the count of stanzas handled (XEP-0198)"}
	}
	return uint32(count), nil
}

// refusal is what the peer is told of a count that was not taken.
func refusal(err error) error {
	var high *TooHigh // in a function of its own: it is on the heap
	var low *TooLow
	switch {
	case errors.As(err, &high):
		return high.StreamError()
	case errors.As(err, &low):
		return low.StreamError()
	}
	return err
}

// StreamError is what the peer is told of it. XEP-0198 has no word for it.
func (e *TooLow) StreamError() *stanza.StreamError {
	return &stanza.StreamError{Condition: "undefined-condition", Text: "the h of an a is lower than one before; send the count of those handled since enabled (XEP-0198)"}
}

// StreamError is what the peer is told of it (XEP-0198 section 4).
func (e *TooHigh) StreamError() *stanza.StreamError {
	app := "<handled-count-too-high xmlns='" + nsAcks + "' h='" + strconv.FormatUint(uint64(e.H), 10) +
		"' send-count='" + strconv.FormatUint(uint64(e.Sent), 10) + "'/>"
	return &stanza.StreamError{Condition: "undefined-condition", Text: "the h of an a is higher than the count of stanzas sent; send the count of those handled since enabled (XEP-0198)", App: app}
}
