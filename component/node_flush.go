package component

import (
	"context"
	"errors"
	"fmt"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// Grade says what is known of what a node sends.
type Grade string

// The grades of a node.
const (
	GradeNone  Grade = ""      // detached
	GradePlain Grade = "plain" // by XEP-0114: what was written when a link drops may be lost, and nobody knows
	GradeAcked Grade = "acked" // by XEP-0198: what the server does not acknowledge is sent again
)

// errLoose is what the first Flush says after a plain link has ended.
var errLoose = errors.New("a link without acknowledgements has ended since the last flush; what was sent on it may be lost")

// Grade tells of the link that the node has now. A link with acknowledgements whose connection was cut is acked until
// the server has it no more.
func (n *Node) Grade() Grade {
	n.mu.Lock()
	l := n.cur
	n.mu.Unlock()
	if l == nil {
		return GradeNone
	}
	return l.grade()
}

func (l *link) grade() Grade {
	if l.acks == nil {
		return GradePlain
	}
	return GradeAcked
}

// Flush returns when all that was sent before it is in the server's custody: delivered and proved, answered, or on its
// disk. With acknowledgements it waits through reconnects; requests (iq get and set) that a link has left unanswered are
// not sent again, and their callers have an error. On a plain link it asks the server, which only patchbay answers, under
// a user domain of the node; if the link ends first, or has ended since the last Flush, that is an error: what was sent may
// be lost.
func (n *Node) Flush(ctx context.Context) error {
	for {
		l, err := n.awaitAnswers(ctx)
		if err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		n.mu.Lock()
		loose := n.loose
		n.loose = false
		n.mu.Unlock()
		if loose {
			return fmt.Errorf("flush: %w", errLoose)
		}
		if l.acks == nil {
			err = n.flushPlain(ctx, l)
		} else if err = l.flush(ctx); errors.Is(err, errLinkEnded) {
			continue
		}
		if err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		return nil
	}
}

// flush waits for acknowledgements.
func (l *link) flush(ctx context.Context) error {
	l.mu.Lock()
	target := l.acks.sent()
	l.mu.Unlock()
	l.demand()
	for {
		l.mu.Lock()
		reached, moved := int32(l.acks.acked-target) >= 0, l.moved
		l.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-l.ended:
			return l.why()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// flushPlain asks by urn:patchbay:sessions:1.
func (n *Node) flushPlain(ctx context.Context, l *link) error {
	domain := ""
	if domains := append(append([]string{}, n.cfg.Users...), n.held.domains()...); len(domains) > 0 {
		domain = domains[0]
	}
	to, err := jid.Parse(domain)
	if err != nil {
		return errors.New("the node has no user domain under which to ask the server; name one in Config.Users")
	}
	before := 0
	rep, err := n.ask(ctx, l, request{
		iq:      stanza.IQ{Type: stanza.GetIQ, To: to},
		payload: empty(sessionsName("flush").Space, "flush"),
		first:   func() error { before = l.sentLoose(0); return nil },
	})
	switch {
	case err != nil:
		return err
	case rep.err != nil && (rep.err.Condition == stanza.ServiceUnavailable || rep.err.Condition == stanza.FeatureNotImplemented):
		return fmt.Errorf("the server does not know how: %w", described{*rep.err})
	case rep.err != nil:
		return described{*rep.err}
	}
	l.sentLoose(-before)
	return nil
}

// sentLoose counts stanzas of the application that were sent on a plain link and not flushed.
func (l *link) sentLoose(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loose += n
	return l.loose
}

// loosened reports whether a plain link has left something of which nobody knows.
func (l *link) loosened() bool { return l.acks == nil && l.sentLoose(0) > 0 }
