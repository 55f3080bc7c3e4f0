package component

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"mellium.im/xmpp/stanza"

	wire "github.com/patchbay-im/patchbay/stanza"
)

// run keeps the node attached. It is the only reader of each link.
func (n *Node) run(l *link) {
	defer n.inbox.close()
	defer close(n.stopped)
	for first := true; ; first = false {
		reason := n.serve(l, first)
		if n.ctx.Err() == nil {
			n.cfg.Log.WithField("reason", reason).Warn("node detached")
			n.inbox.push(inbound{call: func() { n.onDetach(reason) }})
		}
		o := n.next
		if n.next = nil; o == nil {
			var err error
			if o, err = n.attach(n.ctx, false); err != nil {
				return
			}
		}
		backlog, suspects := n.leftOver(l, reason)
		l = n.newLink(o)
		l.backlog, l.suspects = backlog, suspects
	}
}

// serve reads one link to its end, over as many connections as it has.
func (n *Node) serve(l *link, first bool) error {
	n.setLink(l)
	n.cfg.Log.WithField("grade", l.grade()).Info("node attached")
	var helpers sync.WaitGroup // serve waits for all
	if first {
		n.tellAttached() // before the first stanza is read
		close(l.ready)
	} else {
		helpers.Go(func() { n.restate(l) })
	}
	helpers.Go(func() { n.watch(l) })
	if l.acks != nil {
		helpers.Go(l.carry)
	}
	// A Close that came between attach and setLink did not see this link.
	if n.ctx.Err() != nil {
		l.leave()
	}
	err := n.readCalm(l)
	for n.resume(l, err) {
		err = n.readCalm(l)
	}
	n.setLink(nil)
	l.end(err)
	helpers.Wait()
	if n.past != nil {
		n.past.over = true
	}
	return err
}

// readCalm reads one connection. One that was steady starts the back-off anew.
func (n *Node) readCalm(l *link) error {
	c, _ := l.carrying()
	err := n.read(l)
	if time.Since(c.since) >= steadyAfter {
		n.tries = 0
	}
	return err
}

// resume goes on with a link whose connection was cut (XEP-0198 section 5), as long as the server may still have it. If
// the server has not, what was opened instead is left in n.next.
func (n *Node) resume(l *link, cut error) bool {
	if l.acks == nil || n.past.id == "" || !errors.Is(cut, errCut) || n.ctx.Err() != nil {
		return false
	}
	l.drop()
	n.cfg.Log.WithField("reason", cut).Info("connection dropped, resume the stream")
	ctx, cancel := context.WithTimeout(n.ctx, l.life)
	defer cancel()
	o, err := n.attach(ctx, false)
	if err != nil {
		return false
	}
	if !o.resumed {
		n.next = o
		return false
	}
	if err := l.adopt(o); err != nil {
		var wrong *countError
		if errors.As(err, &wrong) {
			o.carrier.conn.SetDeadline(time.Now().Add(closeWait))
			_, _ = o.carrier.conn.Write(wrong.streamError().AppendTo(nil)) // told or not, the stream is over
		}
		o.carrier.conn.Close()
		n.past.id = ""
		n.cfg.Log.WithField("reason", err).Warn("give up a stream that was resumed")
		return false
	}
	n.cfg.Log.WithField("grade", l.grade()).Info("stream resumed")
	return true
}

// leftOver gives what a link that has ended has taken and not brought into the server's custody, oldest first, and how much
// of it is suspected of having ended it.
func (n *Node) leftOver(l *link, reason error) (list []kept, suspects int) {
	if l.acks != nil {
		l.mu.Lock()
		list = l.acks.rest(n.past.handled, n.past.known)
		l.mu.Unlock()
		suspects, list = n.suspects(l, reason, list)
	}
	if l.loosened() {
		n.mu.Lock()
		n.loose = true
		n.mu.Unlock()
	}
	return append(list, l.backlog...), suspects
}

// resend sends what the last link has left. What it holds up is told (XEP-0203), so that a receiver that has seen it
// already knows it again.
func (n *Node) resend(ctx context.Context, l *link) error {
	if err := n.resendSuspects(ctx, l); err != nil {
		return err
	}
	for len(l.backlog) > 0 {
		if err := n.resendOne(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// resendOne sends the oldest stanza of the backlog, if it is one to be sent again. There is room for it: it was kept before.
func (n *Node) resendOne(ctx context.Context, l *link) error {
	k := l.backlog[0]
	var err error
	switch raw, ok := n.again(k); {
	case !ok:
		n.cfg.Log.WithField("stanza", shown(k.raw)).Debug("do not send again")
	case l.acks == nil:
		err = l.write(ctx, raw)
	default:
		err = l.keep(kept{raw: raw, at: k.at})
	}
	if err == nil {
		l.backlog[0] = kept{}
		l.backlog = l.backlog[1:]
	}
	return err
}

// again gives a stanza as it is sent on another stream. Some are not: a request has ended with an error for whoever
// waited, and must not be carried out twice; and presence that states a session is older than what restate has said.
func (n *Node) again(k kept) (raw []byte, ok bool) {
	w := wire.WalkBytes(k.raw)
	w.Next()
	typ, _, _ := w.Attr("type")
	name := string(w.Local())
	if name == "iq" {
		return k.raw, string(typ) == string(stanza.ResultIQ) || string(typ) == string(stanza.ErrorIQ)
	}
	from, _, _ := w.Attr("from")
	to, _, _ := w.Attr("to")
	if at := bytes.IndexByte(from, '@'); name == "presence" && at >= 0 && (len(typ) == 0 || string(typ) == string(stanza.UnavailablePresence)) {
		if domain, _, _ := bytes.Cut(from[at+1:], []byte("/")); bytes.Equal(domain, to) {
			return nil, false
		}
	}
	for w.Next() {
		if w.Depth() == 2 && string(w.Local()) == "delay" && string(w.Space()) == stanza.NSDelay {
			return k.raw, true
		}
	}
	end := bytes.LastIndex(k.raw, []byte("</")) // the encoder writes an end tag always
	raw = append(append([]byte(nil), k.raw[:end]...), "<delay xmlns='"+stanza.NSDelay+"' from='"+n.domain.String()...)
	raw = append(k.at.UTC().AppendFormat(append(raw, "' stamp='"...), "2006-01-02T15:04:05.000Z"), "'/>"...)
	if raw = append(raw, k.raw[end:]...); len(raw) > n.cfg.MaxStanza {
		return k.raw, true // too long for the server with it
	}
	return raw, true
}
