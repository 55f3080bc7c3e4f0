package component

import (
	"fmt"
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
				if err := m.a.ack(s+uint32(m.custody), m.now); err != nil {
					t.Fatal(err)
				}
			},
			"too high": func(t *rapid.T) {
				if m.a.ack(s+uint32(m.sent+1), m.now) == nil {
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
	if err := m.a.ack(m.start+uint32(m.custody), m.now); err != nil {
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
