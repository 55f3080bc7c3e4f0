package conformance

import (
	"maps"
	"time"

	"github.com/patchbay-im/patchbay/conformance/wire"
)

// state is how far a sequence of things to come has come.
type state byte

const (
	waiting state = iota
	matched
	failed
)

// trial is one alternative beside what has come so far.
type trial struct {
	state state
	until time.Time         // of waiting: when it fails, or matches, if nothing comes
	taken int               // items it has matched
	kept  map[string]string // of matched
	fault *Fault            // of failed
}

// expect waits for what a step says must come.
func (p *player) expect(c *conn, s *step) *Fault {
	if s.all {
		return p.expectAll(c, s)
	}
	e := &expectation{p: p, c: c, s: s, begun: time.Now(), markers: map[*what]string{}}
	for {
		worst, until := e.round()
		if e.done {
			return nil
		}
		if until.IsZero() {
			return worst
		}
		c.inbox.wait(until)
	}
}

// expectation is one step that waits.
type expectation struct {
	p       *player
	c       *conn
	s       *step
	begun   time.Time
	markers map[*what]string // ids of messages that were sent for nothing until
	done    bool

	// of one round: all alternatives see the same, or a later one could win by what came after the look of an earlier one
	now   time.Time
	items []item // what had come then, and perhaps since
}

// round tries all alternatives. It gives the fault of the one that came farthest, and when one may change without news; zero if all
// have failed.
func (e *expectation) round() (worst *Fault, until time.Time) {
	taken := -1
	e.now, e.items = time.Now(), e.c.inbox.all()
	for i := range e.s.alts {
		a := &e.s.alts[i]
		t := e.try(a)
		switch t.state {
		case matched:
			e.c.inbox.take(t.taken)
			maps.Copy(e.p.kept, t.kept)
			if a.soft {
				e.p.soft = a.why
				if a.why == "" {
					e.p.soft = "a permitted alternative"
				}
			}
			e.done = true
			return nil, time.Time{}
		case waiting:
			if until.IsZero() || t.until.Before(until) {
				until = t.until
			}
		case failed:
			if t.taken > taken {
				worst, taken = t.fault, t.taken
			}
		}
	}
	return worst, until
}

// limit is how long the step waits for one thing.
func (e *expectation) limit() time.Duration {
	if e.s.span > 0 {
		return e.s.span + e.p.r.way
	}
	return e.p.r.usual
}

// try compares one alternative with what has come.
func (e *expectation) try(a *alternative) trial {
	t := trial{kept: map[string]string{}}
	since := e.begun
	for i, w := range flat(a.whats) {
		it, come := e.passOver(&t, w, a.seeks && i == 0)
		if w.kind == wGone && come && it.ev.Kind == wire.End && !it.over && it.err == nil {
			t.taken++
			it, come = e.peek(t.taken)
		}
		switch w.kind {
		case wNothing:
			if over := since.Add(w.span + e.p.r.way*2/5); come && it.at.Before(over) {
				return e.failed(t, w.at, it, since)
			} else if e.now.Before(over) {
				return trial{until: over}
			} else {
				since = over
			}
			continue
		case wMarker:
			e.mark(w)
		}
		if !come {
			if over := since.Add(e.limit()); e.now.Before(over) {
				return trial{until: over}
			}
			t.state, t.fault = failed, e.p.fault(w.at, "nothing", e.limit())
			return t
		}
		if at, got, ok := e.match(w, it, t.kept); !ok {
			t.state, t.fault = failed, e.p.fault(at, got, it.at.Sub(since))
			return t
		}
		t.taken++
		since = it.at
	}
	t.state = matched
	return t
}

// peek gives the item behind n others, if it had come when the round began.
func (e *expectation) peek(n int) (item, bool) {
	if n >= len(e.items) {
		return item{}, false
	}
	return e.items[n], true
}

// passOver gives the next item that counts: no marker of an earlier step, and, when the alternative seeks, one that fits.
func (e *expectation) passOver(t *trial, w *what, seeks bool) (it item, come bool) {
	for {
		it, come = e.peek(t.taken)
		if !come || it.over {
			return it, come
		}
		stale := isMarker(it, "") && (e.markers[w] == "" || !isMarker(it, e.markers[w]))
		if !stale && seeks {
			_, _, fits := e.match(w, it, map[string]string{})
			stale = !fits
		}
		if !stale {
			return it, come
		}
		t.taken++
	}
}

// failed is a trial that something has ended.
func (e *expectation) failed(t trial, at place, it item, since time.Time) trial {
	t.state, t.fault = failed, e.p.fault(at, describe(it), it.at.Sub(since))
	return t
}

// mark sends the message behind which nothing more is to come, once.
func (e *expectation) mark(w *what) {
	if e.markers[w] != "" {
		return
	}
	e.markers[w] = "none"
	if from := e.p.conns[w.actor]; from != nil {
		e.markers[w] = e.p.marker(from, e.c.node.Domain)
	}
}

// match compares one thing that has come with what must come.
func (e *expectation) match(w *what, it item, kept map[string]string) (at place, got string, ok bool) {
	if w.kind == wMarker {
		return w.at, describe(it), isMarker(it, e.markers[w])
	}
	return (&matcher{value: e.p.value, kept: kept}).match(w, it)
}

// flat gives the things of an alternative one by one: close is two.
func flat(whats []what) []*what {
	var all []*what
	for i := range whats {
		if whats[i].kind == wClose {
			all = append(all, &what{at: whats[i].at, kind: wEnd}, &what{at: whats[i].at, kind: wEOF})
			continue
		}
		all = append(all, &whats[i])
	}
	return all
}
