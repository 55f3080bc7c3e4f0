package server_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/routing"
)

// The router may ask for a sign of life, or for a proof that all before was read, at any time. An actor answers such pings by
// itself, as a library does, and they are no part of what a scene has to expect. A scene that does expect one is given the oldest
// of them that it has not been given.
type pings struct {
	mu       sync.Mutex
	got      []ping          // guarded by mu: those that the scene has not been given
	answered map[string]bool // guarded by mu: ids of those that the actor has answered

	news chan struct{} // one value: there is another
}

// ping is one that the router has sent.
type ping struct {
	item
	at time.Time
}

// isQuestion tells the router's question of what a node can do, which it asks when a node has its first user.
func (it item) isQuestion() bool { return it.isOwn() && strings.Contains(it.raw, "disco#info") }

// isPing tells a ping of the router, whatever it is for.
func (it item) isPing() bool { return it.isOwn() && isPing(it.el) }

func isPing(iq *element) bool {
	return iq.name.Local == "iq" && iq.attr("type") == "get" && iq.attr("from") == hub && iq.child("urn:xmpp:ping", "ping") != nil
}

// isOwn tells an iq that the router itself asks. A second try to be answered is in the namespace of clients.
func (it item) isOwn() bool {
	return it.what == isElement && it.el.name.Local == "iq" && it.el.attr("type") == "get" && strings.HasPrefix(it.el.attr("id"), "pb-")
}

func (e *element) attr(name string) string { return e.attrs[xml.Name{Local: name}] }

// shows reports whether the scene is shown what was read on a connection, and has answered what needs no scene.
func (a *actor) shows(m *mouth, it item) bool {
	switch {
	case it.isQuestion():
		return a.curious.Load()
	case !it.isPing():
		return true
	}
	answers := !a.mute.Load()
	if answers {
		m.owe(fmt.Sprintf("<iq type='result' id='%s' from='%s' to='%s'/>", it.el.attr("id"), it.el.attr("to"), hub))
	}
	a.pings.note(ping{it, time.Now()}, answers)
	return false
}

func (p *pings) note(got ping, answered bool) {
	p.mu.Lock()
	p.got = append(p.got, got)
	if answered {
		p.answered[got.el.attr("id")] = true
	}
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// take gives the oldest ping that the scene has not been given, if there is one.
func (p *pings) take() (ping, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.got) == 0 {
		return ping{}, false
	}
	first := p.got[0]
	p.got = p.got[1:]
	return first, true
}

// ping gives the next ping.
func (a *actor) ping() ping {
	late := time.After(patience)
	for {
		if got, ok := a.pings.take(); ok {
			return got
		}
		select {
		case <-a.pings.news:
		case <-late:
			breakf("%s was not pinged within %v", a.name, patience)
		}
	}
}

// answersPings makes the actor answer pings from now on, or not. What it was sent before is proved.
func (a *actor) answersPings(on bool) {
	a.proved()
	a.mute.Store(!on)
}

// proved waits until the router has proof of all that the actor was sent, as it has soon where nothing more is sent: what has
// no proof when a link drops comes again. Who does not read, answers no pings or is in the middle of a stanza proves nothing.
func (a *actor) proved() {
	if !a.open || a.deaf || a.mute.Load() || !a.mayAnswer() {
		return
	}
	a.st.until("what "+a.name+" was sent is proved", func() bool {
		n := a.st.running().Router().Node(a.domain)
		return n == nil || n.Reachable() != routing.Attached || a.st.provedBy(n)
	})
}

// mayAnswer reports whether an answer to a ping would be written now.
func (a *actor) mayAnswer() bool {
	a.mouth.mu.Lock()
	defer a.mouth.mu.Unlock()
	return a.mouth.between()
}

// provedBy reports whether all that the links of a domain were sent is proved.
func (st *stage) provedBy(n *routing.Node) bool {
	for _, src := range n.Sources() {
		if q := src.Node().Queue(); q.Waiting+q.Pending > 0 || src.Grade() == routing.GradeProbing {
			return false
		}
	}
	return true
}

// hasAnswered reports whether what a scene lets the actor send is the answer to a ping that the actor has given already.
func (a *actor) hasAnswered(text string) bool {
	if !strings.HasPrefix(text, "<iq ") || strings.Count(text, "<") != 1 {
		return false
	}
	el, err := parseElement(text)
	a.pings.mu.Lock()
	defer a.pings.mu.Unlock()
	return err == nil && el.attr("type") == "result" && a.pings.answered[el.attr("id")]
}

// mouth is what an actor says on one connection: what the scene lets it say, and between two stanzas, never within one, the
// answers to pings. The reader does not wait for them: the server may read no more, and wait for the reader.
type mouth struct {
	conn net.Conn
	owed chan string   // answers
	wake chan struct{} // one value: there is another

	mu   sync.Mutex // held while something is said
	said []byte     // guarded by mu; and is no whole token yet
	deep int        // guarded by mu; elements that are open
	lost bool       // guarded by mu; what was said is no XML: nobody can tell where a stanza ends
}

func newMouth(conn net.Conn) *mouth {
	return &mouth{conn: conn, owed: make(chan string, 1<<10), wake: make(chan struct{}, 1)}
}

// say writes what the scene says, and the answers that are owed if that ends between two stanzas.
func (m *mouth) say(b []byte, chunk int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if chunk <= 0 {
		chunk = len(b)
	}
	for rest := b; len(rest) > 0; {
		n := min(chunk, len(rest))
		if !m.write(rest[:n]) {
			return
		}
		rest = rest[n:]
	}
	m.follow(b)
	m.pay()
}

// owe notes one more answer. Only the reader may call it.
func (m *mouth) owe(answer string) {
	m.owed <- answer
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// answer gives the answers, those that may stand where the scene has stopped, until the reader ends.
func (m *mouth) answer() {
	for range m.wake {
		m.mu.Lock()
		m.pay()
		m.mu.Unlock()
	}
}

// pay writes the answers that are owed if a stanza may begin here. Called with mu held.
func (m *mouth) pay() {
	for m.between() {
		select {
		case answer := <-m.owed:
			if !m.write([]byte(answer)) {
				return
			}
		default:
			return
		}
	}
}

// between reports whether a stanza may begin here. Called with mu held.
func (m *mouth) between() bool { return !m.lost && m.deep == 1 && len(m.said) == 0 }

// write sends bytes. What the server makes of them is for the scene to say, also when it has closed.
func (m *mouth) write(b []byte) bool {
	_ = m.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := m.conn.Write(b)
	return err == nil
}

// follow keeps count of the elements that are open. Called with mu held.
func (m *mouth) follow(b []byte) {
	m.said = append(m.said, b...)
	d := xml.NewDecoder(bytes.NewReader(m.said))
	for whole := int64(0); !m.lost; whole = d.InputOffset() {
		tok, err := d.RawToken()
		var syntax *xml.SyntaxError
		switch {
		case err == io.EOF:
			m.said = m.said[:0]
			return
		case errors.As(err, &syntax) && strings.Contains(syntax.Msg, "unexpected EOF"):
			m.said = append(m.said[:0], m.said[whole:]...)
			return
		case err != nil:
			m.lost = true
		}
		switch tok.(type) {
		case xml.StartElement:
			m.deep++
		case xml.EndElement:
			m.deep--
		}
	}
}

// heard is a connection that keeps what is written to it.
type heard struct {
	net.Conn // nothing else is called
	text     strings.Builder
}

func (h *heard) Write(b []byte) (int, error)      { return h.text.Write(b) }
func (h *heard) SetWriteDeadline(time.Time) error { return nil }

// TestMouth: wherever a ping comes, its answer is between two stanzas of an open stream, or nowhere.
func TestMouth(t *testing.T) {
	const open, m = "<?xml version='1.0'?><stream:stream to='x'>", "<message a='>'><!-- </message> --><b><![CDATA[</b>]]>é</b></message>"
	for _, c := range []struct {
		text  string
		stops []int // where an answer may stand
	}{
		{open + m + " <iq/></stream:stream>", []int{len(open), len(open + m), len(open+m) + 1, len(open+m) + len(" <iq/>")}},
		{open + "<iq></b><message/>", []int{len(open), len(open) + len("<iq></b>"), len(open) + len("<iq></b><message/>")}}, // names are the server's affair
		{open + "<iq <message/>", []int{len(open)}},
	} {
		for at := range len(c.text) + 1 {
			h := &heard{}
			v := newMouth(h)
			v.say([]byte(c.text[:at]), 0)
			v.owe("PONG")
			close(v.wake)
			v.answer()
			v.say([]byte(c.text[at:]), 3)
			want := -1
			for _, stop := range []int{len(c.text), at} { // the scene says no more behind the one, nor between them
				if slices.Contains(c.stops, stop) {
					want = stop
				}
			}
			got := h.text.String()
			if stop := strings.Index(got, "PONG"); stop != want || strings.Replace(got, "PONG", "", 1) != c.text {
				t.Errorf("a ping at %d of %q was answered at %d, not %d: %q", at, c.text, stop, want, got)
			}
		}
	}
}
