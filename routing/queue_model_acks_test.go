package routing

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
)

// modelStream is a stream whose peer counts what it has handled (XEP-0198), over all links that go on with each other.
type modelStream struct {
	id      string // under which it may be resumed; "": it may not
	since   int    // the first number that was given after it attached
	list    []modelWhole
	count   int        // handled
	started []modelKey // read, and not handled yet
	said    int        // the highest count that the queue was told
}

// modelWhole is a stanza that was taken whole.
type modelWhole struct {
	key modelKey
	raw string
}

// joinCounting makes a peer that counts the link.
func (m *queueModel) joinCounting(t *rapid.T, p *modelPeer) {
	s := &modelStream{since: len(m.all)}
	if rapid.IntRange(0, 3).Draw(t, "resumable") > 0 {
		s.id = fmt.Sprint("id", len(m.all))
	}
	m.counts(t, p, s)
	m.link = p
	m.q.attachAcks(p, s.id)
	m.must(m.q.begin(p, nil))
	m.settle()
}

// counts makes a peer one that counts.
func (m *queueModel) counts(t *rapid.T, p *modelPeer, s *modelStream) {
	p.stream, p.base, p.since, p.grade, p.drops = s, s.count, s.since, GradeAcked, false
	p.eager = rapid.IntRange(0, 3).Draw(t, "eager") == 0
	p.async = p.async && !p.eager
	p.ahead = stanza.NewScanner(stanza.DefaultLimits)
	_, _, err := p.ahead.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
}

// resumable reports whether the link may be resumed after a drop.
func (p *modelPeer) resumable() bool { return p.stream != nil && p.stream.id != "" }

// resume goes on with a stream whose link dropped, or tries to.
func (m *queueModel) resume(t *rapid.T) {
	how := rapid.SampledFrom([]string{"", "", "", "too high", "other id", "given up"}).Draw(t, "how")
	run := rapid.Bool().Draw(t, "run")
	room := 200 + rapid.SampledFrom([]int{0, 3, 5000, 1 << 30}).Draw(t, "room")
	s := m.held
	if s == nil {
		return
	}
	for _, k := range s.started { // else the process forgets them
		if run {
			m.counted(s, k)
		}
	}
	s.started = nil
	id, h := s.id, uint32(s.count)
	switch how {
	case "too high":
		h = uint32(len(s.list) + 1)
	case "other id":
		id = "x"
	}
	ok, err := m.q.claim(id, h)
	var high *TooHigh
	switch {
	case how == "too high" && (!errors.As(err, &high) || high.Sent != h-1), how == "other id" && (ok || err != nil),
		(how == "" || how == "given up") && (!ok || err != nil):
		m.t.Fatalf("%q: it is resumed %v, %v", how, ok, err)
	case how == "":
		m.goOn(t, room)
		return
	}
	if how == "given up" && (m.q.takeBack() || m.q.holdsFor(userHash([]byte("u0@im")))) {
		m.t.Fatalf("it was taken back while a link was about to go on with it")
	}
	if !m.q.unclaim() {
		m.t.Fatalf("%q: it is held no more", how)
	}
	if how == "given up" {
		m.say(s)
	}
	m.settle()
}

// goOn goes on with a stream that was claimed.
func (m *queueModel) goOn(t *rapid.T, room int) {
	s := m.held
	m.say(s)
	p := m.newPeer(answers(rapid.IntRange(0, int(later)).Draw(t, "kind")), room)
	p.async = rapid.Bool().Draw(t, "async")
	m.counts(t, p, s)
	m.link, m.held = p, nil
	if id, ok := m.q.resume(p); !ok || id != s.id {
		m.t.Fatalf("%q is resumed, and was %q: %v", id, s.id, ok)
	}
	m.must(m.q.begin(p, nil))
	m.settle()
}

// say notes that the queue knows the peer's count.
func (m *queueModel) say(s *modelStream) {
	for _, w := range s.list[s.said:s.count] {
		m.parts[w.key].counted = true
		if w.key.to == "" {
			for _, u := range m.all[w.key.n].users {
				m.parts[modelKey{w.key.n, u}].counted = true
			}
		}
	}
	s.said = s.count
}

// takeBack ends the time in which the stream may be resumed.
func (m *queueModel) takeBack() {
	if held := m.q.takeBack(); held != (m.held != nil) {
		m.t.Fatalf("something was held: %v", held)
	}
	m.forget()
}

// forget notes that what was held waits: unproved stanzas may come again, and requests are done with.
func (m *queueModel) forget() {
	if m.held == nil {
		return
	}
	m.held = nil
	m.lost()
}

// tell tells the peer how many of its stanzas are in custody.
func (m *queueModel) tell(t *rapid.T) {
	if m.link == nil || m.link.stream == nil {
		return
	}
	m.link.own += rapid.IntRange(0, 3).Draw(t, "own")
	flush := false
	if open := rapid.IntRange(-5, 5).Draw(t, "open"); open < 0 {
		flush = m.q.mention(m.link, uint64(m.link.own))
	} else {
		flush = m.q.acknowledge(m.link, uint64(m.link.own), uint64(m.link.own+open))
	}
	if flush {
		m.q.flush()
	}
}

// heard checks that the peer has been told what it is to be told, asked or not, when time has passed and its socket takes more.
func (m *queueModel) heard() {
	p := m.link
	if p == nil || p.stream == nil || p.dead() {
		return
	}
	p.mu.Lock()
	room := p.room
	p.mu.Unlock()
	if room > 0 && p.heard != p.own {
		m.t.Fatalf("the peer was told of %d, and it is %d", p.heard, p.own)
	}
}

// countHigh counts more stanzas than there are.
func (m *queueModel) countHigh(t *rapid.T) {
	more := rapid.IntRange(1, 1000).Draw(t, "more")
	if m.link == nil || m.link.stream == nil || m.link.dead() {
		return
	}
	m.settle()
	var high *TooHigh
	if _, err := m.q.acked(uint32(len(m.link.stream.list) + 4*len(m.all) + more)); !errors.As(err, &high) {
		m.t.Fatalf("%d stanzas were taken, and %d more are counted: %v", len(m.link.stream.list), more, err)
	}
}

// takenNext looks at a stanza that a peer took which counts: first come those that it has not counted, as they were, and then new ones.
func (m *queueModel) takenNext(p *modelPeer, k modelKey, raw []byte) {
	if p.stream == nil {
		m.taken(p, k, raw)
		return
	}
	s, i := p.stream, p.base+len(p.whole)
	if i == len(s.list) {
		s.list = append(s.list, modelWhole{k, string(raw)})
		m.taken(p, k, raw)
		return
	}
	if was := s.list[i]; was.key != k || was.raw != string(raw) {
		m.t.Fatalf("number %d was stanza %v, and is %v after the link was resumed at %d: %.300s, and now %.300s", i+1, was.key, k, p.base, was.raw, raw)
	}
	p.whole, p.sizes = append(p.whole, k), append(p.sizes, len(raw))
}

// counted notes that the application has a stanza, and the stream's count.
func (m *queueModel) counted(s *modelStream, k modelKey) {
	if s.count >= len(s.list) || s.list[s.count].key != k {
		m.t.Fatalf("stanza %v is handled, and is not number %d", k, s.count+1)
	}
	s.count++
	m.handled(k)
}

// element notes an element that is no stanza, and reports whether it is one.
func (p *modelPeer) element(raw []byte, e *peerEvent) bool {
	switch {
	case p.stream == nil:
		return false
	case string(raw) == ackRequest:
		e.ping = "r"
	case bytes.HasPrefix(raw, []byte("<a xmlns='urn:xmpp:sm:3' h='")):
		h, _, _ := bytes.Cut(raw[len("<a xmlns='urn:xmpp:sm:3' h='"):], []byte("'"))
		n, err := strconv.Atoi(string(h))
		if err != nil || n < p.heard || n > p.own {
			p.m.t.Fatalf("%s, after %d, and it is %d", raw, p.heard, p.own)
		}
		p.heard, e.ping = n, "a"
	default:
		return false
	}
	return true
}

// runAhead counts stanzas the moment that they come, while the queue is still writing. Called with mu held, which it gives up.
func (p *modelPeer) runAhead(b []byte) {
	h := &stanza.Header{}
	p.tail = append(p.tail, b...)
	for {
		tok, n, err := p.ahead.Next(p.tail, h)
		if err != nil || tok == stanza.None {
			p.tail = bytes.Clone(p.tail[n:])
			break
		}
		if h.Kind != stanza.Other {
			p.eagerly++
		}
		p.tail = p.tail[n:]
	}
	count := uint32(p.base + p.eagerly)
	p.mu.Unlock()
	_, err := p.m.q.acked(count)
	p.mu.Lock()
	if err != nil && p.fault == nil {
		p.fault = err
	}
}

// lookAhead notes what a peer has handled that counts at once.
func (p *modelPeer) lookAhead() {
	if !p.eager {
		return
	}
	p.mu.Lock()
	upTo, err := p.base+p.eagerly, p.fault
	p.mu.Unlock()
	p.m.must(err)
	for ; p.next < len(p.wire) && (p.stream.count < upTo || p.wire[p.next].ping != ""); p.next++ {
		if e := p.wire[p.next]; e.ping == "" {
			p.m.counted(p.stream, e.key)
		}
	}
	p.m.say(p.stream)
}

// turnCounting is one turn of a process that counts.
func (p *modelPeer) turnCounting(n int) {
	for _, k := range p.stream.started {
		p.m.counted(p.stream, k)
	}
	p.stream.started = nil
	p.read = min(p.length, p.read+n)
	for ; p.next < len(p.wire) && p.wire[p.next].end <= p.read; p.next++ {
		switch e := p.wire[p.next]; {
		case e.ping == "r" && p.kind == later:
			p.asked = append(p.asked, e.ping)
		case e.ping == "r":
			p.tellCount()
		case e.ping != "":
		case p.async:
			p.stream.started = append(p.stream.started, e.key)
		default:
			p.m.counted(p.stream, e.key)
		}
	}
}

// answerCounting answers questions for the count; one whose handlers run later tells of them unasked.
func (p *modelPeer) answerCounting(n int) {
	if len(p.asked) > 0 || p.async {
		p.asked = p.asked[min(n, len(p.asked)):]
		p.tellCount()
	}
}

// tellCount sends the count.
func (p *modelPeer) tellCount() {
	if p.dead() {
		return
	}
	p.m.say(p.stream)
	flush, err := p.m.q.acked(uint32(p.stream.count))
	p.m.must(err)
	if flush {
		p.m.q.flush()
	}
}
