package routing

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// The ring, the queue and the outbox of a node as a machine (protocol 2 and 3). Links come and go in the middle of a stanza,
// and take little at a time; behind them is a process that reads, handles and answers as libraries do, and dies with its
// link; the disk commits late, and refuses; the server is killed, or stops. Whatever happens, each stanza is in exactly one
// place until an application has handled it, they come in order, and what comes twice was unproved when a link dropped.
func TestQueueModel(t *testing.T) { checkQueue(t, modelVariant{disk: true}) }

// The same with no disk: what waits is in memory.
func TestQueueModelMemory(t *testing.T) { checkQueue(t, modelVariant{}) }

// The same where nothing is asked for proof.
func TestQueueModelUnproved(t *testing.T) { checkQueue(t, modelVariant{disk: true, off: true}) }

type modelVariant struct{ disk, off bool }

func checkQueue(t *testing.T, v modelVariant) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := &queueModel{t: rt, modelVariant: v}
			m.start()
			defer m.end()
			ops := map[string]func(*rapid.T){
				"put": m.put, "put more": m.put, "ask": m.ask, "ask more": m.ask, "run": m.run, "attach": m.attach, "drop": m.drop, "room": m.room, "turn": m.turn,
				"turn again": m.turn, "answer": m.answer, "pass": m.pass, "forge": m.forge, "probe": m.probe, "break": m.breakLink,
				"take user": m.takeUser, "resume": m.resume, "resume soon": m.resume, "tell": m.tell, "count high": m.countHigh, "expire": m.expire, "quiet": func(*rapid.T) { m.quiet() }, "": func(*rapid.T) { m.check() },
			}
			if v.disk {
				ops["commit"], ops["refuse"], ops["spill"], ops["slow"] = m.commit, m.refuse, m.spill, m.slow
				ops["crash"], ops["stop"], ops["retire"] = m.crash, m.stop, m.retire
				ops["early"], ops["early too"] = m.early, m.early
			}
			rt.Repeat(ops)
			m.finish()
		})
	})
}

// queueModel is what the test knows.
type queueModel struct {
	modelVariant
	t       *rapid.T
	box     *modelDisk // nil: there is none
	limit   int
	most    atomic.Int64
	tight   atomic.Bool
	clock   atomic.Int64
	mono    atomic.Int64
	moment  atomic.Uint64
	armed   *atomic.Bool // of the queue that is
	writers sync.WaitGroup

	q       *Queue
	link    *modelPeer   // nil: the node is away
	held    *modelStream // its link dropped, and may be resumed
	closed  bool         // its grace is over
	all     []*modelStanza
	parts   map[modelKey]*modelPart
	retired []*block // taken from, and the disk still has their places
	safe    uint64   // what the queue said is

	mu       sync.Mutex
	told     map[int]int // guarded by mu: letters that arrived
	replaced int         // guarded by mu: presence that newer one replaced
}

// modelStanza is one that the queue took.
type modelStanza struct {
	class    class
	to       string   // whom it is for
	users    []string // of classGroup
	number   uint64   // that the queue gave it; 0: in an earlier life
	promised bool     // it was said to be safe
	pair     string   // of presence
	origin   storage.NodeID
	answers  bool // an iq: it may go past what waits
	size     int
}

// modelPart is what became of it.
type modelPart struct {
	taken   int  // links that took it whole
	handled int  // times that an application had it
	gone    bool // it is somewhere else, or lost as it may be
	free    bool // it need not be kept any more
	repeats bool // it may come again
	ended   bool // a link of grade written took it
	counted bool // its peer has counted it, and the queue knows
}

func (m *queueModel) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *queueModel) start() {
	m.limit = rapid.SampledFrom([]int{2000, 20_000, 300_000}).Draw(m.t, "limit")
	m.most.Store(int64(rapid.SampledFrom([]int{0, 100_000, 500_000}).Draw(m.t, "most")))
	m.clock.Store(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).UnixNano())
	m.mono.Store(1)
	m.all = []*modelStanza{nil}
	m.parts, m.told = map[modelKey]*modelPart{}, map[int]int{}
	if m.disk {
		m.box = newModelDisk()
	}
	m.open()
}

// open makes a queue, as a start of the server does.
func (m *queueModel) open() {
	armed := new(atomic.Bool)
	m.armed, m.link, m.held, m.closed, m.retired, m.replaced = armed, nil, nil, false, nil, 0
	env := &queueEnv{wg: &m.writers, clock: &m.clock, moment: &m.moment, most: &m.most, tight: &m.tight, server: "hub", off: m.off,
		mono: m.mono.Load, arm: func(*Queue) { armed.Store(true) }, arrived: m.arrived,
		log: func(_ *Queue, what string, err error) { panic(fmt.Sprint(what, ": ", err)) },
		lost: func(why Reason, _ storage.NodeID) {
			if why == Superseded {
				m.mu.Lock()
				m.replaced++
				m.mu.Unlock()
			}
		}}
	if m.disk {
		env.outbox = m.box
	}
	m.q = newQueue(m.limit, env, &Node{Domain: "node"}, "node")
	if !m.disk {
		return
	}
	for _, at := range m.box.places() {
		value := m.box.value(at, false)
		if m.q.restore(at.target, at.number, len(value), value[:min(len(value), 64<<10)]) == nil {
			m.t.Fatalf("a block of ours was not restored")
		}
	}
}

// end leaves no goroutine behind.
func (m *queueModel) end() {
	if m.link != nil {
		m.link.Interrupt()
		m.q.detachQuick(m.link)
	}
	if m.disk {
		m.box.let(false)
	}
	m.writers.Wait()
}

// detachQuick takes the link away, and leaves all as it is.
func (q *Queue) detachQuick(out Output) {
	q.mu.Lock()
	if q.out == out {
		q.out = nil
	}
	q.mu.Unlock()
}

var (
	modelQueueUsers = []string{"u0@im/r", "u1@im/r", "u2@im/r", "u0@im"}
	modelSizes      = []int{0, 20, 300, 3000, 20_000, 70_000, 150_000}
	modelBody       = strings.Repeat("x", 150_000)
)

// make gives a stanza of one of these kinds.
func (m *queueModel) make(t *rapid.T, kinds []string) (raw string, s *modelStanza) {
	s = &modelStanza{to: rapid.SampledFrom(modelQueueUsers).Draw(t, "to")}
	body := modelBody[:rapid.SampledFrom(modelSizes).Draw(t, "size")]
	n := len(m.all)
	switch kind := rapid.SampledFrom(kinds).Draw(t, "kind"); kind {
	case "presence":
		from := rapid.SampledFrom([]string{"a@x", "b@x"}).Draw(t, "from")
		s.pair = from + " " + s.to
		raw = fmt.Sprintf("<presence id='%d' from='%s' to='%s'><status>%s</status></presence>", n, from, s.to, body[:min(len(body), 3000)])
	case "get":
		s.class = classRequest
		raw = fmt.Sprintf("<iq id='%d' type='get' from='a@x' to='%s'><q xmlns='q'>%s</q></iq>", n, s.to, body)
	case "result":
		s.answers = true
		raw = fmt.Sprintf("<iq id='%d' type='result' from='a@x' to='%s'/>", n, s.to)
	case "reply": // of a node to what this one asked
		s.to, s.answers = "", true
		raw = fmt.Sprintf("<iq id='%d' type='result' from='a@x' to='node'/>", n)
	case "large":
		raw = fmt.Sprintf("<message id='%d' from='a@x' to='%s'><body>%s</body></message>", n, s.to, modelBody)
	case "itself":
		s.to = ""
		raw = fmt.Sprintf("<message id='%d' from='a@x' to='node'/>", n)
	case "answer":
		s.class, s.to, s.answers = classAnswer, "", true
		raw = fmt.Sprintf("<iq id='%d' type='result' from='im' to='node'/>", n)
	case "group":
		s.class, s.users, s.to = classGroup, modelQueueUsers[:rapid.IntRange(1, 3).Draw(t, "users")], ""
		list := ""
		for _, u := range s.users {
			list += "<address type='to' jid='" + u + "'/>"
		}
		raw = fmt.Sprintf("<message id='%d' from='a@x' to='im'><addresses xmlns='http://jabber.org/protocol/address'>%s</addresses><body>%s</body></message>", n, list, body)
	default:
		s.class = map[string]class{"letter": classStored, "shared": classShared}[kind]
		raw = fmt.Sprintf("<message id='%d' from='a@x' to='%s'><body>%s</body></message>", n, s.to, body)
	}
	s.size = len(raw)
	return raw, s
}

var (
	modelQueueKinds = []string{"message", "message", "presence", "get", "result", "answer", "reply", "letter", "group", "shared", "itself"}
	modelQueueAsked = []string{"result", "answer", "reply", "reply", "message", "itself"}
)

// put queues a stanza.
func (m *queueModel) put(t *rapid.T) { m.putOf(t, modelQueueKinds) }

// ask queues answers behind more than a window.
func (m *queueModel) ask(t *rapid.T) {
	for range rapid.IntRange(2, 4).Draw(t, "large") {
		m.putOf(t, []string{"large"})
	}
	for range rapid.IntRange(1, 4).Draw(t, "answers") {
		m.putOf(t, modelQueueAsked)
	}
}

func (m *queueModel) putOf(t *rapid.T, kinds []string) {
	raw, s := m.make(t, kinds)
	n := len(m.all)
	r := rec{class: s.class, origin: storage.NodeID(rapid.IntRange(0, 2).Draw(t, "origin"))}
	switch {
	case s.class == classStored:
		r.at = uint32(n)
	case s.class == classAnswer, s.answers && s.to == "" && r.origin == 0:
		s.class, r = classAnswer, rec{} // the queue knows it by what it is
	}
	before := m.q.stats()
	m.all = append(m.all, s)
	s.origin = r.origin
	h := &stanza.Header{Raw: []byte(raw)}
	if s.answers && r.origin != 0 {
		h.Kind, h.Type = stanza.IQ, stanza.TypeResult // as a link's scanner tells
	}
	res, flush := m.q.put(h, nil, r)
	if res == putOK && s.answers && s.to == "" {
		s.class = m.q.classOf(r.origin) // an answer for the node itself does not go to the disk, if there is room for it
	}
	m.judge(res, s, before)
	if res != putOK {
		m.all = m.all[:n]
	} else {
		s.number = m.q.number
		m.parts[modelKey{n: n}] = &modelPart{}
		for _, u := range s.users {
			m.parts[modelKey{n, u}] = &modelPart{}
		}
	}
	if flush {
		m.q.flush()
	}
}

// classOf gives the class of the last stanza that was queued, which came from a node.
func (q *Queue) classOf(origin storage.NodeID) class {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range slices.Backward(slices.Concat(q.ring, q.blocks)) {
		if n := len(b.recs); n > 0 && b.recs[n-1].origin == origin {
			return b.recs[n-1].class
		}
	}
	return classKeep
}

// judge looks at what put said.
func (m *queueModel) judge(res putResult, s *modelStanza, before QueueStats) {
	away := s.class == classRequest || s.class == classGroup || s.class == classAnswer && m.held == nil
	switch {
	case res == putLater && s.class == classAnswer && (m.held != nil || m.link != nil && m.link.resumable()):
		m.t.Fatalf("an answer does not wait for the link to be resumed")
	case m.link == nil && away:
		if res != putLater {
			m.t.Fatalf("a request, or a stanza for many, was put for a node that is away: %d", res)
		}
	case m.closed != (res == putGone):
		m.t.Fatalf("put says %d, closed: %v", res, m.closed)
	case res == putOK && s.class != classAnswer && before.Bytes > 0 && before.Bytes+s.size > 2*m.limit+2*reserve && before.Bytes+s.size > spillBlock:
		m.t.Fatalf("%d bytes in memory, and %d more were taken", before.Bytes, s.size)
	case res == putOK && s.class != classRequest && s.class != classAnswer && m.most.Load() > 0 && before.Kept > 0 && before.Spilling && before.Kept+before.Bytes+s.size > int(m.most.Load())/100*101+spillBlock:
		m.t.Fatalf("%d bytes on disk, and %d more were taken", before.Kept, s.size)
	case res == putKept && m.most.Load() == 0, res == putDisk && (!m.disk || m.box.refuse == nil && m.q.disk.full == None):
		m.t.Fatalf("put says %d without a reason", res)
	}
}

// run puts several without a look between them.
func (m *queueModel) run(t *rapid.T) {
	for range rapid.IntRange(2, 12).Draw(t, "run") {
		m.put(t)
	}
}

// settle waits until nothing moves, and looks at what was taken.
func (m *queueModel) settle() {
	synctest.Wait()
	if m.link != nil {
		m.link.look()
		m.passWritten()
	}
}
