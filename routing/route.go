package routing

import (
	"bytes"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// route brings the first k stanzas of a batch on their way, in order. First all addresses are read and the
// session table's memory is touched, so that the cache misses of a batch overlap; then one stanza after the
// other is authorised, decided and done. An error is a stream error of the stanza's sender.
func (s *Source) route(w *work, k int) error {
	w.hashes, w.version = w.hashes[:0], uint32(s.r.sessions.Version())
	for i := range k {
		s.address(w, &w.items[i])
	}
	w.touched += s.r.sessions.TouchAll(w.hashes)
	if taps := s.r.taps.Load(); taps != nil {
		return s.routeTapped(w, k, *taps)
	}
	for i := range k {
		if s.proves(w, &w.items[i]) {
			continue
		}
		w.accepted++
		if err := s.one(w, &w.items[i]); err != nil {
			s.finishRun(w)
			return err
		}
	}
	s.finishRun(w)
	return nil
}

// proves reports whether a stanza is the reply to a ping of the barrier: then it goes no further. This is asked before
// anything is asked of its addresses: two libraries answer without a from (protocol 2).
func (s *Source) proves(w *work, it *item) bool {
	if !reply(&it.h) || s.node.queue.env.off {
		return false
	}
	is, flush := s.node.queue.answered(it.h.In(it.h.ID.Value))
	if flush {
		w.queues = append(w.queues, s.node.queue)
	}
	return is
}

// address reads from and to and finds their domains. What it looks up can change until the stanza's turn
// comes; sessions are therefore only touched here.
func (s *Source) address(w *work, it *item) {
	h := &it.h
	it.fromErr, it.again, it.fromDomain, it.toDomain = false, false, nil, nil
	it.from, it.to = stanza.Address{}, stanza.Address{}
	it.scratch, it.fromHash = it.scratch[:0], 0
	var err error
	if h.From.Set() {
		if it.from, it.scratch, err = stanza.ParseAddress(h.In(h.From.Value), h.From.Escaped, it.scratch); err != nil {
			it.fromErr = true
		} else if it.fromDomain = s.domain(it.from.Domain()); s.users(it.fromDomain) {
			it.fromHash = s.hash(w, it.from)
		}
	}
	it.place, it.user = PlaceNone, nil
	if !h.To.Set() {
		return
	}
	if it.to, it.scratch, err = stanza.ParseAddress(h.In(h.To.Value), h.To.Escaped, it.scratch); err != nil {
		it.place = PlaceMalformed
		return
	}
	it.locate(s.domain(it.to.Domain()))
	if it.place == PlaceUsers && len(it.to.Local()) > 0 {
		it.toHash = s.hash(w, it.to)
	}
}

// locate notes the domain that the stanza goes to, and whose it is at this moment: it may change before its turn.
func (it *item) locate(d *domain) {
	it.toDomain, it.place, it.user = d, PlaceOther, nil
	if d == nil {
		return
	}
	it.place = d.kind()
	if it.user = d.user.Load(); it.user == nil && it.place == PlaceUsers {
		it.place = PlaceOther // taken from the users this moment
	}
}

func (s *Source) users(d *domain) bool {
	return d != nil && d.kind() == PlaceUsers && !s.Grant().SpeakDomain
}

// hash gives the key of a user's sessions, and notes it to be touched.
func (s *Source) hash(w *work, a stanza.Address) uint64 {
	hash := s.r.sessions.Hash(a.Bare())
	w.hashes = append(w.hashes, hash)
	return hash
}

// domain finds a domain in the table, through the link's memory of its own and of the last other one. Entries are
// never removed, so what is remembered stays true.
func (s *Source) domain(name []byte) *domain {
	if s.own != nil && bytes.Equal(s.own.name, name) {
		return s.own
	}
	if s.last != nil && bytes.Equal(s.last.name, name) {
		return s.last
	}
	d := s.r.table.find(name)
	switch {
	case d == nil:
	case d.node.Load() == s.node.home:
		s.own = d
	default:
		s.last = d
	}
	return d
}

// one authorises, decides and does.
func (s *Source) one(w *work, it *item) error {
	h := &it.h
	if reply(h) && it.place == PlaceServer {
		s.told(it)
	}
	if it.answers() {
		return s.reply(w, it)
	}
	if _, err := s.authorise(it); err != nil {
		w.end(BadFrom)
		return err
	}
	s.view(w, it)
	s.do(w, it, Decide(h, &w.view))
	return nil
}

// reply reports an iq result or error.
func reply(h *stanza.Header) bool {
	return h.Kind == stanza.IQ && (h.Type == stanza.TypeResult || h.Type == stanza.TypeError)
}

// answers reports whether a stanza goes to whoever asked, and not by its address alone.
func (it *item) answers() bool {
	return reply(&it.h) && (it.place == PlaceNode || it.place == PlaceUsers || !it.h.From.Set())
}

// ground is why a link may use an address as from.
type ground uint8

const (
	noGround  ground = iota
	noFrom           // there is none: the stanza is the node's own
	ownDomain        // it is the node's
	mayClaim         // the stanza announces it
	speaksAll        // the link speaks for all users of the domain
	holdsUser        // the user has a session on the node, or had one less than an hour ago
)

// authorise holds from against the names that are granted to the link (RFC 6120 8.1.2.1, XEP-0114 3). Presence
// to a user domain announces: there the grant of the domain is enough, and the service looks at it.
func (s *Source) authorise(it *item) (ground, error) {
	grant := s.Grant()
	switch {
	case !it.h.From.Set():
		return noFrom, nil
	case it.fromErr:
		return noGround, invalidFrom("from is not a valid address (RFC 7622); write user@domain/resource, or the domain of the node")
	case it.fromDomain != nil && it.fromDomain.node.Load() == s.node.home:
		return ownDomain, nil
	case it.fromDomain == nil || it.fromDomain.kind() != PlaceUsers:
		return noGround, invalidFrom("from is in a domain that this link may not use; send from the node's own domain, or from users of a domain granted to it (nodes[].users)")
	case it.h.Kind == stanza.Presence && it.place == PlaceUsers && len(it.to.Local()) == 0:
		return mayClaim, nil
	case !grant.MayAnnounce(it.from.Domain()):
		return noGround, invalidFrom("the domain of from is not granted to this link; list it under nodes[].users")
	case len(it.from.Local()) == 0:
		return noGround, invalidFrom("from is a user domain, for which only the router speaks; put a user or the domain of the node there")
	case grant.SpeakDomain:
		return speaksAll, nil
	case s.holds(it):
		return holdsUser, nil
	}
	return noGround, invalidFrom("the user in from has no session on this node; announce it first, or set speak: domain for a bridge")
}

// holds reports whether the node has the user in from, or had until lately.
func (s *Source) holds(it *item) bool {
	if it.fromHash == 0 {
		it.fromHash = s.r.sessions.Hash(it.from.Bare()) // the grant, or the domain, was another when the addresses were read
	}
	return s.r.sessions.Holds(it.fromHash, it.from.Bare(), s.node.ID())
}

func invalidFrom(text string) error {
	return &stanza.StreamError{Condition: "invalid-from", Text: text}
}

// view looks up what Decide needs.
func (s *Source) view(w *work, it *item) {
	s.look(w, it)
	if w.view.asksHint(&it.h) {
		w.view.Hint = hintOf(&it.h, s.sc.StreamHeader().Prefixes)
	}
}

// look looks up all but the hint.
func (s *Source) look(w *work, it *item) {
	s.r.look(&w.view, &w.matches, place{kind: it.place, domain: it.toDomain, user: it.user, to: it.to, hash: it.toHash,
		by: s.node, from: it.from.Bytes(), not: s.not})
}

// asksHint reports whether the decision depends on what the message says of being stored.
func (v *View) asksHint(h *stanza.Header) bool {
	return v.Offline == PolicyStore && v.Complete && h.Kind == stanza.Message && !v.someone()
}

// someone reports whether a session may get messages for the bare address.
func (v *View) someone() bool {
	for _, c := range v.Sessions {
		if c.Priority >= 0 {
			return true
		}
	}
	return false
}

// place is an address and what the table knows of its domain.
type place struct {
	kind   Place
	domain *domain
	user   *UserDomain // PlaceUsers
	to     stanza.Address
	hash   uint64
	by     *Node  // whose stanza it is
	from   []byte // and its sender
	not    *Node  // it must not go there again
}

// look fills a View for an address.
func (r *Router) look(v *View, m *[]storage.Match, p place) {
	v.Place = p.kind
	v.Local, v.Resource = len(p.to.Local()) > 0, len(p.to.Resource()) > 0
	v.Node, v.State, v.Offline, v.Hint = nil, Never, PolicyBounce, HintNone
	v.Sessions = v.Sessions[:0]
	switch {
	case p.kind == PlaceNode:
		v.Node = p.domain.node.Load().pick(p)
		v.State = v.Node.stateBut(p.not)
	case p.kind == PlaceUsers && v.Local:
		v.Complete, v.Offline = r.complete.Load(), p.user.Offline
		if v.Offline == PolicyForward {
			n := p.user.forward.pick(p)
			v.Forward = Forward{Node: n, State: n.stateBut(p.not), Loop: p.by.home == n.home}
		}
		if v.Resource {
			*m = r.sessions.Find(p.hash, p.to.Bare(), p.to.Resource(), (*m)[:0])
			if r.candidates(v, *m, true, p.not); len(v.Sessions) > 0 {
				return
			}
		}
		*m = r.sessions.Find(p.hash, p.to.Bare(), nil, (*m)[:0])
		r.candidates(v, *m, false, p.not)
	}
}

// endsBefore reports whether what waited for the node not, whose grace is being ended, is decided as if n had gone: it is that
// node, or the end of its grace began earlier. Two of them would hand it to each other for ever.
func (n *Node) endsBefore(not *Node) bool {
	return not != nil && not.ending.Load() && n.ending.Load() && n.turn.Load() <= not.turn.Load()
}

// stateBut is the node's state, for what waited for the node not.
func (n *Node) stateBut(not *Node) NodeState {
	if n.endsBefore(not) {
		return Past
	}
	return n.State()
}

func (r *Router) candidates(v *View, found []storage.Match, exact bool, not *Node) {
	for _, m := range found {
		if n := r.table.node(m.Node); n != nil && !n.endsBefore(not) {
			v.Sessions = append(v.Sessions, Candidate{Node: n, State: n.State(), Priority: m.Priority, Exact: exact})
		}
	}
}
