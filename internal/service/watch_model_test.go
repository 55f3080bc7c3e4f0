package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// watchModel lets nodes come and go, state sessions and watch users, with links that take nothing for a time. What a
// link has read, in its order, is all that it can know.
type watchModel struct {
	*testbed
	nodes, users []string
	links        map[string]*hearing
}

// hearing is what one link has been told.
type hearing struct {
	asked map[string]bool   // the users that it watches by its last request
	open  map[string]bool   // the same, by the results that it has read
	knows map[string]string // full JID -> what was said of it
	again map[string]bool   // the users that it asked for once more: what is known may be said again
	owed  map[string]bool   // what it knew of them when it asked: that must be
}

func newHearing() *hearing {
	return &hearing{asked: map[string]bool{}, open: map[string]bool{}, knows: map[string]string{}, again: map[string]bool{}, owed: map[string]bool{}}
}

func bareOf(jid string) string { return jid[:strings.IndexByte(jid, '/')] }

// read takes in what a link was written: every notice is of a user that it watches, and tells something new.
func (m *watchModel) read(node string) {
	l := m.links[node]
	m.each(node, func(h *stanza.Header) {
		id := string(h.In(h.ID.Value))
		if user, ok := strings.CutPrefix(id, "watch "); ok && h.Kind == stanza.IQ {
			l.again[user] = l.again[user] || l.open[user]
			l.open[user] = true
			for jid := range l.knows {
				l.owed[jid] = l.owed[jid] || bareOf(jid) == user
			}
		}
		if user, ok := strings.CutPrefix(id, "unwatch "); ok && h.Kind == stanza.IQ {
			delete(l.open, user)
			maps.DeleteFunc(l.knows, func(jid, _ string) bool { return bareOf(jid) == user })
			maps.DeleteFunc(l.owed, func(jid string, _ bool) bool { return bareOf(jid) == user })
		}
		n, ok := m.notice(h)
		if !ok {
			return
		}
		before, knew := l.knows[n.jid]
		delete(l.owed, n.jid)
		switch {
		case !l.open[bareOf(n.jid)]:
			m.t.Fatalf("%s was told of %s, whom it does not watch", node, n.jid)
		case h.Type == stanza.TypeUnavailable && (!knew || strings.Fields(before)[0] != n.says || n.why == ""):
			m.t.Fatalf("%s was told that %s ended at %s (%s), and knew %q", node, n.jid, n.says, n.why, before)
		case h.Type == stanza.TypeUnavailable:
			delete(l.knows, n.jid)
		case before == n.says && !l.again[bareOf(n.jid)]:
			m.t.Fatalf("%s was told of %s %q twice", node, n.jid, n.says)
		default:
			l.knows[n.jid] = n.says
		}
	})
}

// settled holds every link to the table, when all that they have to be told can have been told.
func (m *watchModel) settled(*rapid.T) {
	for node := range m.links {
		m.wires[node].goOn()
	}
	time.Sleep(3 * pauseMost)
	synctest.Wait()
	watched := map[string]bool{}
	for node, l := range m.links {
		m.read(node)
		if !maps.Equal(l.asked, l.open) {
			m.t.Fatalf("%s watches %v, and has results for %v", node, l.asked, l.open)
		}
		m.expectKnown(node, l.knows, slices.Collect(maps.Keys(l.open))...)
		maps.Copy(watched, l.open)
		clear(l.again)
		for jid, owed := range l.owed {
			if owed {
				m.t.Fatalf("%s asked once more, and was not told of %s again", node, jid)
			}
		}
	}
	ws := m.service.watches
	ws.mu.Lock()
	defer ws.mu.Unlock()
	sum := 0
	for _, l := range m.links {
		sum += len(l.open)
	}
	if len(ws.users) != len(watched) || len(ws.all) != len(watched) || ws.count.Load() != int64(sum) || len(ws.dirty) != 0 {
		m.t.Fatalf("%d users are watched by %d; noted are %d, %d and %d, %d to look at", len(watched), sum, len(ws.users), len(ws.all), ws.count.Load(), len(ws.dirty))
	}
}

// attached draws a node with a link.
func (m *watchModel) attached(t *rapid.T) string {
	if len(m.links) == 0 {
		t.Skip("no link")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.links))).Draw(t, "node")
}

func (m *watchModel) jid(t *rapid.T) string {
	return rapid.SampledFrom(m.users).Draw(t, "user") + rapid.SampledFrom([]string{"/a", "/b", "/c"}).Draw(t, "resource")
}

func (m *watchModel) announce(t *rapid.T) {
	m.presence(m.attached(t), m.jid(t), fmt.Sprint(rapid.IntRange(-1, 2).Draw(t, "priority")), false)
}

func (m *watchModel) withdraw(t *rapid.T) { m.presence(m.attached(t), m.jid(t), "0", true) }

// burst is many changes without a breath between them.
func (m *watchModel) burst(t *rapid.T) {
	node := m.attached(t)
	for i := range rapid.IntRange(2, 40).Draw(t, "changes") {
		m.presence(node, m.jid(t), fmt.Sprint(i), i%3 == 2)
	}
}

func (m *watchModel) sync(t *rapid.T) {
	items := ""
	for range rapid.IntRange(0, 3).Draw(t, "items") {
		items += "<announce jid='" + m.jid(t) + "'/>"
	}
	m.state(m.attached(t), " sync='all'", items)
}

func (m *watchModel) drain(t *rapid.T) {
	src := m.srcs[m.attached(t)]
	inc, _ := src.Incarnation()
	m.sessions.SetNodeState(src.Node().ID(), inc, storage.Draining, time.Time{})
}

func (m *watchModel) watch(t *rapid.T) {
	node, user := m.attached(t), rapid.SampledFrom(m.users).Draw(t, "user")
	m.links[node].asked[user] = true
	m.ask(node, "watch", user)
}

func (m *watchModel) unwatch(t *rapid.T) {
	node, user := m.attached(t), rapid.SampledFrom(m.users).Draw(t, "user")
	delete(m.links[node].asked, user)
	m.ask(node, "unwatch", user)
}

func (m *watchModel) drop(t *rapid.T) {
	node := m.attached(t)
	m.detach(node)
	delete(m.links, node)
}

func (m *watchModel) back(t *rapid.T) {
	node := rapid.SampledFrom(m.nodes).Draw(t, "node")
	if m.links[node] != nil {
		t.Skip("it is attached")
	}
	synctest.Wait() // in life there is a handshake before a new link
	m.attach(node)
	m.links[node] = newHearing()
}

func (m *watchModel) stick(t *rapid.T) { m.wires[m.attached(t)].stick() }

func (m *watchModel) goOn(t *rapid.T) { m.wires[m.attached(t)].goOn() }

// pass lets time go by; the longest is more than the grace.
func (m *watchModel) pass(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 31 * time.Second}).Draw(t, "time"))
}

// bubbled has no deadline: a bubble's clock is not that of the tests.
type bubbled struct{ *testing.T }

// Deadline gives none.
func (bubbled) Deadline() (time.Time, bool) { return time.Time{}, false }

// TestWatchModel: whatever happens, what a watcher was told comes to be what the table has, it is told nothing of
// others, and nothing twice.
func TestWatchModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(t *rapid.T) {
			m := &watchModel{testbed: newTestbed(t), nodes: []string{"n1", "n2", "shy"}, users: []string{"u1@im", "u2@im", "u3@im"}, links: map[string]*hearing{}}
			m.service.watches.window = rapid.SampledFrom([]int{1, 1000, maxWindow}).Draw(t, "window")
			for _, n := range m.nodes {
				m.links[n] = newHearing()
			}
			t.Repeat(map[string]func(*rapid.T){
				"announce": m.announce, "withdraw": m.withdraw, "burst": m.burst, "sync": m.sync, "drain": m.drain,
				"watch": m.watch, "watch more": m.watch, "unwatch": m.unwatch, "drop": m.drop, "back": m.back,
				"stick": m.stick, "go on": m.goOn, "pass": m.pass, "settled": m.settled,
			})
			m.settled(t)
			m.close()
		})
	})
}
