package component

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// onWire takes a batch apart: stanzas as they are, r, and aN for an <a/> with h N.
func onWire(batch []byte) (out []string) {
	for _, s := range strings.SplitAfter(string(batch), ">") {
		switch {
		case s == "":
		case s == "<r xmlns='urn:xmpp:sm:3'/>":
			out = append(out, "r")
		case strings.HasPrefix(s, "<a xmlns='urn:xmpp:sm:3' h='"):
			out = append(out, "a"+strings.TrimSuffix(strings.TrimPrefix(s, "<a xmlns='urn:xmpp:sm:3' h='"), "'/>"))
		default:
			out = append(out, s)
		}
	}
	return out
}

// acksPlay is a life of acks with its clock.
type acksPlay struct {
	acks
	now time.Time
}

func (p *acksPlay) sends(n int, size int) {
	for range n {
		p.add(kept{raw: []byte("<m" + strings.Repeat("x", size-3) + ">"), at: p.now})
	}
}

// wire gives what is written now, stanzas in a row as their count.
func (p *acksPlay) wire() string {
	var out []string
	stanzas := 0
	for {
		b := onWire(p.batch(nil, p.now))
		if len(b) == 0 {
			break
		}
		for _, s := range b {
			if s != "r" && s[0] != 'a' {
				if stanzas++; stanzas > 1 {
					out[len(out)-1] = fmt.Sprint(stanzas)
					continue
				}
				s = "1"
			} else {
				stanzas = 0
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, " ")
}

func (p *acksPlay) takes(n int) {
	for range n {
		p.take()
		p.hand()
	}
}

// acksPaces: when <r/> and <a/> are written.
var acksPaces = []struct {
	name string
	do   func(p *acksPlay) []string // what is on the wire, step by step
	want []string
}{
	{"one stanza is asked for later", func(p *acksPlay) []string {
		p.sends(1, 100)
		a := p.wire()
		p.now = p.next().Add(-1)
		b := p.wire()
		p.now = p.next()
		return []string{a, b, p.wire(), fmt.Sprint(p.next().IsZero())}
	}, []string{"1", "", "r", "true"}},
	{"each 128 stanzas", func(p *acksPlay) []string { p.sends(300, 100); return []string{p.wire()} }, []string{"128 r 128 r 44"}},
	{"each 64 KiB", func(p *acksPlay) []string { p.sends(3, 40<<10); return []string{p.wire()} }, []string{"2 r 1"}},
	{"acknowledged without being asked", func(p *acksPlay) []string {
		p.sends(2, 100)
		p.wire()
		err := p.ack(2)
		return []string{fmt.Sprint(err, p.next().IsZero(), p.bytes, len(p.list))}
	}, []string{"<nil> true 0 0"}},
	{"too much", func(p *acksPlay) []string {
		p.sends(2, 100)
		p.wire()
		return []string{p.ack(3).Error(), fmt.Sprint(p.ack(1)), p.ack(0).Error()}
	}, []string{"the server has acknowledged 3 stanzas of 2", "<nil>", "the server has acknowledged 0 stanzas of 2"}},
	{"wanted now, behind all", func(p *acksPlay) []string { p.urgent = true; p.sends(130, 1000); return []string{p.wire()} }, []string{"66 r 64 r"}},
	{"answered when all is handled", func(p *acksPlay) []string {
		p.takes(2)
		p.ask(p.now)
		a := p.wire()
		p.finish(1)
		b := p.wire()
		p.finish(2)
		return []string{a, b, p.wire(), p.wire()}
	}, []string{"", "", "a2", ""}},
	{"answered soon anyway, and again", func(p *acksPlay) []string {
		p.takes(200)
		p.ask(p.now)
		p.finish(1)
		p.now = p.now.Add(tellFirst)
		a := p.wire()
		p.finish(2)
		b := p.wire()
		p.now = p.now.Add(50 * time.Millisecond)
		c := p.wire()
		for i := range uint32(tellStanzas) {
			p.finish(3 + i)
		}
		d := p.wire()
		for i := range uint32(134) {
			p.finish(67 + i)
		}
		return []string{a, b, c, d, p.wire()}
	}, []string{"a1", "", "a2", "a66", "a200"}},
	{"nothing unasked", func(p *acksPlay) []string {
		p.takes(1)
		p.finish(1)
		p.now = p.now.Add(time.Hour)
		return []string{p.wire()}
	}, []string{""}},
	{"what needs no handler counts with what does", func(p *acksPlay) []string {
		p.takes(1)
		p.take()
		p.settle()
		a := p.handled()
		p.finish(1)
		return []string{fmt.Sprint(a, p.handled())}
	}, []string{"0 2"}},
	{"repeated after a resumption", func(p *acksPlay) []string {
		p.takes(3)
		p.finish(1)
		p.resume(0, p.handled())
		_, second := p.take()
		_, third := p.take()
		_, fourth := p.take()
		p.hand()
		p.finish(2)
		p.finish(3)
		p.ask(p.now)
		a := p.wire()
		p.finish(4)
		return []string{fmt.Sprint(second, third, fourth), a, p.wire()}
	}, []string{"false false true", "", "a4"}},
	{"never more than came on this connection", func(p *acksPlay) []string {
		p.takes(2)
		p.resume(0, 0)
		p.finish(1)
		p.finish(2)
		p.ask(p.now)
		a := p.wire()
		p.take()
		p.take()
		p.ask(p.now)
		return []string{a, p.wire()}
	}, []string{"a0", "a2"}},
	{"written again, also what is acknowledged meanwhile", func(p *acksPlay) []string {
		p.sends(5, 100)
		p.wire()
		p.resume(2, 0)
		p.ack(4) // of what came on the connection before
		return []string{p.wire(), fmt.Sprint(len(p.list), p.sent())}
	}, []string{"3", "1 5"}},
}

// TestAcksPace plays them.
func TestAcksPace(t *testing.T) {
	for _, tt := range acksPaces {
		t.Run(tt.name, func(t *testing.T) {
			p := &acksPlay{now: time.Unix(1e9, 0)}
			if got := tt.do(p); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// acksModel is a node and a server with links that drop. Each stanza is a number, in its own direction.
type acksModel struct {
	a   acks
	now time.Time

	// node to server
	sent    int   // stanzas sent by the node
	wire    []int // on their way, of this connection
	heard   []int // all that the server has taken, in order
	counted int   // the server's number of the last one on this connection
	custody int   // the server's h: it lags behind what it has taken

	// server to node
	made    int   // stanzas made by the server
	atWire  int   // of them on their way, of this connection
	inbox   []int // taken, handler not returned
	handled []int
	proved  int    // the node's h, as the server knows it
	start   uint32 // where both counts begin
}

func (m *acksModel) check(t *rapid.T) {
	for i, s := range m.heard {
		if s != i {
			t.Fatalf("the server took %d as its stanza %d", s, i)
		}
	}
	for i, s := range m.handled {
		if s != i {
			t.Fatalf("stanza %d was handled as %d", s, i)
		}
	}
	if h := int(m.a.handled() - m.start); h > len(m.handled) {
		t.Fatalf("h is %d, %d are handled", h, len(m.handled))
	}
	if m.proved > len(m.handled) {
		t.Fatalf("%d are acknowledged, %d handled", m.proved, len(m.handled))
	}
}

// write has the node write, and the server read the nonzas.
func (m *acksModel) write(t *rapid.T) {
	for _, s := range onWire(m.a.batch(nil, m.now)) {
		switch {
		case s == "r":
		case s[0] == 'a':
			var h uint32
			fmt.Sscan(s[1:], &h)
			if got := int(h - m.start); got < m.proved || got > m.atWire {
				t.Fatalf("acknowledged %d, %d before and %d sent on this connection", got, m.proved, m.atWire)
			} else {
				m.proved = got
			}
		default:
			var n int
			fmt.Sscanf(s, "<m%d>", &n)
			m.wire = append(m.wire, n)
		}
	}
}

// hear has the server read one stanza. What it took on an earlier connection it knows by its number.
func (m *acksModel) hear() {
	n := m.wire[0]
	m.wire = m.wire[1:]
	if m.counted++; m.counted > len(m.heard) {
		m.heard = append(m.heard, n)
	}
}

func (m *acksModel) resume(t *rapid.T) {
	said := m.a.handled()
	if int(said-m.start) < m.proved {
		t.Fatalf("h is %d in <resume/>, it was %d", said-m.start, m.proved)
	}
	m.proved = int(said - m.start)
	if err := m.a.resume(m.start+uint32(m.custody), said); err != nil {
		t.Fatal(err)
	}
	m.wire, m.counted, m.atWire = nil, m.custody, m.proved
}

// read has the node take one stanza of the server.
func (m *acksModel) read(t *rapid.T, handler bool) {
	m.atWire++
	number, fresh := m.a.take()
	if int(number-m.start) != m.atWire {
		t.Fatalf("stanza %d is taken as %d", m.atWire, number-m.start)
	}
	switch {
	case !fresh:
	case handler:
		m.a.hand()
		m.inbox = append(m.inbox, m.atWire-1)
	default: // it is handled out of turn: in the model, in its place
		m.a.settle()
		m.inbox = append(m.inbox, -m.atWire)
		m.skip()
	}
}

// skip counts what needed no handler once all before it is handled.
func (m *acksModel) skip() {
	for len(m.inbox) > 0 && m.inbox[0] < 0 {
		m.handled = append(m.handled, -m.inbox[0]-1)
		m.inbox = m.inbox[1:]
	}
}

func (m *acksModel) finish() {
	n := m.inbox[0]
	m.inbox = m.inbox[1:]
	m.handled = append(m.handled, n)
	m.a.finish(m.start + uint32(n+1))
	m.skip()
}

// TestAcksModel: whatever drops when, each stanza is taken once, in order, and h is never more than is handled.
func TestAcksModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &acksModel{now: time.Unix(1e9, 0), start: rapid.SampledFrom([]uint32{0, 1<<32 - 3, 1<<31 - 2}).Draw(t, "start")}
		s := m.start
		m.a = acks{base: s, acked: s, got: s, here: s, done: s, told: s, target: s}
		send := func(t *rapid.T) {
			m.a.add(kept{raw: fmt.Appendf(nil, "<m%d>", m.sent), at: m.now})
			m.sent++
		}
		t.Repeat(map[string]func(*rapid.T){
			"":      m.check,
			"send":  send,
			"write": m.write,
			"hear": func(t *rapid.T) {
				if len(m.wire) == 0 {
					t.Skip("nothing is on the wire")
				}
				m.hear()
			},
			"custody": func(t *rapid.T) { m.custody += rapid.IntRange(0, len(m.heard)-m.custody).Draw(t, "more") },
			"ack": func(t *rapid.T) {
				if err := m.a.ack(s + uint32(m.custody)); err != nil {
					t.Fatal(err)
				}
			},
			"too high": func(t *rapid.T) {
				if m.a.ack(s+uint32(m.sent+1)) == nil {
					t.Fatal("more than was sent is acknowledged")
				}
			},
			"make": func(t *rapid.T) { m.made++ },
			"read": func(t *rapid.T) {
				if m.atWire == m.made {
					t.Skip("nothing is to be read")
				}
				m.read(t, rapid.Bool().Draw(t, "handler"))
			},
			"finish": func(t *rapid.T) {
				if len(m.inbox) == 0 {
					t.Skip("no handler runs")
				}
				m.finish()
			},
			"ask": func(t *rapid.T) { m.a.ask(m.now) },
			"tick": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 100).Draw(t, "ms")) * time.Millisecond)
			},
			"resume": m.resume,
		})
		m.end(t)
	})
}

// end has all go through: nothing is left anywhere.
func (m *acksModel) end(t *rapid.T) {
	m.write(t)
	for len(m.wire) > 0 {
		m.hear()
	}
	m.custody = len(m.heard)
	if err := m.a.ack(m.start + uint32(m.custody)); err != nil {
		t.Fatal(err)
	}
	for m.atWire < m.made {
		m.read(t, true)
	}
	for len(m.inbox) > 0 {
		m.finish()
	}
	m.a.ask(m.now)
	m.write(t)
	m.check(t)
	if len(m.heard) != m.sent || len(m.handled) != m.made || m.proved != m.made || len(m.a.list) > 0 || m.a.bytes != 0 {
		t.Fatalf("%d of %d heard, %d of %d handled, %d acknowledged, %d kept", len(m.heard), m.sent, len(m.handled), m.made, m.proved, len(m.a.list))
	}
}
