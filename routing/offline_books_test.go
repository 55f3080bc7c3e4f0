package routing

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
)

// begin notes where sessions are before an operation.
func (m *mailModel) begin() {
	m.step++
	m.note()
}

// end notes where sessions are, and mostly waits until all is quiet.
func (m *mailModel) end(t *rapid.T) {
	m.step++
	m.note()
	if m.burst = rapid.IntRange(0, 3).Draw(t, "burst") == 0; !m.burst {
		m.settle()
	}
}

// note notes where sessions are, and what waits for nodes.
func (m *mailModel) note() {
	for _, u := range modelUsers {
		for _, s := range m.sessions.Where([]byte(u)) {
			m.holds[[2]string{u, m.r.table.node(s.Node).Domain}] = m.step
		}
	}
	for _, n := range m.r.Nodes() {
		for _, id := range waitingAt(n) {
			if l := m.sent[id]; l != nil {
				l.at[n.Domain] = true
			}
		}
	}
}

// settle waits until all is quiet.
func (m *mailModel) settle() {
	synctest.Wait()
	m.begin()
	m.read()
}

// read reads what was written to the wires.
func (m *mailModel) read() {
	for _, l := range m.old {
		m.readLink(l)
	}
	m.old = nil
	for _, l := range m.links {
		m.readLink(l)
	}
}

func (m *mailModel) readLink(l *modelLink) {
	if l.up() && l.answers == answersAtOnce {
		m.must(answerPings(l.src, l.w.pings))
	}
	l.w.mu.Lock()
	l.rest = append(l.rest, l.w.got...)
	l.w.got = nil
	l.w.mu.Unlock()
	h := &stanza.Header{}
	for {
		tok, n, err := l.sc.Next(l.rest, h)
		if m.must(err); tok == stanza.None {
			return
		}
		m.got(l.node, h)
		l.rest = l.rest[n:]
	}
}

// got notes one stanza that a node was written.
func (m *mailModel) got(node string, h *stanza.Header) {
	id := string(h.In(h.ID.Value))
	l := m.sent[id]
	switch {
	case l == nil && strings.HasPrefix(id, "pb-"):
	case l == nil:
		m.t.Fatalf("%s got what nobody sent: %s", node, h.Raw)
	case h.Type == stanza.TypeError:
		if l.errors++; l.errors > 1 && l.nodes() < 2 && !l.again || node != l.from {
			m.t.Fatalf("%s got error number %d for %s: %+v", node, l.errors, id, *l)
		}
	default:
		if l.written[node]++; l.written[node] > 1 && (l.iq || !l.again) && !l.waitedElsewhere(node) {
			m.t.Fatalf("%s got %s twice", node, id)
		}
		m.inOrder(node, l, bytes.Contains(h.Raw, []byte("<delay ")))
		m.orders[node] = append(m.orders[node], id)
	}
	if l != nil && m.stops {
		l.again = true
	}
}

// inOrder: a node gets nothing that is older than what it got, of one sender and user, and only what is for a user who has
// been there since it was sent. Order is between what goes one way:
//   - what had waited for another node is late, and so is what waited when newer ones had a copy elsewhere (ADR 12);
//   - a session that may not get what is for the bare address gets what is for its own (RFC 6121 8.5.3.1).
func (m *mailModel) inOrder(node string, l *letterModel, kept bool) {
	if at, ok := m.holds[[2]string{l.user, node}]; !ok || at < l.step-1 {
		m.t.Fatalf("%s got a message %d for %s, who was not there since", node, l.n, l.user)
	}
	if l.waitedElsewhere(node) || l.written[node] > 1 {
		return
	}
	for _, id := range m.orders[node] {
		o := m.sent[id]
		apart := len(l.at) > 0 && o.nodes() > 1 || m.low[l.user] && (kept || o.way != l.way)
		if o.from == l.from && o.user == l.user && o.n > l.n && !apart {
			m.t.Fatalf("%s got m%d %+v after m%d %+v: %v", node, l.n, *l, o.n, *o, m.orders[node])
		}
	}
}

// waitedElsewhere: it was decided again, because its user moved or its node did not come back. Then it is late, and where
// the user had other sessions it comes once more.
func (l *letterModel) waitedElsewhere(node string) bool {
	return len(l.at) > 1 || len(l.at) == 1 && !l.at[node]
}

// nodes is how many nodes had a copy of it.
func (l *letterModel) nodes() int {
	all := maps.Clone(l.at)
	for n := range l.written {
		all[n] = true
	}
	return len(all)
}

// eligible gives the nodes on which a user may get messages for the bare address.
func (m *mailModel) eligible(user string) (nodes []string) {
	for _, s := range m.sessions.Where([]byte(user)) {
		if n := m.r.table.node(s.Node); s.Priority >= 0 && n.State() >= Away {
			nodes = append(nodes, n.Domain)
		}
	}
	return nodes
}

// flying: some of what is stored for a user is on its way.
func (m *mailModel) flying(user string) bool {
	m.r.mail.mu.Lock()
	defer m.r.mail.mu.Unlock()
	return len(m.r.mail.flights[user]) > 0
}

// kept gives what is in the store, message by message, those of one user in order.
func (m *mailModel) kept() (all []string) {
	for _, u := range modelUsers {
		list, err := m.offline.Read([]byte(u), 0, 10_000)
		m.must(err)
		for _, s := range list {
			all = append(all, fmt.Sprintf("%s %d of node %d: %s", u, s.Number, s.Origin, s.Raw))
		}
	}
	return all
}

// stored gives how often each message is in the store, by id: no oftener than it had copies, each of which is decided by
// itself when its user has logged out meanwhile (ADR 12).
func (m *mailModel) stored() map[string]int {
	all := map[string]int{}
	for _, s := range m.kept() {
		id := idOf([]byte(s[strings.IndexByte(s, '<'):]))
		if all[id]++; all[id] > max(1, m.sent[id].nodes()) {
			m.t.Fatalf("%s is stored %d times: %+v", id, all[id], *m.sent[id])
		}
	}
	return all
}

// check is what holds whenever all is quiet.
func (m *mailModel) check(t *rapid.T) {
	if m.burst {
		return
	}
	m.books()
	for _, u := range modelUsers {
		list, err := m.offline.Read([]byte(u), 0, 10_000)
		m.must(err)
		if m.keep.Messages > 0 && len(list) > m.keep.Messages {
			t.Fatalf("%d are stored for %s, %d may", len(list), u, m.keep.Messages)
		}
		if m.flying(u) || m.r.holds.waiting([]byte(u)) || len(list) == 0 {
			continue
		}
		if nodes := m.eligible(u); len(nodes) > 0 && m.fresh[u] {
			t.Fatalf("%s is on %v, and has %d stored", u, nodes, len(list))
		}
		for _, s := range list { // what was on its way may come back old, and while newer ones are held none is ended
			age := time.Since(s.Accepted())
			if m.keep.Age > 0 && age > m.keep.Age+agedEach+testSettle+time.Second && len(m.sent[idOf(s.Raw)].at) == 0 && time.Since(m.opened) > agedEach+time.Second {
				t.Fatalf("%s has stored what is %s old", u, age)
			}
		}
	}
}

// books holds the router to its ledger.
func (m *mailModel) books() {
	l := m.r.Ledger()
	m.r.mail.mu.Lock()
	letters := len(m.r.mail.letters)
	m.r.mail.mu.Unlock()
	if ok, off := l.Adds(); !ok {
		m.t.Fatalf("the ledger is off by %d: %+v", off, l)
	}
	kept := 0
	for _, q := range m.r.queues() {
		kept += q.stats().KeptStanzas
	}
	if got, want := int(l.Stored), m.offline.Stats().Messages-letters+kept; got != want {
		m.t.Fatalf("the ledger has %d stored, the store %d", got, want)
	}
	m.must(reasonsAddUp(m.r))
	m.must(m.r.auditAll())
	for _, n := range append([]string{m.r.Server()}, modelNodes...) { // only the sources send
		lost := m.r.NodeReasons(n)
		delete(lost, NoticeLost)
		delete(lost, NodeLeft)
		if len(lost) > 0 {
			m.t.Fatalf("%s has sent nothing that can be lost: %v", n, lost)
		}
	}
}

// finish lets everything come to its end: the nodes are back, take all, and say no more.
func (m *mailModel) finish() {
	m.settle()
	for _, n := range modelNodes {
		if !m.links[n].up() {
			m.link(n)
		}
		m.links[n].w.give(1 << 30)
		synctest.Wait()
	}
	m.pass(2*testGrace + 61*time.Second)
	m.settle()
	m.check(m.t)
	stored := m.stored()
	for _, id := range m.ids {
		l := m.sent[id]
		ends := l.errors + min(1, len(l.written))
		if stored[id] > 0 {
			ends++
		}
		unanswered := l.iq && l.errors == 1 && stored[id] == 0 // it was written, and then timed out
		again := ends > 1 && (l.nodes() > 1 || l.again)        // each copy had an end of its own (ADR 12)
		if ends != 1 && !unanswered && !again && !(l.silent && ends == 0) {
			m.t.Fatalf("%s: %+v, stored %d times", id, *l, stored[id])
		}
	}
	if left := leftovers(m.r); left != nil {
		m.t.Fatal(slices.Concat([]string{"left:"}, left))
	}
	m.close()
}

// unproved notes what a link was written that is not proved: it comes once more, if the link drops now. iqs do not.
func (m *mailModel) unproved(l *modelLink) {
	q := l.src.node.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range append(q.ring[:len(q.ring):len(q.ring)], q.blocks...) {
		at, end := b.passed, b.next
		if q.writing && len(q.blocks) > 0 && b == q.blocks[0] {
			end = len(b.recs) // a write that waits may have come to any of them
		}
		for _, r := range b.recs[b.over:end] {
			if s := m.sent[idOf(b.b[at:at+int(r.size)])]; s != nil {
				s.again = true
			}
			at += int(r.size)
		}
	}
}

// pass lets time pass. Who answers pings does so meanwhile: at once, and then each second.
func (m *mailModel) pass(d time.Duration) {
	for i, end := 0, time.Now().Add(d); time.Now().Before(end); i++ {
		step := time.Second
		if i < 10 {
			step = 4 * beatEach
		}
		time.Sleep(min(step, time.Until(end)))
		if m.proof {
			m.settle()
			for _, l := range m.links {
				if l.up() && l.answers == answersLate {
					m.must(answerPings(l.src, l.w.pings))
				}
			}
		}
	}
}
