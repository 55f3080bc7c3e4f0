package component

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"
)

// batchLimit is how many items one statement may hold (urn:patchbay:sessions:1).
const batchLimit = 1000

// restateWait is how long the others wait for the server's answers when sessions are stated again.
const restateWait = 2 * time.Second

// Session is a user's resource that is on this node.
type Session struct {
	JID      jid.JID // full
	Priority int8    // RFC 6121 4.7.2.3; negative: reached under its full address only
}

// ItemError says which item a server refused, and why. Nothing of its batch took effect: batches are the runs of up
// to 1000 items of one domain, in the order given, and those before it did.
type ItemError struct {
	Index int     // in what was given to Announce
	JID   jid.JID // the item
	Cause stanza.Error
}

// Error gives address, condition and text.
func (e *ItemError) Error() string { return "announce " + e.JID.String() + ": " + describe(e.Cause) }

// Unwrap gives the stanza error.
func (e *ItemError) Unwrap() error { return e.Cause }

// Announce says that these users (full JIDs) are on this node now, with priority 0, and returns when the server has
// it on its disk. It is a log-in: a session that another node holds moves here. A link that drops meanwhile is no
// error, the announcement is repeated on the next one. A refused item is an *ItemError. If ctx ends first the
// outcome is open.
//
// What is announced is kept: after each reconnect all of it is stated again, until Withdraw or OnReplaced.
func (n *Node) Announce(ctx context.Context, jids ...jid.JID) error {
	list := make([]Session, len(jids))
	for i, j := range jids {
		list[i] = Session{JID: j}
	}
	return n.AnnounceWith(ctx, list)
}

// AnnounceWith is Announce for sessions with priorities. Of a session that is here already it changes the priority.
func (n *Node) AnnounceWith(ctx context.Context, list []Session) error {
	batches, err := batch(list)
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := n.state(ctx, b, "announce"); err != nil {
			return err
		}
	}
	return nil
}

// Withdraw says that these users have left, and returns when the server has it on its disk. What this node does not
// hold is no error. A link that drops meanwhile is no error either.
func (n *Node) Withdraw(ctx context.Context, jids ...jid.JID) error {
	list := make([]Session, len(jids))
	for i, j := range jids {
		list[i] = Session{JID: j}
	}
	batches, err := batch(list)
	if err != nil {
		return err
	}
	for _, b := range batches {
		n.held.drop(b)
	}
	for _, b := range batches {
		if err := n.state(ctx, b, "withdraw"); err != nil {
			return err
		}
	}
	return nil
}

// Announced gives the sessions that this node holds, sorted by address.
func (n *Node) Announced() []Session {
	var out []Session
	for _, domain := range n.held.domains() {
		for _, key := range n.held.keys(domain) {
			if h, ok := n.held.get(domain, key); ok {
				out = append(out, Session{JID: h.jid, Priority: h.priority})
			}
		}
	}
	return out
}

// item is one line of a statement.
type item struct {
	key   string // canonical full JID
	index int    // in what the caller gave
	Session
}

// statement is a run of items that fits into one iq: all of one domain, at most batchLimit.
type statement struct {
	domain string
	items  []item
}

// batch splits a list. Items keep the order in which they were given within their domain.
func batch(list []Session) ([]statement, error) {
	var out []statement
	open := make(map[string]int) // domain -> index in out of the batch with room
	for i, s := range list {
		if s.JID.Resourcepart() == "" || s.JID.Localpart() == "" {
			cause := stanza.Error{Type: stanza.Modify, Condition: stanza.JIDMalformed,
				Text: map[string]string{"": "a session is named by a full JID, user@domain/resource"}}
			return nil, &ItemError{Index: i, JID: s.JID, Cause: cause}
		}
		domain := s.JID.Domainpart()
		at, ok := open[domain]
		if !ok || len(out[at].items) == batchLimit {
			at = len(out)
			open[domain] = at
			out = append(out, statement{domain: domain})
		}
		out[at].items = append(out[at].items, item{key: s.JID.String(), index: i, Session: s})
	}
	return out, nil
}

// state sends one statement, on as many links as it takes until one answers it.
func (n *Node) state(ctx context.Context, b statement, verb string) error {
	for {
		l, err := n.awaitAnswers(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		var gone []item // taken over while they were announced
		settle := func(reply) { n.held.drop(b) }
		if verb == "announce" {
			n.held.want(b)
			settle = func(rep reply) { gone = n.held.settle(b, rep.err == nil) }
		}
		rep, err := n.askSessions(ctx, l, b.domain, sessionsPayload("", verb, b.items), settle)
		if err == nil {
			err = n.contested(ctx, l, b, gone)
		}
		switch {
		case errors.Is(err, errLinkEnded):
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", verb, err)
		case rep.err == nil:
			return nil
		}
		if at := refusedItem(rep.payload); at >= 0 && at < len(b.items) {
			return &ItemError{Index: b.items[at].index, JID: b.items[at].JID, Cause: *rep.err}
		}
		return fmt.Errorf("%s to %s: %w", verb, b.domain, described{*rep.err})
	}
}

// described is a stanza error whose text for people names the condition too.
type described struct{ cause stanza.Error }

func (d described) Error() string { return describe(d.cause) }
func (d described) Unwrap() error { return d.cause }

// describe gives condition and text of a stanza error.
func describe(e stanza.Error) string {
	if text := e.Error(); text != string(e.Condition) {
		return string(e.Condition) + ": " + text
	}
	return string(e.Condition)
}

// restate tells a new link everything this node holds (a sync) and sends again what the last one left, then lets the
// others write and watches again what was watched.
//
// The others wait for the answers, so that nothing is sent for a session that the server may have forgotten, but not for
// long: the server answers behind all that it has kept for the node, and gives no more of that than the node has handled;
// a handler that waited to send would wait for ever.
func (n *Node) restate(l *link) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	release := sync.OnceFunc(func() {
		if err := n.resend(ctx, l); err != nil {
			n.cfg.Log.WithField("reason", err).Debug("send again what is not acknowledged")
		}
		close(l.ready)
	})
	late := time.AfterFunc(restateWait, release)
	defer release() // which waits for the other call, if there is one
	defer late.Stop()
	domains := append(slices.Clone(n.cfg.Users), n.held.domains()...)
	domains = slices.Compact(slices.Sorted(slices.Values(domains)))
	begun := false
	for i, domain := range domains {
		err := n.sync(ctx, l, domain, &begun, i == len(domains)-1)
		if errors.Is(err, errLinkEnded) {
			return
		}
		if err != nil {
			n.cfg.Log.WithField("reason", err).Warn("restate the sessions of " + domain)
		}
	}
	release()
	n.tellAttached()
	n.rewatch(ctx, l)
}

// sync states all sessions of one domain, in parts of one sync for all domains, for its end withdraws what was not stated
// in any. An item that the server refuses is given up and the part sent again without it: a part takes effect as a whole
// or not at all.
func (n *Node) sync(ctx context.Context, l *link, domain string, begun *bool, ends bool) error {
	keys := n.held.keys(domain)
	for last := false; !last; {
		var part statement
		part, keys = n.held.part(domain, keys)
		last = len(keys) == 0
		var gone []item
		rep, err := n.askSessions(ctx, l, domain, sessionsPayload(syncWord(!*begun, last && ends), "announce", part.items),
			func(rep reply) {
				if rep.err == nil {
					gone = n.held.settle(part, true)
				}
			})
		if err == nil {
			err = n.contested(ctx, l, part, gone)
		}
		if err != nil {
			return err
		}
		if rep.err == nil {
			*begun = true
			continue
		}
		at := refusedItem(rep.payload)
		if at < 0 || at >= len(part.items) {
			return described{*rep.err}
		}
		n.giveUp(part, at, *rep.err)
		for _, it := range slices.Delete(part.items, at, at+1) {
			keys = append(keys, it.key)
		}
		last = false
	}
	return nil
}

// syncWord names the part of a sync.
func syncWord(first, last bool) string {
	switch {
	case first && last:
		return "all"
	case first:
		return "start"
	case last:
		return "end"
	}
	return "more"
}

func (n *Node) giveUp(part statement, at int, cause stanza.Error) {
	refused := part.items[at]
	n.held.drop(statement{domain: part.domain, items: []item{refused}})
	n.cfg.Log.WithField("reason", describe(cause)).Warn("session refused: " + refused.key)
	n.tellRefused(refused.JID, described{cause})
}

func (n *Node) tellRefused(j jid.JID, cause error) {
	n.inbox.push(inbound{call: func() {
		if n.cfg.OnRefused != nil {
			n.cfg.OnRefused(j, cause)
		}
	}})
}

// holding is what is known of one session of this node.
type holding struct {
	jid      jid.JID
	priority int8
	sure     bool // the server has confirmed it; else an Announce waits for the answer
}

// sessions are the sessions of this node, by domain and canonical full JID.
type sessions struct {
	mu sync.Mutex
	m  map[string]map[string]holding // guarded by mu
}

func (s *sessions) init() { s.m = make(map[string]map[string]holding) }

// want notes what is being announced, so that a reconnect meanwhile restates it.
func (s *sessions) want(b statement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[b.domain] == nil {
		s.m[b.domain] = make(map[string]holding)
	}
	for _, it := range b.items {
		if _, ok := s.m[b.domain][it.key]; !ok {
			s.m[b.domain][it.key] = holding{jid: it.JID, priority: it.Priority}
		}
	}
}

// settle notes the server's answer to an announcement, and gives what was taken out since want: by the notice of a
// take-over, or by a Withdraw.
func (s *sessions) settle(b statement, taken bool) (gone []item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range b.items {
		switch h, ok := s.m[b.domain][it.key]; {
		case taken && ok:
			s.m[b.domain][it.key] = holding{jid: it.JID, priority: it.Priority, sure: true}
		case taken:
			gone = append(gone, it)
		case !h.sure:
			delete(s.m[b.domain], it.key)
		}
	}
	return gone
}

// decide notes whether the server has the one session of b here. False: a notice came since want, and what it says may
// be newer.
func (s *sessions) decide(b statement, here bool) bool {
	if !here {
		s.drop(b)
		return true
	}
	return len(s.settle(b, true)) == 0
}

func (s *sessions) drop(b statement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range b.items {
		delete(s.m[b.domain], it.key)
	}
}

func (s *sessions) get(domain, key string) (holding, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.m[domain][key]
	return h, ok
}

func (s *sessions) domains() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.m))
}

func (s *sessions) keys(domain string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.m[domain]))
}

// part gives the next part of a sync and the keys that remain after it. What was withdrawn since is left out.
func (s *sessions) part(domain string, keys []string) (statement, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := statement{domain: domain}
	for len(keys) > 0 && len(b.items) < batchLimit {
		if h, ok := s.m[domain][keys[0]]; ok {
			b.items = append(b.items, item{key: keys[0], Session: Session{JID: h.jid, Priority: h.priority}})
		}
		keys = keys[1:]
	}
	return b, keys
}
