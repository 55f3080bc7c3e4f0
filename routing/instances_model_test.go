package routing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// The links of one domain as a machine. Every stanza is written to one of them, once, or goes back when none came in
// time. Of one pair of addresses none is written behind a newer one, save those that waited at a slow link when another
// one joined: that one takes what is new at once. And a link that comes or goes moves only its own share of the pairs.
func TestInstancesModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := &pushModel{t: rt, testbed: newTestbed(t, nil), most: rapid.IntRange(2, 4).Draw(rt, "links"),
				wires: map[*Source]*pushWire{}, where: map[string]string{}, late: map[string]bool{}, ends: map[string]int{}, last: map[string]int{}}
			defer m.close()
			m.r.Returning()
			m.testbed.attach("s1")
			m.testbed.attach("s2")
			m.attach(rt)
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.send, "send more": m.send, "attach": m.attach, "detach": m.detach, "room": m.room,
				"wait": func(t *rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, testGrace + time.Second}).Draw(t, "wait"))
				},
				"": m.check,
			})
			m.finish()
		})
	})
}

// pushModel is what the test knows.
type pushModel struct {
	t *rapid.T
	*testbed
	most  int // links
	links []*Source
	wires map[*Source]*pushWire
	where map[string]string // by pair: its link before the last change
	sent  int
	late  map[string]bool // stanzas that waited when a link joined
	ends  map[string]int
	last  map[string]int // by pair: the newest that was written
}

type pushWire struct {
	*wire
	sc   *stanza.Scanner
	rest []byte
}

func (m *pushModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *pushModel) send(t *rapid.T) {
	from := rapid.SampledFrom([]string{"s1", "s2"}).Draw(t, "from")
	var b strings.Builder
	for range rapid.IntRange(1, 5).Draw(t, "stanzas") {
		to := rapid.SampledFrom([]string{"push", "x@push", "y@push", "y@push/1", "z@push"}).Draw(t, "to")
		fmt.Fprintf(&b, "<message from='%s' to='%s' id='%d'/>", from, to, m.sent)
		m.sent++
	}
	m.testbed.send(from, b.String())
}

// shares notes, or compares, the links of many pairs. A pair may move only to or from the link that changed.
func (m *pushModel) shares(changed *Node) {
	home := m.r.Node("push")
	for i := range 200 {
		from := fmt.Sprint("u", i)
		to, _, err := stanza.ParseAddress([]byte("x@push"), false, nil)
		m.must(err)
		n := home.pick(place{from: []byte(from), to: to})
		now := fmt.Sprintf("%p", n)
		if was := m.where[from]; changed != nil && was != now && was != fmt.Sprintf("%p", changed) && n != changed {
			m.t.Fatalf("the pair of %s moved between links that did not change", from)
		}
		m.where[from] = now
	}
}

func (m *pushModel) attach(t *rapid.T) {
	synctest.Wait()
	m.read()
	for _, n := range m.r.Nodes() {
		if n.Domain == "push" {
			for _, id := range waitingAt(n) {
				m.late[id] = m.late[id] || len(m.links) > 0
			}
		}
	}
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, err := sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	src, err := m.r.Attach("push", &Grant{Instances: m.most}, sc)
	if full := len(m.links) == m.most; full != errors.Is(err, ErrAttached) {
		t.Fatalf("%d links of %d, and another: %v", len(m.links), m.most, err)
	} else if full {
		return
	}
	m.must(err)
	w := &pushWire{wire: newWire(1 << 30), sc: stanza.NewScanner(stanza.DefaultLimits)}
	_, _, err = w.sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	m.wires[src] = w
	alone := len(m.links) == 0
	m.links = append(m.links, src)
	m.must(src.Start(w, nil))
	synctest.Wait()
	if alone {
		clear(m.where)
		m.shares(nil)
	} else {
		m.shares(src.node)
	}
}

func (m *pushModel) drawLink(t *rapid.T) (int, *Source) {
	if len(m.links) == 0 {
		t.Skip("no link")
	}
	i := rapid.IntRange(0, len(m.links)-1).Draw(t, "link")
	return i, m.links[i]
}

func (m *pushModel) detach(t *rapid.T) {
	i, src := m.drawLink(t)
	synctest.Wait()
	m.links = append(m.links[:i:i], m.links[i+1:]...)
	m.wires[src].breakIt()
	src.Detach()
	if len(m.links) > 0 {
		m.shares(src.node)
	}
}

func (m *pushModel) room(t *rapid.T) {
	_, src := m.drawLink(t)
	w := m.wires[src]
	w.mu.Lock()
	w.room = 0
	w.mu.Unlock()
	w.give(rapid.SampledFrom([]int{0, 30, 100, 1 << 30}).Draw(t, "room"))
}

// read reads what was written.
func (m *pushModel) read() {
	h := &stanza.Header{}
	for _, src := range m.links {
		m.must(answerPings(src, m.wires[src].pings))
	}
	for _, w := range m.wires {
		w.mu.Lock()
		w.rest, w.got = append(w.rest, w.got...), nil
		w.mu.Unlock()
		for {
			tok, n, err := w.sc.Next(w.rest, h)
			if m.must(err); tok != stanza.Element {
				break
			}
			m.got(h)
			w.rest = w.rest[n:]
		}
	}
}

func (m *pushModel) got(h *stanza.Header) {
	id := string(h.In(h.ID.Value))
	pair := string(h.In(h.From.Value)) + " " + string(h.In(h.To.Value))
	var n int
	_, err := fmt.Sscan(id, &n)
	m.must(err)
	m.ends[id]++
	if last, ok := m.last[pair]; ok && n < last && !m.late[id] {
		m.t.Fatalf("%s: %d was written after %d", pair, n, last)
	}
	m.last[pair] = max(m.last[pair], n)
}

func (m *pushModel) check(t *rapid.T) {
	synctest.Wait()
	m.read()
	l := m.r.Ledger()
	if ok, off := l.Adds(); !ok {
		t.Fatalf("the ledger is off by %d: %+v", off, l)
	}
	m.must(reasonsAddUp(m.r))
	m.must(m.r.auditAll())
	open := 0
	for _, n := range m.r.Nodes() {
		if n.Domain == "push" && n.State() == Attached {
			open++
		}
		if s := n.State(); n.Domain == "push" && s < Away && n.queue.stats().Waiting > 0 {
			t.Fatalf("%d wait at a link that is %s", n.queue.stats().Waiting, s)
		}
	}
	if open != len(m.links) {
		t.Fatalf("%d nodes are attached, there are %d links", open, len(m.links))
	}
}

// finish: the links take all, or what waits for none goes back.
func (m *pushModel) finish() {
	for _, src := range m.links {
		m.wires[src].give(1 << 30)
	}
	time.Sleep(testGrace + time.Second)
	m.check(m.t)
	for _, s := range []string{"s1", "s2"} {
		for _, st := range readStanzas(m.t, m.taken(s)) {
			m.ends[st.value("id")]++
		}
	}
	for i := range m.sent {
		if n := m.ends[fmt.Sprint(i)]; n != 1 {
			m.t.Fatalf("%d has %d ends", i, n)
		}
	}
	want := storage.Gone
	for _, src := range m.links {
		m.wires[src].breakIt()
		src.Detach()
		want = storage.Away
	}
	if rec, ok := m.sessions.Node(m.r.Node("push").ID()); !ok || rec.State != want {
		m.t.Fatalf("the last link has gone: %+v, want %v", rec, want)
	}
}

// waitingAt gives the ids of what waits for a node.
func waitingAt(n *Node) (ids []string) {
	q := n.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.blocks {
		if b.b == nil {
			b = q.onDisk(b)
		}
		b.each(func(raw []byte, rc rec) {
			if rc.class != classMoved {
				ids = append(ids, idOf(raw))
			}
		})
	}
	return ids
}

// onDisk gives a copy of a block that is on disk only. Called with mu held.
func (q *Queue) onDisk(b *block) *block {
	c := &block{}
	if v, err := q.env.outbox.Get(q.targetOf(b), b.first); err == nil && c.decode(v) == nil {
		c.dead = b.dead
		c.bury()
	}
	return c
}

func idOf(raw []byte) string {
	w := stanza.WalkBytes(raw)
	w.Next()
	id, _, _ := w.Attr("id")
	return string(id)
}
