package routing

import (
	"slices"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// TapFilter says which stanzas a Tap shows.
type TapFilter struct {
	// Match is a bare or full JID that the stanza is from or to, or a domain: that of an address, of the node that sent
	// the stanza, or of one that gets it. "" is all; what is no address is none.
	Match string
	Body  bool // with the whole stanza
}

// Passed is one stanza that a link sent, and what became of it at once.
type Passed struct {
	Time     time.Time
	Node     string // that sent it
	Kind     string
	Type, ID string // as on the wire
	From, To string // canonical, or as on the wire if they are malformed
	Bytes    int
	Action   string   // an Action's word, or EndLink
	Reason   Reason   // of a bounce or a drop; beside deliver, of copies that found no room
	Targets  []string // nodes that get a copy, now or when they are back
	XML      []byte   // TapFilter.Body
	Lost     uint64   // stanzas that passed before this one and were not shown: the reader was too slow
}

// The bounds of taps.
const (
	maxTaps   = 4
	tapLen    = 1024 // stanzas that wait for the reader
	tapBodies = 64   // and with Body
)

// Tap shows stanzas that pass. What links send is shown, once; not what the server makes, nor what waited and goes on.
type Tap struct {
	// set once
	r      *Router
	filter TapFilter
	match  stanza.Address
	domain bool // match is a domain
	none   bool // nothing matches

	// guarded by mu
	mu     sync.Mutex
	ch     chan Passed
	lost   uint64
	closed bool
}

// Tap begins to show stanzas, until Close. It gives nil when 4 taps are open. No link ever waits for a tap: what finds no
// room is counted.
func (r *Router) Tap(f TapFilter) *Tap {
	t := &Tap{r: r, filter: f, ch: make(chan Passed, tapLen)}
	if f.Body {
		t.ch = make(chan Passed, tapBodies)
	}
	if f.Match != "" {
		var err error
		t.match, _, err = stanza.ParseAddress([]byte(f.Match), false, nil)
		t.none, t.domain = err != nil, err == nil && t.match.IsDomain()
	}
	for {
		old := r.taps.Load()
		var all []*Tap
		if old != nil {
			all = slices.Clone(*old)
		}
		if len(all) == maxTaps {
			return nil
		}
		if all = append(all, t); r.taps.CompareAndSwap(old, &all) {
			return t
		}
	}
}

// C gives the stanzas. It is closed by Close.
func (t *Tap) C() <-chan Passed { return t.ch }

// Close ends the tap. It may be called more than once.
func (t *Tap) Close() {
	for done := false; !done; {
		old := t.r.taps.Load()
		if old == nil || !slices.Contains(*old, t) {
			break
		}
		all := slices.DeleteFunc(slices.Clone(*old), func(o *Tap) bool { return o == t })
		next := &all
		if len(all) == 0 {
			next = nil
		}
		done = t.r.taps.CompareAndSwap(old, next)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.ch)
	}
}

// pass shows a stanza if there is room.
func (t *Tap) pass(p Passed, raw []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	if len(t.ch) == cap(t.ch) {
		t.lost++ // only pass adds, with mu held
		return
	}
	if t.filter.Body {
		p.XML = slices.Clone(raw)
	}
	p.Lost, t.lost = t.lost, 0
	t.ch <- p
}

// wants reports whether a stanza matches. Domains of targets are known only when it is decided.
func (t *Tap) wants(s *Source, it *item, targets []string) bool {
	switch {
	case t.none:
		return false
	case t.match.IsZero():
		return true
	case t.domain:
		name := t.match.Bytes()
		return s.node.Domain == string(name) || string(it.from.Domain()) == string(name) || string(it.to.Domain()) == string(name) ||
			slices.Contains(targets, string(name))
	case t.match.IsBare():
		return string(it.from.Bare()) == string(t.match.Bytes()) || string(it.to.Bare()) == string(t.match.Bytes())
	}
	return it.from.Equal(t.match) || it.to.Equal(t.match)
}

// routeTapped routes the first k stanzas of a batch while somebody looks: each by itself, so that what became of it can be
// told.
func (s *Source) routeTapped(w *work, k int, taps []*Tap) error {
	for i := range k {
		it := &w.items[i]
		if s.proves(w, it) {
			continue
		}
		var want []*Tap
		p := s.foresee(w, it)
		for _, t := range taps {
			if t.wants(s, it, p.Targets) {
				want = append(want, t)
			}
		}
		w.accepted++
		before := w.why
		err := s.one(w, it)
		s.finishRun(w)
		p.ended(w, &before, err)
		for _, t := range want {
			t.pass(p, it.h.Raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// foresee describes a stanza, and says where it is about to go.
func (s *Source) foresee(w *work, it *item) Passed {
	h := &it.h
	text := func(a stanza.Attr, canonical stanza.Address) string {
		if !canonical.IsZero() {
			return canonical.String()
		}
		return string(stanza.AppendUnescaped(nil, h.In(a.Value)))
	}
	p := Passed{Time: s.r.now(), Node: s.node.Domain, Kind: h.Kind.String(), Type: text(h.TypeAttr, stanza.Address{}), ID: string(it.id()),
		From: text(h.From, it.from), To: text(h.To, it.to), Bytes: len(h.Raw)}
	v, direct := s.foreseen(w, it)
	p.Action = v.Action.String()
	if (v.Action == Deliver || v.Action == Store) && !direct && (s.mustWait(it) || s.isBehind(it, v.Targets)) {
		p.Action = Hold.String()
		return p
	}
	for _, t := range v.Targets {
		p.Targets = append(p.Targets, t.Node.Domain)
	}
	return p
}

// foreseen gives the verdict that Source.one is about to come to. direct is as answerTo gives it.
func (s *Source) foreseen(w *work, it *item) (v Verdict, direct bool) {
	if !it.answers() {
		s.view(w, it)
		return Decide(&it.h, &w.view), false
	}
	if it.place == PlaceServer || it.place == PlaceNone {
		return Verdict{Action: Serve}, true
	}
	var asked []byte
	if it.h.From.Set() {
		asked = it.from.Bytes()
	}
	origin, _ := s.r.iqs.pending(s.node, asked, it.to.Bytes(), it.id())
	if origin == nil {
		return Verdict{Action: Drop}, true
	}
	return s.answerTo(w, it, origin)
}

// ended adds what became of the stanza, by what was counted for it.
func (p *Passed) ended(w *work, before *[reasons]uint64, err error) {
	failed := 0
	for i := range w.why {
		if n := w.why[i] - before[i]; n > 0 {
			failed += int(n)
			p.Reason = Reason(i)
		}
	}
	switch {
	case err != nil:
		p.Action, p.Targets = EndLink, nil
	case failed == 0, p.Action == FanOut.String(), p.Action == Deliver.String() && failed < len(p.Targets):
	case p.Reason.Outcome() == Bounced:
		p.Action, p.Targets = Bounce.String(), nil
	default:
		p.Action, p.Targets = Drop.String(), nil
	}
}
