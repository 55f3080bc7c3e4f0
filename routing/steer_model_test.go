package routing

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// What an operator changes while links run, as a machine: user domains and policies that come and go, grants and numbers of
// links that get wider and narrower, drained nodes, kicked sessions; each alone, or while somebody sends. Every stanza has
// one end. All wires take everything, so that of one pair of addresses none comes behind a newer one, wherever it waited, save
// what one link of a domain had not written yet when another one joined: that one takes what is new at once (ADR 18).
// No node that has a link has a session that its grant forbids, and the table says what is drained.
func TestSteerModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := &steerModel{t: rt, links: map[string][]*steerLink{}, sent: map[string]*steered{}, last: map[string]int{}, loose: map[string]bool{}, late: map[string]bool{}}
			m.start()
			defer m.stop()
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.sendOnly, "send more": m.sendOnly, "act": m.actOnly, "both": m.both, "both again": m.both, "wait": m.wait, "": m.check,
			})
			m.finish()
		})
	})
}

// steerModel is what the test knows.
type steerModel struct {
	t         *rapid.T
	r         *Router
	sessions  *storage.Sessions
	offline   *storage.Offline
	set       Settings
	grants    map[string]*Grant // of the configuration
	links     map[string][]*steerLink
	sent      map[string]*steered
	last      map[string]int  // by pair: the newest that came
	loose     map[string]bool // users whose order cannot be told: see kick
	late      map[string]bool // stanzas that were not written when another link of their domain joined
	sending   []string        // what is sent meanwhile
	discarded bool            // a policy discards, or has discarded
	log       []string        // what was done

	mu      sync.Mutex
	journal []written // of all wires, in order
}

// steerLink is a link. Its wire takes everything, and writes it into the journal.
type steerLink struct {
	m    *steerModel
	node string
	src  *Source
	sc   *stanza.Scanner
	rest []byte

	asked []string // guarded by m.mu: ids of barrier pings that it has not answered
}

// pings takes the ids of the barrier pings that have come since the last time.
func (l *steerLink) pings() []string {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	asked := l.asked
	l.asked = nil
	return asked
}

// written is what one link was written.
type written struct {
	l *steerLink
	b []byte
}

func (l *steerLink) TryWrite(b []byte) (int, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	shown, asked := withoutPings(b)
	l.m.journal = append(l.m.journal, written{l, shown})
	l.asked = append(l.asked, asked...)
	return len(b), nil
}

func (l *steerLink) Write(b []byte) (int, error) { return l.TryWrite(b) }

func (l *steerLink) Interrupt() {}

// steered is one stanza.
type steered struct {
	n               int
	to              string
	iq              bool
	written, errors int
}

var steerSources = []string{"s1", "s2"}

func (m *steerModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *steerModel) start() {
	var err error
	m.sessions, err = storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet()})
	m.must(err)
	m.offline, err = storage.OpenOffline(storage.OfflineOptions{Dir: storage.Memory, Log: quiet()})
	m.must(err)
	cfg := mailConfig(m.offline, storage.Keep{})
	if rapid.Bool().Draw(m.t, "restarted") { // a node of before is awaited: the view is not complete
		before := New(cfg, m.sessions, nobodyServes{})
		before.Returning()
		m.r = before
		m.grants = map[string]*Grant{"old": {}}
		m.attach("old")
		m.drop("old", 0)
		before.Close()
		m.links = map[string][]*steerLink{}
	}
	m.r = New(cfg, m.sessions, nobodyServes{})
	m.set = cfg.Settings
	m.r.Returning()
	wide := &Grant{Users: []string{"im"}, TakeOver: true}
	m.grants = map[string]*Grant{"a": wide, "b": wide, "push": {}, "vip": {}}
	for _, n := range append(steerSources, "a", "b", "push", "fwd") {
		m.attach(n)
	}
}

func (m *steerModel) stop() {
	for _, links := range m.links {
		for _, l := range links {
			l.src.Detach()
		}
	}
	m.r.Close()
	_ = m.offline.Close()
	_ = m.sessions.Close()
}

// attach attaches a node as the configuration allows, if there is room.
func (m *steerModel) attach(node string) {
	g := m.grants[node]
	if g == nil {
		g = &Grant{}
	}
	if len(m.links[node]) >= max(1, g.Instances) || m.r.IsOurs(node) {
		return
	}
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, err := sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	src, err := m.r.Attach(node, g, sc)
	m.must(err)
	m.joins(node)
	l := &steerLink{m: m, node: node, src: src, sc: stanza.NewScanner(stanza.DefaultLimits)}
	_, _, err = l.sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	m.links[node] = append(m.links[node], l)
	m.must(src.Start(l, nil))
}

// joins notes what is overtaken by what is new, as a node has got another link.
func (m *steerModel) joins(node string) {
	if len(m.links[node]) == 0 {
		return
	}
	for _, n := range m.r.Node(node).all() {
		for _, id := range append(waitingAt(n), m.sending...) {
			m.late[id] = true
		}
	}
}

func (m *steerModel) drop(node string, i int) {
	links := m.links[node]
	links[i].src.Detach()
	m.links[node] = slices.Delete(slices.Clone(links), i, i+1)
}

func (m *steerModel) sendOnly(t *rapid.T) { m.send(t)() }
func (m *steerModel) actOnly(t *rapid.T)  { m.sending = nil; m.act(t)() }

// both: something is done while somebody sends.
func (m *steerModel) both(t *rapid.T) {
	send, act := m.send(t), m.act(t)
	var other sync.WaitGroup
	other.Go(send)
	act()
	other.Wait()
}

func (m *steerModel) wait(t *rapid.T) {
	m.log = append(m.log, "wait")
	time.Sleep(rapid.SampledFrom([]time.Duration{2 * time.Second, testSettle + time.Second, testGrace + time.Second}).Draw(t, "wait"))
}

// read reads what was written, in the order in which it was.
func (m *steerModel) read() {
	for _, links := range m.links {
		for _, l := range links {
			m.must(answerPings(l.src, l.pings))
		}
	}
	m.mu.Lock()
	journal := m.journal
	m.journal = nil
	m.mu.Unlock()
	h := &stanza.Header{}
	for _, w := range journal {
		w.l.rest = append(w.l.rest, w.b...)
		for {
			tok, n, err := w.l.sc.Next(w.l.rest, h)
			if m.must(err); tok == stanza.None {
				break
			}
			m.got(w.l.node, h)
			w.l.rest = w.l.rest[n:]
		}
	}
}

// got notes one stanza that a node was written.
func (m *steerModel) got(node string, h *stanza.Header) {
	id, from := string(h.In(h.ID.Value)), string(h.In(h.From.Value))
	s := m.sent[id]
	switch {
	case strings.HasPrefix(id, "pb-"), strings.HasPrefix(id, "drain-"), strings.HasPrefix(id, "undrain-"):
	case s == nil:
		m.t.Fatalf("%s got what nobody sent: %s", node, h.Raw)
	case h.Type == stanza.TypeError:
		s.errors++
	default:
		s.written++
		pair := from + " " + s.to
		if node == "vip" {
			return // what waited for a user there before the name was a node's is late
		}
		if node == "fwd" {
			pair += " forwarded" // that is another way: not to the user
		}
		if bare, _, _ := strings.Cut(s.to, "/"); s.n < m.last[pair] && !m.loose[bare] && !m.late[id] {
			m.t.Fatalf("%s: %s got m%d after m%d\n%s", pair, node, s.n, m.last[pair], strings.Join(m.log, "\n"))
		}
		m.last[pair] = max(m.last[pair], s.n)
	}
}

// check is what holds whenever all is quiet.
func (m *steerModel) check(t *rapid.T) {
	synctest.Wait()
	m.read()
	l := m.r.Ledger()
	if ok, off := l.Adds(); !ok {
		t.Fatalf("the ledger is off by %d: %+v", off, l)
	}
	m.must(reasonsAddUp(m.r))
	m.must(m.r.auditAll())
	for node, links := range m.links {
		for _, l := range links {
			m.lawful(node, l.src)
		}
		n := m.r.Node(node)
		if rec, _ := m.sessions.Node(n.ID()); len(links) > 0 && (n.Reachable() != Attached || rec.State != n.standing()) {
			t.Fatalf("%s has a link, and is %s, %s in the table, to be %s", node, n.Reachable(), rec.State, n.standing())
		}
	}
	for _, n := range m.r.Nodes() {
		if s := n.State(); s < Away && n.queue.stats().Waiting > 0 {
			t.Fatalf("%d wait at %s, which is %s", n.queue.stats().Waiting, n.Domain, s)
		}
	}
}

// lawful holds a node's sessions against the grant of its link.
func (m *steerModel) lawful(node string, src *Source) {
	m.sessions.EachOfNode(src.node.ID(), 0, func(x storage.Session) bool {
		if who, _, _ := stanza.ParseAddress([]byte(x.JID), false, nil); !src.Grant().mayHold(string(who.Domain())) {
			m.t.Fatalf("%s holds %s", node, x.JID)
		}
		return true
	})
}

// finish lets everything come to its end.
func (m *steerModel) finish() {
	m.check(m.t)
	time.Sleep(2*testGrace + 61*time.Second)
	m.check(m.t)
	stored := map[string]int{}
	for _, bare := range []string{"bob@im", "carol@im", "dave@vip", "eve@vip"} {
		list, err := m.offline.Read([]byte(bare), 0, 10_000)
		m.must(err)
		for _, s := range list {
			stored[idOf(s.Raw)]++
		}
	}
	for id, s := range m.sent {
		ends := s.written + s.errors + stored[id]
		unanswered := s.iq && s.written == 1 && s.errors == 1 // it was written, and then timed out
		if ends != 1 && !unanswered && !(ends == 0 && m.discarded) {
			m.t.Fatalf("%s: %+v, stored %d times", id, *s, stored[id])
		}
	}
	m.must(m.sessions.ConsistencyCheck())
	m.must(m.offline.ConsistencyCheck())
	if left := leftovers(m.r); left != nil {
		m.t.Fatal(left)
	}
}
