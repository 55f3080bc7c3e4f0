package conformance

import (
	"maps"
	"slices"
	"time"
)

// all is a step that waits for several things in any order.
type all struct {
	p     *player
	whats []*what
	items []item // what has come
	of    []int  // by thing: the item that it is, -1 while it has none
}

// expectAll waits for several things in any order. Of what has come, each is one of them: an item that could be several of them is the one
// that leaves the others theirs.
func (p *player) expectAll(c *conn, s *step) *Fault {
	a := &all{p: p}
	limit := p.r.usual
	if s.span > 0 {
		limit = s.span + p.r.way
	}
	begun := time.Now()
	for i := range s.alts {
		a.whats, a.of = append(a.whats, &s.alts[i].whats[0]), append(a.of, -1)
	}
	for len(a.items) < len(a.whats) {
		it, come := c.inbox.next(begun.Add(limit))
		if !come {
			return p.fault(a.whats[slices.Index(a.of, -1)].at, "nothing", limit)
		}
		if isMarker(it, "") {
			continue // of an earlier step
		}
		a.items = append(a.items, it)
		if !a.place(len(a.items)-1, make([]bool, len(a.whats))) {
			at, got, _ := a.match(slices.Index(a.of, -1), len(a.items)-1, map[string]string{})
			if got == "" {
				got = describe(it)
			}
			return p.fault(at, got, it.at.Sub(begun))
		}
	}
	for w, i := range a.of {
		a.match(w, i, p.kept)
	}
	return nil
}

// place finds a thing that an item is, if need be by finding others for those that were taken for one before (augmenting paths).
func (a *all) place(i int, tried []bool) bool {
	for w := range a.whats {
		if _, _, fits := a.match(w, i, map[string]string{}); tried[w] || !fits {
			continue
		}
		tried[w] = true
		if a.of[w] < 0 || a.place(a.of[w], tried) {
			a.of[w] = i
			return true
		}
	}
	return false
}

// match compares an item with a thing.
func (a *all) match(w, i int, kept map[string]string) (at place, got string, ok bool) {
	m := matcher{value: a.p.value, kept: map[string]string{}}
	at, got, ok = m.match(a.whats[w], a.items[i])
	if ok {
		maps.Copy(kept, m.kept)
	}
	return at, got, ok
}
