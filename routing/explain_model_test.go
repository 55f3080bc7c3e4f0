package routing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// What Explain says of a stanza is what happens to it when a node sends it: where it goes, how often, what is counted and
// what is answered. And saying it changes nothing. Each row, action and reason that one server can come to on a stanza of
// this kind is met.
func TestExplainModel(t *testing.T) {
	met := map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := newExplainModel(rt, met)
			defer m.close()
			for range casesEach {
				m.one()
			}
		})
	})
	if testing.Short() || t.Failed() {
		return
	}
	for _, what := range canBeMet {
		if met[what] == 0 {
			t.Errorf("%s was never met", what)
		}
	}
	t.Log(met)
}

// casesEach is how many stanzas are explained and sent in one world; rapid makes 100 of these.
const casesEach = 100

var canBeMet = []string{
	"row 0", "row 1", "row 2", "row 3", "row 4", "row 5", "row 6",
	"deliver", "serve", "store", "hold", "bounce", "drop", EndLink,
	"bad-stanza", "no-to", "bad-to", "server-resource", "no-session", "session-gone", "groupchat-to-bare", "node-away",
	"node-unreachable", "no-route", "queue-full", "hold-full", "iq-full", "invalid-from", "error-to-nobody",
	"result-to-nobody", "presence-to-nobody", "headline-to-nobody", "offline-discard", "late-reply", "offline-full",
	"offline-total", "forward-gone",
	"waits", "copies", "joins", "an answer", "an answer to a node",
}

// explainModel is a server with nodes in every state, and users of every sort.
type explainModel struct {
	t        *rapid.T
	met      map[string]int
	r        *Router
	sessions *storage.Sessions
	offline  *storage.Offline
	served   int
	tap      *Tap // nil in half of the worlds: those who look change nothing
	wires    map[*Source]*wire
	held     []string
	live     []string // addresses that somebody may use
	asks     []explainedAsk
	count    int
}

// explainedAsk is an iq that a node was written.
type explainedAsk struct{ at, asked, asker, id string }

// Serve counts what comes to the server itself.
func (m *explainModel) Serve(*Source, *stanza.Header, stanza.Address, stanza.Address) Reason {
	m.served++
	return None
}

func (m *explainModel) Revoked(*Node, stanza.Address) {}

func (m *explainModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func pick[T any](t *rapid.T, what string, of ...T) T { return rapid.SampledFrom(of).Draw(t, what) }

func newExplainModel(t *rapid.T, met map[string]int) *explainModel {
	m := &explainModel{t: t, met: met, wires: map[*Source]*wire{}}
	var err error
	m.sessions, err = storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet()})
	m.must(err)
	m.offline, err = storage.OpenOffline(storage.OfflineOptions{Dir: storage.Memory, Log: quiet(), Total: pick[int64](t, "total", 0, 0, 300)})
	m.must(err)
	cfg := mailConfig(m.offline, storage.Keep{})
	cfg.Queue, cfg.Known = pick(t, "queue", 1500, 20_000), []string{"exact"}
	cfg.Users = []UserDomain{{Name: "vip", Keep: storage.Keep{Messages: 2}}, {Name: "im", Keep: storage.Keep{Messages: 2}}}
	for i := range cfg.Users {
		cfg.Users[i].Offline = pick(t, "policy", PolicyBounce, PolicyForward, PolicyDiscard, PolicyStore, PolicyForward, PolicyStore)
		cfg.Users[i].ForwardTo = pick(t, "forward", "n5", "n1", "exact", "n2", "n4", "exact", "push")
	}
	m.open(cfg)
	m.people()
	m.drop("n5")
	time.Sleep(testGrace + time.Second)
	m.drop("n4")
	if rapid.IntRange(0, 2).Draw(t, "restart") == 0 {
		for _, n := range []string{"n1", "n2", "n3", "bridge", "push"} {
			m.drop(n)
		}
		m.r.Close()
		m.open(cfg)
	}
	m.troubles(cfg.Queue)
	m.live = m.alive()
	if rapid.Bool().Draw(t, "tapped") {
		m.tap = m.r.Tap(TapFilter{})
	}
	return m
}

// open opens a router to which all nodes attach that have not left.
func (m *explainModel) open(cfg Config) {
	first := m.r == nil
	m.r = New(cfg, m.sessions, m)
	m.r.Returning()
	for _, n := range []string{"n1", "n2", "n3", "n4", "n5"} {
		if first || n < "n4" {
			m.attach(n, &Grant{Users: []string{"im", "vip"}[:pick(m.t, "granted", 1, 2)], TakeOver: true})
		}
	}
	m.attach("bridge", &Grant{Users: []string{"vip"}, SpeakDomain: true})
	if !first {
		return
	}
	for range rapid.IntRange(0, 2).Draw(m.t, "links") {
		m.attach("push", &Grant{Instances: 2})
	}
}

func (m *explainModel) attach(name string, g *Grant) {
	src, err := m.r.Attach(name, g, storedScanner(stanza.DefaultLimits))
	m.must(err)
	m.wires[src] = newWire(1 << 30)
	m.must(src.Start(m.wires[src], nil))
}

func (m *explainModel) drop(name string) {
	n := m.r.Node(name)
	if n == nil {
		return
	}
	for _, src := range n.Sources() {
		m.wires[src].breakIt()
		src.Detach()
		delete(m.wires, src)
	}
}

// people gives users sessions, and takes some away again.
func (m *explainModel) people() {
	for _, user := range []string{"a@im", "b@im", "c@im", "d@im", "v@vip", "w@vip"} {
		for i := range rapid.IntRange(0, 4).Draw(m.t, "sessions of "+user) {
			src := m.link(pick(m.t, "on", "n1", "n2", "n3", "n4", "n5", "bridge"))
			jid := fmt.Sprint(user, "/", i)
			m.must(announceTo(m.r, src, jid, pick[int8](m.t, "priority", 0, 5, -1)))
			if rapid.IntRange(0, 5).Draw(m.t, "withdrawn") == 0 {
				withdrawFrom(m.r, src, jid)
			}
		}
	}
	synctest.Wait()
}

// alive gives the addresses that an attached node may use.
func (m *explainModel) alive() (froms []string) {
	for _, src := range m.links() {
		froms = append(froms, src.node.Domain)
		m.sessions.EachOfNode(src.node.ID(), 0, func(s storage.Session) bool {
			who, _, err := stanza.ParseAddress([]byte(s.JID), false, nil)
			if m.must(err); src.Grant().MayAnnounce(who.Domain()) {
				froms = append(froms, s.JID)
			}
			return true
		})
	}
	slices.Sort(froms)
	return froms
}

// troubles makes nodes slow, queues and tables full, and stanzas wait.
func (m *explainModel) troubles(limit int) {
	m.r.Node("n2").SetDraining(m.r, rapid.Bool().Draw(m.t, "drained"))
	synctest.Wait()
	for src, w := range m.wires {
		if src.node.Domain == "n3" {
			w.mu.Lock()
			w.room = 0
			w.mu.Unlock()
		}
	}
	for _, full := range []string{"n3", "n4"} {
		if rapid.Bool().Draw(m.t, full+" is full") {
			m.r.Send(m.r.Node(full), []byte("<message id='fill'><body>"+strings.Repeat("x", limit-100)+"</body></message>"))
		}
	}
	for _, user := range []string{"a@im", "b@im", "v@vip"} {
		switch rapid.IntRange(0, 5).Draw(m.t, user) {
		case 0:
			m.held = append(m.held, user)
			m.r.holds.expect(user, m.r.holds.idle)
		case 1:
			_, err := m.offline.Put([]byte(user), m.r.Node("n1").ID(), []byte("<message type='chat' from='n1' to='"+user+"'/>"), storage.Keep{})
			if !errors.Is(err, storage.ErrStoreFull) {
				m.must(err)
			}
		}
	}
	if rapid.IntRange(0, 4).Draw(m.t, "table of iqs") == 0 {
		n := m.r.Node("n1")
		for i := range maxAsks / share {
			m.r.iqs.enter(&ask{key: fmt.Sprint("n1\x00", i), asked: "n2", node: m.r.Node("n2"), origin: n, until: time.Now().Add(time.Hour)})
		}
	}
	synctest.Wait()
}

func (m *explainModel) close() {
	for _, user := range m.held {
		m.r.holds.announced(user, nil)
		m.r.holds.quit(user)
		m.r.release([]string{user})
	}
	for src, w := range m.wires {
		w.breakIt()
		src.Detach()
	}
	m.r.Close()
	_ = m.offline.Close()
	_ = m.sessions.Close()
}

// link gives the link of a node that Explain speaks of.
func (m *explainModel) link(name string) *Source {
	n := m.r.Node(name)
	if n == nil {
		return nil
	}
	for _, one := range n.all() {
		if src, _ := one.Source(); src != nil {
			return src
		}
	}
	return nil
}

var (
	explainedFroms = []string{"a@im/0", "a@im/1", "b@im/0", "b@im", "c@im/0", "d@im/2", "a@im/9", "v@vip/0", "v@vip", "w@vip/1", "z@im/0", "z@vip", "n1", "n1",
		"x@n1/y", "n2", "n3", "n4", "n5", "push", "bridge", "exact", "hub", "x@hub", "im", "vip", "elsewhere", "x@elsewhere/y", "@im", "a@@im", "a b@im", "A@IM/0", ""}
	explainedTos = []string{"a@im", "a@im/0", "a@im/1", "b@im", "b@im/0", "b@im/1", "c@im", "c@im/0", "d@im", "d@im/0", "d@im/3", "v@vip", "v@vip/0", "w@vip", "w@vip/1",
		"a@im/9", "v@vip/9", "z@im", "z@im/0", "z@vip", "z@vip/0", "im", "vip", "im/x", "hub", "x@hub/y", "n1", "n2", "n3", "n4", "x@n4/y", "n5", "push", "x@push", "exact", "never", "x@elsewhere/y",
		"@im", "im/", "a b@im", "A@im", ""}
	explainedTypes = map[string][]string{
		"message":  {"chat", "chat", "normal", "", "groupchat", "headline", "error", "sideways"},
		"presence": {"", "", "unavailable", "probe", "subscribe", "error"},
		"iq":       {"get", "set", "get", "", "result", "error", "bogus"},
		"stanza":   {""},
	}
)

func (m *explainModel) query() Query {
	q := Query{Kind: pick(m.t, "kind", "message", "message", "message", "iq", "iq", "presence", "presence", "stanza")}
	froms := m.live
	if rapid.IntRange(0, 4).Draw(m.t, "strange") == 0 {
		froms = explainedFroms
	}
	q.From, q.To = rapid.SampledFrom(froms).Draw(m.t, "from"), rapid.SampledFrom(explainedTos).Draw(m.t, "to")
	q.Type = rapid.SampledFrom(explainedTypes[q.Kind]).Draw(m.t, "type")
	m.count++
	q.ID = fmt.Sprint("c", m.count)
	if rapid.IntRange(0, 9).Draw(m.t, "elsewhere") == 0 {
		q.At = pick(m.t, "at", "n1", "n2", "n3", "n4", "push", "bridge", "never", "im", "@")
	}
	if q.Kind == "iq" && len(m.asks) > 0 && rapid.Bool().Draw(m.t, "answer") {
		a := rapid.SampledFrom(m.asks).Draw(m.t, "ask")
		q = Query{Kind: "iq", Type: pick(m.t, "type", "result", "error"), From: a.asked, To: a.asker, ID: a.id, At: a.at}
		if rapid.IntRange(0, 3).Draw(m.t, "no from") == 0 {
			q.From = ""
		}
	}
	return q
}

// one explains a stanza, and sends it.
func (m *explainModel) one() {
	synctest.Wait() // what was held may be leaving
	q := m.query()
	before := m.state()
	e := m.r.Explain(q)
	if after := m.state(); !reflect.DeepEqual(before, after) {
		m.t.Fatalf("%+v: to explain it changed something:\n%+v\n%+v", q, before, after)
	}
	m.shape(q, e)
	m.note(q, e)
	switch src := m.link(e.Origin.Node); {
	case src != nil && src.node.State() == Attached:
		m.send(q, e, src)
	case e.Origin.Node == "" && q.At == "" && q.From != "":
		for _, src := range m.links() {
			m.send(q, e, src)
		}
	}
}

func (m *explainModel) links() []*Source {
	return slices.SortedFunc(maps.Keys(m.wires), func(a, b *Source) int { return cmp.Compare(a.ID, b.ID) })
}
