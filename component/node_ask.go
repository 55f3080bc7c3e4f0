package component

import (
	"context"
	"encoding/xml"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// asked is a request that waits for its answer.
type asked struct {
	id      string
	to      string        // only the entity that was asked may answer (CVE-2024-46957)
	apply   func(reply)   // run by the reader, so in stream order, also if nobody waits any more; may be nil
	done    chan reply    // holds one
	refused chan struct{} // closed when the answer cannot be read
	left    bool          // guarded by link.mu; nobody waits any more
}

type reply struct {
	payload []xml.Token   // inside of the iq
	err     *stanza.Error // the answer was an error
}

type request struct {
	iq      stanza.IQ
	payload xml.TokenReader
	first   func() error // see writeAfter; may be nil
	apply   func(reply)  // see asked; may be nil
}

// ask writes a request on a link and waits for the answer.
func (n *Node) ask(ctx context.Context, l *link, req request) (reply, error) {
	a, err := n.begin(ctx, l, req)
	if err != nil {
		return reply{}, err
	}
	return a.wait(ctx, l)
}

// begin writes a request on a link. Unless there is an error, wait has to be called.
func (n *Node) begin(ctx context.Context, l *link, req request) (*asked, error) {
	req.iq.ID = NewID()
	if req.iq.From.Equal(jid.JID{}) {
		req.iq.From = n.domain
	}
	raw, err := encodeStanza(req.iq.Wrap(req.payload), "", n.cfg.MaxStanza)
	if err != nil {
		return nil, err
	}
	a := &asked{id: req.iq.ID, to: req.iq.To.String(), apply: req.apply, done: make(chan reply, 1), refused: make(chan struct{})}
	if !l.expect(a) {
		return nil, l.why()
	}
	if err := l.writeAfter(ctx, req.first, raw); err != nil {
		l.forget(a)
		return nil, err
	}
	return a, nil
}

// wait gives the answer to a request.
func (a *asked) wait(ctx context.Context, l *link) (reply, error) {
	defer l.abandon(a)
	select {
	case rep := <-a.done:
		return rep, nil
	case <-a.refused:
		return reply{}, ErrBehind
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	case <-l.mute:
	case <-l.ended:
	}
	select {
	case rep := <-a.done: // it came just before
		return rep, nil
	default:
		return reply{}, l.why()
	}
}

func (l *link) expect(a *asked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asks == nil {
		return false
	}
	l.asks[a.id] = a
	signal(l.wanted)
	return true
}

// asking reports whether a request waits for its answer.
func (l *link) asking() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asks {
		if !a.left {
			return true
		}
	}
	return false
}

// refuse ends the requests that wait.
func (l *link) refuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.asks {
		if !a.left {
			l.desert(a)
			close(a.refused)
		}
	}
}

// abandon notes that nobody waits for an answer any more.
func (l *link) abandon(a *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.desert(a)
}

// desert is abandon under the lock. What is to be noted of the answer is noted when it comes.
func (l *link) desert(a *asked) {
	a.left = true
	if a.apply == nil {
		delete(l.asks, a.id)
	}
}

func (l *link) forget(a *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asks, a.id)
}

// answer hands an iq result or error to the request it answers, if there is one.
func (l *link) answer(in inbound) bool {
	id, from := attr(in.start, "id"), attr(in.start, "from")
	l.mu.Lock()
	a := l.asks[id]
	if a != nil && (from == a.to || from == "") {
		delete(l.asks, id)
	} else {
		a = nil
	}
	l.mu.Unlock()
	if a == nil {
		return false
	}
	rep := reply{payload: in.rest[:len(in.rest)-1]}
	if attr(in.start, "type") == string(stanza.ErrorIQ) {
		cause, err := stanza.UnmarshalError(&tokens{list: rep.payload})
		if err != nil {
			cause = stanza.Error{Type: stanza.Cancel, Condition: stanza.UndefinedCondition}
		}
		rep.err = &cause
	}
	if a.apply != nil {
		a.apply(rep)
	}
	a.done <- rep
	return true
}
