package routing

import (
	"bytes"
	"strconv"
	"sync"

	"github.com/patchbay-im/patchbay/stanza"
)

// answers says which pings a peer answers, and when.
type answers uint8

const (
	atOnce     answers = iota
	later              // when the model says so
	never              // three libraries
	plainOnly          // AnyEvent::XMPP
	clientOnly         // mellium
	sometimes          // every third
	answerKinds
)

// modelPeer is a link, and the process behind it. What the link took and the process has not read is lost when it breaks, and
// so is what was read and whose handler has not run.
type modelPeer struct {
	// set once
	m     *queueModel
	kind  answers
	async bool // handlers run at the process's next turn, and replies leave before (pingbarrier.md, slixmpp)
	drops bool

	mu     sync.Mutex
	freed  *sync.Cond
	got    []byte // guarded by mu: taken since the last look
	room   int    // guarded by mu
	broken bool   // guarded by mu

	// the model's
	sc      *stanza.Scanner
	rest    []byte // of a stanza that was taken in part
	length  int    // of what was taken
	wire    []peerEvent
	read    int // bytes that the process has read
	next    int // first event that it has not
	started []modelKey
	asked   []string
	pings   int
	whole   []modelKey // stanzas that were taken whole
	sizes   []int      // and their bytes
	since   int        // the first number that was given after it attached
	grade   Grade      // when it was looked at last
	most    int        // bytes that may be unproved, since it is proved

	// of one that counts
	stream  *modelStream
	eager   bool            // it counts the moment that a stanza comes
	base    int             // of the stream's stanzas were counted when the link began
	own     int             // stanzas of its own that are in custody
	heard   int             // and that it was told
	ahead   *stanza.Scanner // guarded by mu, like the rest: of an eager one
	tail    []byte
	eagerly int
	fault   error
}

// peerEvent is a stanza, or a ping, that the link took whole.
type peerEvent struct {
	key    modelKey
	ping   string
	client bool
	end    int
}

func (m *queueModel) newPeer(kind answers, room int) *modelPeer {
	p := &modelPeer{m: m, kind: kind, room: room, sc: stanza.NewScanner(stanza.DefaultLimits)}
	p.freed = sync.NewCond(&p.mu)
	_, _, err := p.sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	return p
}

func (p *modelPeer) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.room, len(b))
	p.got = append(p.got, b[:n]...)
	p.room -= n
	if p.broken {
		return n, errBroken // what was taken at the last moment is not known to have been
	}
	if p.eager {
		p.runAhead(b[:n])
	}
	return n, nil
}

func (p *modelPeer) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = p.TryWrite(b[n:])
		n += k
		p.mu.Lock()
		for err == nil && n < len(b) && p.room == 0 && !p.broken {
			p.freed.Wait()
		}
		p.mu.Unlock()
	}
	return n, err
}

func (p *modelPeer) Interrupt() {
	p.mu.Lock()
	p.broken = true
	p.mu.Unlock()
	p.freed.Broadcast()
}

func (p *modelPeer) give(n int) {
	p.mu.Lock()
	p.room += n
	p.mu.Unlock()
	p.freed.Broadcast()
}

// look notes what the link has taken. Each stanza that it took whole is newer than the one before, and none comes again that
// was not unproved when a link dropped.
func (p *modelPeer) look() {
	p.mu.Lock()
	p.rest = append(p.rest, p.got...)
	p.length += len(p.got)
	p.got = nil
	p.mu.Unlock()
	h := &stanza.Header{}
	for {
		tok, n, err := p.sc.Next(p.rest, h)
		p.m.must(err)
		if tok == stanza.None {
			p.rest = bytes.Clone(p.rest[n:])
			p.lookAhead()
			return
		}
		raw := p.rest[:n]
		p.rest = p.rest[n:]
		e := peerEvent{end: p.length - len(p.rest)}
		switch {
		case p.element(raw, &e):
		case bytes.Contains(raw, []byte("<ping xmlns='urn:xmpp:ping'/>")):
			e.ping, e.client = string(h.In(h.ID.Value)), bytes.HasPrefix(raw, []byte("<iq xmlns='jabber:client' "))
		default:
			e.key = p.m.keyOf(raw)
			p.m.takenNext(p, e.key, raw)
		}
		p.wire = append(p.wire, e)
	}
}

// turn is one turn of the process: the handlers that were started run, and then it reads a chunk.
func (p *modelPeer) turn(n int) {
	p.m.settle()
	switch {
	case p.eager:
		return
	case p.stream != nil:
		p.turnCounting(n)
		return
	}
	for _, k := range p.started {
		p.m.handled(k)
	}
	p.started = nil
	p.read = min(p.length, p.read+n)
	for p.next < len(p.wire) && p.wire[p.next].end <= p.read {
		e := p.wire[p.next]
		p.next++
		switch {
		case e.ping != "" && p.wants(e):
			p.asked = append(p.asked, e.ping)
		case e.ping != "":
		case p.async:
			p.started = append(p.started, e.key)
		default:
			p.m.handled(e.key)
		}
	}
	if p.kind != later {
		p.answer(len(p.asked))
	}
}

// dead reports whether the link is broken.
func (p *modelPeer) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// wants reports whether a ping is one that the peer answers.
func (p *modelPeer) wants(e peerEvent) bool {
	p.pings++
	switch p.kind {
	case never:
		return false
	case plainOnly:
		return !e.client
	case clientOnly:
		return e.client
	case sometimes:
		return p.pings%3 == 0
	}
	return true
}

// answer answers the oldest pings, each twice: the first reply counts.
func (p *modelPeer) answer(n int) {
	if p.stream != nil {
		p.answerCounting(n)
		return
	}
	for range min(n, len(p.asked)) {
		id := []byte(p.asked[0])
		p.asked = p.asked[1:]
		p.m.settle()
		_, flush := p.m.q.answered(id)
		again, also := p.m.q.answered(id)
		if again {
			p.m.t.Fatalf("ping %s was answered twice", id)
		}
		if flush || also {
			p.m.q.flush()
		}
		p.m.settle()
	}
}

// modelKey names a stanza, or with to the part of one for several users that one of them gets.
type modelKey struct {
	n  int
	to string
}

// keyOf reads the name of a stanza.
func (m *queueModel) keyOf(raw []byte) modelKey {
	w := stanza.WalkBytes(raw)
	w.Next()
	id, _, _ := w.Attr("id")
	to, _, _ := w.Attr("to")
	n, err := strconv.Atoi(string(id))
	if err != nil || n >= len(m.all) {
		m.t.Fatalf("no stanza of ours: %.200q", raw)
	}
	if m.all[n].class == classGroup && string(to) != "im" {
		return modelKey{n, string(to)}
	}
	return modelKey{n: n}
}
