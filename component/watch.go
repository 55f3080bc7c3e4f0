package component

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// watchWindow is how many watches are stated again at a time: a round trip for each of 10 000 would take seconds.
const watchWindow = 64

// Located tells of a session of a watched user.
type Located struct {
	Location
	Ended bool
	Why   string // of one that ended: withdrawn, replaced, unconfirmed or node-left
}

// Watch has Config.OnSession called for the sessions of a user (a bare JID): for those that there are, then for each
// change of priority, node, or whether the node is away, and for each that begins or ends. Quick changes may be told as
// one. It returns when the server has taken the watch. A link that drops meanwhile is no error.
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
		l, err := n.await(ctx)
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		n.watches.want(who)
		rep, err := n.ask(ctx, l, aboutUser(stanza.SetIQ, "watch", who, func(rep reply) { n.watches.settle(who, rep.err == nil) }))
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

// Unwatch ends a watch, and returns when the server has done so. Config.OnSession is not called for the user after it
// was called. What is not watched is no error.
func (n *Node) Unwatch(ctx context.Context, who jid.JID) error {
	if err := bareUser(who); err != nil {
		return fmt.Errorf("unwatch: %w", err)
	}
	n.watches.drop(who)
	l, err := n.await(ctx)
	if err != nil {
		return fmt.Errorf("unwatch: %w", err)
	}
	rep, err := n.ask(ctx, l, aboutUser(stanza.SetIQ, "unwatch", who, nil))
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

// rewatch states the watches of the last link on a new one, several at a time. The others may write meanwhile, so one
// that Unwatch ends just now may be stated after it: it is taken back.
func (n *Node) rewatch(ctx context.Context, l *link) {
	type open struct {
		who jid.JID
		ask *asked
	}
	var window []open
	for _, who := range n.watches.all() {
		a, err := n.begin(ctx, l, aboutUser(stanza.SetIQ, "watch", who, func(rep reply) { n.watchRefused(who, rep.err) }))
		if err != nil {
			n.cfg.Log.WithField("reason", err).Debug("watch again")
			return // the link has ended
		}
		if window = append(window, open{who, a}); len(window) == watchWindow {
			n.rewatched(ctx, l, window[0].who, window[0].ask)
			window = window[1:]
		}
	}
	for _, w := range window {
		n.rewatched(ctx, l, w.who, w.ask)
	}
}

// rewatched takes the answer to a watch stated again.
func (n *Node) rewatched(ctx context.Context, l *link, who jid.JID, a *asked) {
	rep, err := a.wait(ctx, l)
	if err != nil || rep.err != nil || n.watches.has(who) {
		return // after an error of the link the next one states it
	}
	if _, err := n.ask(ctx, l, aboutUser(stanza.SetIQ, "unwatch", who, nil)); err != nil {
		n.cfg.Log.WithField("reason", err).Debug("take a watch back")
	}
}

// watchRefused gives up a watch that was refused when stated again, in stream order.
func (n *Node) watchRefused(who jid.JID, cause *stanza.Error) {
	if cause != nil && n.watches.drop(who) {
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

// watches are the users that this node watches, by bare JID.
type watches struct {
	mu sync.Mutex
	m  map[string]watched // guarded by mu
}

type watched struct {
	who  jid.JID
	sure bool // the server has taken it; else a Watch waits for the answer
}

func (w *watches) init() { w.m = make(map[string]watched) }

// want notes what is being watched, so that a reconnect meanwhile states it.
func (w *watches) want(who jid.JID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.m[who.String()]; !ok {
		w.m[who.String()] = watched{who: who}
	}
}

// settle notes the server's answer to a watch.
func (w *watches) settle(who jid.JID, taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch old, ok := w.m[who.String()]; {
	case taken && ok:
		w.m[who.String()] = watched{who: who, sure: true}
	case !old.sure:
		delete(w.m, who.String())
	}
}

// drop forgets a watch, and reports whether the server had taken it.
func (w *watches) drop(who jid.JID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	sure := w.m[who.String()].sure
	delete(w.m, who.String())
	return sure
}

func (w *watches) has(who jid.JID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.m[who.Bare().String()]
	return ok
}

func (w *watches) all() []jid.JID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []jid.JID
	for _, key := range slices.Sorted(maps.Keys(w.m)) {
		out = append(out, w.m[key].who)
	}
	return out
}
