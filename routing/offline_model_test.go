package routing

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// The store in the router as a machine (protocol 6). Messages come from nodes that stay, to users who log in and out
// at nodes that come and go and take little at a time. Whatever happens, every message that was taken has one end, or
// is stored; nobody gets one twice; what comes from one node for one user comes in order; and who is logged in has
// nothing left in the store.
func TestOfflineModel(t *testing.T) { checkOffline(t, mailModel{}) }

// The same, with a store on disk that is stopped in orderly fashion and opened again.
func TestOfflineRestarts(t *testing.T) { checkOffline(t, mailModel{disk: true}) }

// The same with proof: what was written and not proved when a link dropped is written again.
func TestOfflineProof(t *testing.T) { checkOffline(t, mailModel{proof: true}) }

// The same with outboxes, too, over stops.
func TestOfflineOutbox(t *testing.T) {
	checkOffline(t, mailModel{disk: true, proof: true, outbox: true})
}

func checkOffline(t *testing.T, variant mailModel) {
	disk := variant.disk
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := &mailModel{t: rt, disk: disk, proof: variant.proof, outbox: variant.outbox, dir: storage.Memory, sent: map[string]*letterModel{}}
			m.start()
			defer m.stop()
			ops := map[string]func(*rapid.T){
				"send": m.send, "send more": m.send, "announce": m.announce, "withdraw": m.withdraw,
				"detach": m.detach, "attach": m.attach, "room": m.room, "wait": m.wait, "": m.check,
			}
			if disk {
				ops["restart"] = m.restart
			}
			rt.Repeat(ops)
			m.finish()
		})
	})
}

// mailModel is what the test knows.
type mailModel struct {
	t        *rapid.T
	disk     bool
	proof    bool
	outbox   bool
	answers  map[string]peerAnswers // by node
	opened   time.Time
	stops    bool // what is written now is not proved
	dir      string
	keep     storage.Keep
	r        *Router
	offline  *storage.Offline
	queues   *storage.Queues // whose store it is
	sessions *storage.Sessions
	links    map[string]*modelLink // the last one of each node
	old      []*modelLink          // of nodes that have another one, or none, now
	step     int
	sent     map[string]*letterModel
	ids      []string            // in the order in which they were sent
	holds    map[[2]string]int   // user, node: the last step at which a session was there
	orders   map[string][]string // per node, what it was written
	low      map[string]bool     // users who have had a session with a negative priority
	fresh    map[string]bool     // users who have logged in since the start of the router
	burst    bool                // the last operation was not waited for
}

// letterModel is one message.
type letterModel struct {
	n       int // how many were sent before
	step    int
	from    string
	user    string
	way     string          // its kind, and the address
	silent  bool            // it may end without an answer
	at      map[string]bool // nodes in whose queue it was seen
	written map[string]int  // by node
	again   bool            // it was written, and not proved, when a link dropped: it may come once more
	errors  int
	iq      bool
}

// peerAnswers is when a node answers the barrier pings.
type peerAnswers int

const (
	answersAtOnce peerAnswers = iota
	answersLate
	answersNever
)

// modelLink is a link, and what was read from its wire.
type modelLink struct {
	node string
	src  *Source
	w    *wire
	sc   *stanza.Scanner
	rest []byte

	answers peerAnswers // the barrier pings
}

var (
	modelSources = []string{"s1", "s2"}
	modelNodes   = []string{"a", "b", "c"}
	modelUsers   = []string{"bob@im", "carol@im"}
)

func (m *mailModel) start() {
	var err error
	if m.disk {
		m.dir, err = os.MkdirTemp("", "offline")
		m.must(err)
	}
	m.keep = storage.Keep{Messages: rapid.SampledFrom([]int{0, 3}).Draw(m.t, "keep"),
		Age: rapid.SampledFrom([]time.Duration{0, 45 * time.Second}).Draw(m.t, "age")}
	m.sessions, err = storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet()})
	m.must(err)
	m.holds, m.answers = map[[2]string]int{}, map[string]peerAnswers{}
	m.orders, m.low = map[string][]string{}, map[string]bool{}
	m.open()
}

func (m *mailModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailModel) open() {
	var err error
	m.queues, err = storage.OpenQueues(storage.QueuesOptions{Dir: m.dir, Log: quiet()})
	m.must(err)
	m.offline = m.queues.Offline()
	m.links, m.fresh = map[string]*modelLink{}, map[string]bool{}
	cfg := mailConfig(m.offline, m.keep)
	cfg.NoProof = !m.proof
	if m.outbox {
		cfg.Outbox, cfg.Settings.Outbox = m.queues.Outbox(), 1<<30
	}
	m.r = New(cfg, m.sessions, nobodyServes{})
	m.opened = time.Now()
	m.r.Returning()
	for _, n := range modelSources {
		m.link(n)
	}
}

// link attaches a node.
func (m *mailModel) link(node string) {
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, err := sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	src, err := m.r.Attach(node, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	m.must(err)
	l := &modelLink{node: node, src: src, w: newWire(1 << 30), sc: stanza.NewScanner(stanza.DefaultLimits)}
	if _, drawn := m.answers[node]; m.proof && !drawn {
		m.answers[node] = rapid.SampledFrom([]peerAnswers{answersAtOnce, answersLate, answersNever}).Draw(m.t, "answers")
	}
	l.answers = m.answers[node]
	_, _, err = l.sc.Next([]byte(rootTag), &stanza.Header{})
	m.must(err)
	if was := m.links[node]; was != nil {
		m.old = append(m.old, was)
	}
	m.links[node] = l
	m.must(src.Start(l.w, nil))
}

func (l *modelLink) up() bool { return l != nil && l.src != nil }

func (l *modelLink) drop() {
	l.w.breakIt()
	l.src.Detach()
	l.src = nil
}

// close ends the router and the store; what is in the store stays there.
func (m *mailModel) close() {
	for _, l := range m.links {
		if l.up() {
			l.drop()
		}
	}
	m.r.Close()
	synctest.Wait()
	m.read()
	m.books()
	m.must(m.offline.ConsistencyCheck())
}

// stop frees everything, also when the test has failed.
func (m *mailModel) stop() {
	for _, l := range m.links {
		if l.up() {
			l.drop()
		}
	}
	m.r.Close()
	_ = m.queues.Close()
	_ = m.sessions.Close()
	if m.disk {
		_ = os.RemoveAll(m.dir)
	}
}

// kinds of messages, as (type, to a resource, silent: some ends have no answer).
var modelKinds = []struct {
	tag    string
	res    string
	silent bool
}{
	{"message type='chat'", "", false}, {"message type='chat'", "", false}, {"message", "", false},
	{"message type='chat'", "/x", false}, {"message type='chat'", "/y", false}, {"message type='normal'", "/x", false},
	{"message type='headline'", "", true}, {"message type='headline'", "/y", false}, {"message type='groupchat'", "", false},
	{"message type='groupchat'", "/x", false}, {"presence", "", true}, {"iq type='get'", "", false}, {"iq type='get'", "/x", false},
}

func (m *mailModel) send(t *rapid.T) {
	m.begin()
	from, user := rapid.SampledFrom(modelSources).Draw(t, "from"), rapid.SampledFrom(modelUsers).Draw(t, "user")
	var all strings.Builder
	for range rapid.IntRange(1, 4).Draw(t, "messages") {
		k := rapid.SampledFrom(modelKinds).Draw(t, "kind")
		id := fmt.Sprintf("m%d", len(m.ids))
		name, _, _ := strings.Cut(k.tag, " ")
		m.sent[id] = &letterModel{n: len(m.ids), step: m.step, from: from, user: user, way: name + k.res, iq: name == "iq", silent: k.silent,
			at: map[string]bool{}, written: map[string]int{}}
		m.ids = append(m.ids, id)
		fmt.Fprintf(&all, "<%s from='%s' to='%s%s' id='%s'><x xmlns='y'/></%s>", k.tag, from, user, k.res, id, name)
	}
	n, err := m.links[from].src.Feed([]byte(all.String()))
	if m.must(err); n != all.Len() {
		t.Fatalf("took %d of %d bytes", n, all.Len())
	}
	m.end(t)
}

func (m *mailModel) announce(t *rapid.T) {
	l := m.attached(t)
	user := rapid.SampledFrom(modelUsers).Draw(t, "user")
	res := rapid.SampledFrom([]string{"/x", "/x", "/y"}).Draw(t, "resource")
	prio := rapid.SampledFrom([]int8{0, 0, 5, -1}).Draw(t, "priority")
	m.begin()
	m.low[user], m.fresh[user] = m.low[user] || prio < 0, true
	want := m.due(user, l.node, prio)
	before := len(m.orders[l.node])
	m.must(announceTo(m.r, l.src, user+res, prio))
	if m.end(t); want == nil {
		return
	}
	synctest.Wait()
	m.read()
	if got := m.orders[l.node][before:]; !slices.Equal(got, want) {
		t.Fatalf("%s logged in at %s, which got %v, want %v", user, l.node, got, want)
	}
}

// due is what a user has to get at the first log-in on a node that takes everything, nil if that cannot be said.
func (m *mailModel) due(user, node string, prio int8) []string {
	synctest.Wait()
	m.read()
	l := m.links[node]
	l.w.mu.Lock()
	blocked := l.w.room < 1<<20
	l.w.mu.Unlock()
	if m.burst || prio < 0 || blocked || len(m.eligible(user)) > 0 || !m.r.Complete() || m.flying(user) || m.r.holds.waiting([]byte(user)) ||
		l.src.node.queue.stats().Waiting > 0 || m.r.SomebodyAway() {
		return nil
	}
	want := []string{}
	list, err := m.offline.Read([]byte(user), 0, 1000)
	m.must(err)
	for _, s := range list {
		if m.keep.Age == 0 || time.Since(s.Accepted()) < m.keep.Age {
			want = append(want, idOf(s.Raw))
		}
	}
	return want
}

func (m *mailModel) withdraw(t *rapid.T) {
	l := m.attached(t)
	m.begin()
	withdrawFrom(m.r, l.src, rapid.SampledFrom(modelUsers).Draw(t, "user")+rapid.SampledFrom([]string{"/x", "/y"}).Draw(t, "resource"))
	m.end(t)
}

// attached draws one of the links of the users' nodes.
func (m *mailModel) attached(t *rapid.T) *modelLink {
	var up []string
	for _, n := range modelNodes {
		if m.links[n].up() {
			up = append(up, n)
		}
	}
	if len(up) == 0 {
		t.Skip("no node is attached")
	}
	return m.links[rapid.SampledFrom(up).Draw(t, "node")]
}

func (m *mailModel) attach(t *rapid.T) {
	n := rapid.SampledFrom(modelNodes).Draw(t, "node")
	if m.links[n].up() {
		t.Skip("attached")
	}
	m.begin()
	m.link(n)
	m.end(t)
}

func (m *mailModel) detach(t *rapid.T) {
	l := m.attached(t)
	m.settle()
	m.unproved(l)
	l.drop()
	m.end(t)
}

// room changes what a wire takes.
func (m *mailModel) room(t *rapid.T) {
	l := m.attached(t)
	m.settle()
	room := rapid.SampledFrom([]int{0, 1, 100, 300, 1 << 30}).Draw(t, "room")
	l.w.mu.Lock()
	l.w.room = 0
	l.w.mu.Unlock()
	l.w.give(room)
	m.end(t)
}

// wait lets time pass: much is the end of a grace, and of what is kept.
func (m *mailModel) wait(t *rapid.T) {
	m.settle()
	m.pass(rapid.SampledFrom([]time.Duration{time.Millisecond, 3 * time.Second, testSettle + time.Second, testGrace + time.Second}).Draw(t, "wait"))
	m.end(t)
}

// restart stops the router as the server does.
func (m *mailModel) restart(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rare") > 0 {
		t.Skip("too often")
	}
	m.settle()
	for _, l := range m.links {
		if l.up() {
			m.unproved(l)
		}
	}
	m.stops = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m.r.Drain(ctx)
	m.close()
	m.stops = false
	for _, l := range m.links {
		m.old = append(m.old, l)
	}
	want := m.kept()
	m.must(m.queues.Close())
	m.open()
	if got := m.kept(); !slices.Equal(got, want) {
		t.Fatalf("stored %q before the stop, %q after the start", want, got)
	}
	if got := m.offline.Stats().Loaded; got != len(want) {
		t.Fatalf("loaded %d, have %d", got, len(want))
	}
	m.end(t)
}
