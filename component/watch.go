package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// watchWindow is how many watches are stated again at a time: a round trip for each of 10 000 would take seconds.
const watchWindow = 64

// Located tells of a session of a watched user.
type Located struct {
	Location
	Ended bool
	Why   string // of one that ended: withdrawn, replaced, unconfirmed, node-left or kicked
}

// Watch has Config.OnSession called for the sessions of a user (a bare JID): for those that there are, then for each
// change of priority, node, or whether the node is away, and for each that begins or ends. Quick changes may be told as
// one. It returns when the server has taken the watch. A link that drops meanwhile is no error.
//
// If ctx ends first, or with ErrBehind, the outcome is open: the server may have taken the watch, and then OnSession is
// called and the next link states it too, until Unwatch.
//
// Watches die with the link, and are made again by the next one; a server takes 10 000 of a link. What ends while there
// is no link is not told: each link begins anew with the sessions that there are, so forget at OnDetach what was told
// before.
func (n *Node) Watch(ctx context.Context, who jid.JID) error {
	if n.cfg.OnSession == nil {
		return errors.New("watch: Config.OnSession is nil, so nobody would be told")
	}
	if err := bareUser(who); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	for {
		l, err := n.awaitAnswers(ctx)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		rep, err := n.watchOn(ctx, l, who)
		switch {
		case errors.Is(err, errLinkEnded):
			continue
		case err != nil:
			return fmt.Errorf("watch: %w", err)
		case rep.err != nil:
			return fmt.Errorf("watch %s: %w", who, described{*rep.err})
		}
		return nil
	}
}

// watchOn states a watch on one link. What was not written, or ended with the link, is taken back. What is answered when
// nobody waits any more is noted nevertheless.
func (n *Node) watchOn(ctx context.Context, l *link, who jid.JID) (reply, error) {
	w := &watching{}
	req := aboutUser(stanza.SetIQ, "watch", who, func(rep reply) { n.watches.settle(w, rep.err == nil) })
	req.first = func() error { n.watches.want(w, who); return nil }
	a, err := n.begin(ctx, l, req)
	if err != nil {
		n.watches.settle(w, false)
		return reply{}, err
	}
	rep, err := a.wait(ctx, l)
	if errors.Is(err, errLinkEnded) {
		n.watches.settle(w, false)
	}
	return rep, err
}

// Unwatch ends a watch, and returns when the server has done so. Config.OnSession is not called for the user after it
// was called. What is not watched is no error.
func (n *Node) Unwatch(ctx context.Context, who jid.JID) error {
	if err := bareUser(who); err != nil {
		return fmt.Errorf("unwatch: %w", err)
	}
	n.watches.drop(who)
	l, err := n.awaitAnswers(ctx)
	if err != nil {
		return fmt.Errorf("unwatch: %w", err)
	}
	req := aboutUser(stanza.SetIQ, "unwatch", who, nil)
	req.first = func() error { n.watches.drop(who); return nil } // also what a Watch has begun meanwhile: it was written before
	rep, err := n.ask(ctx, l, req)
	switch {
	case errors.Is(err, errLinkEnded): // and the watch with it
		return nil
	case err != nil:
		return fmt.Errorf("unwatch: %w", err)
	case rep.err != nil:
		return fmt.Errorf("unwatch %s: %w", who, described{*rep.err})
	}
	return nil
}

func bareUser(who jid.JID) error {
	if who.Localpart() == "" || who.Resourcepart() != "" {
		return fmt.Errorf("%s is not the bare JID of a user", who)
	}
	return nil
}

// errUnwatched says that a watch has ended before it was stated again.
var errUnwatched = errors.New("the watch has ended")

// rewatch states the watches of the last link on a new one, several at a time. The others may write meanwhile, so each
// is looked up when its turn to be written has come: an Unwatch is either seen, or its request follows.
func (n *Node) rewatch(ctx context.Context, l *link) {
	var window []restating
	for _, who := range n.watches.all() {
		w := &watching{}
		req := aboutUser(stanza.SetIQ, "watch", who, func(rep reply) { n.rewatched(w, who, rep.err) })
		req.first = func() error { return n.watches.again(w, who) }
		a, err := n.begin(ctx, l, req)
		if errors.Is(err, errUnwatched) {
			continue
		}
		if err != nil {
			n.rewatchFailed(w, err)
			break
		}
		if window = append(window, restating{w, a}); len(window) == watchWindow {
			n.rewatchWait(ctx, l, window[0])
			window = window[1:]
		}
	}
	for _, r := range window {
		n.rewatchWait(ctx, l, r)
	}
}

// restating is a watch that is being stated again.
type restating struct {
	watching *watching
	asked    *asked
}

// rewatchWait waits for one answer, of which rewatched takes note.
func (n *Node) rewatchWait(ctx context.Context, l *link, r restating) {
	if _, err := r.asked.wait(ctx, l); err != nil {
		n.rewatchFailed(r.watching, err)
	}
}

// rewatchFailed takes the end of the link; the next one states the watch.
func (n *Node) rewatchFailed(w *watching, err error) {
	n.cfg.Log.WithField("reason", err).Debug("watch again")
	if errors.Is(err, errLinkEnded) {
		n.watches.lose(w)
	}
}

// rewatched notes the answer to a watch stated again, in stream order. One that was refused is given up.
func (n *Node) rewatched(w *watching, who jid.JID, cause *stanza.Error) {
	if cause == nil {
		n.watches.settle(w, true)
	} else if n.watches.giveUp(w) {
		n.cfg.Log.WithField("reason", describe(*cause)).Warn("watch refused: " + who.String())
		n.tellRefused(who, described{*cause})
	}
}

// takeSession turns a presence that tells of a watched user's session into a call of OnSession, in stream order.
func (n *Node) takeSession(in *inbound) {
	start, ok := topChild(in.rest, sessionsName("session"))
	full, err := jid.Parse(attr(in.start, "from"))
	if n.cfg.OnSession == nil || !ok || err != nil || full.Resourcepart() == "" {
		return
	}
	told := Located{Location: readLocation(full, start)}
	if attr(in.start, "type") == string(stanza.UnavailablePresence) {
		told.Ended, told.Why = true, attr(start, "why")
	}
	in.call = func() {
		if n.watches.has(full) { // an Unwatch may have come meanwhile
			n.cfg.OnSession(told)
		}
	}
}

// topChild gives the first child of a stanza that has this name.
func topChild(rest []xml.Token, name xml.Name) (xml.StartElement, bool) {
	depth := 0
	for _, tok := range rest {
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name == name {
				return t, true
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return xml.StartElement{}, false
}
