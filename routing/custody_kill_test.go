package routing

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
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

// A router with all its disks, a node that sends and counts, and nodes that read, stick, go, come back and lose users to each other.
// Whenever it is killed, what was counted by then has been handled, was answered, or is on disk; and when all is quiet, all counts.
func TestCustodyKill(t *testing.T) { checkCustody(t, true) }

// The same with nothing on disk: all counts in the end.
func TestCustodyMemory(t *testing.T) { checkCustody(t, false) }

func checkCustody(t *testing.T, disk bool) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(endless{t}, func(rt *rapid.T) {
			m := newCustodyModel(rt, disk)
			defer m.end()
			rt.Repeat(map[string]func(*rapid.T){
				"send": m.send, "send more": m.send, "flush": m.flush, "read": m.read, "stick": m.stick, "link": m.link, "login": m.login, "pass": m.pass,
				"kill": func(*rapid.T) { m.kill() }, "": func(*rapid.T) { m.check() },
			})
			m.quiet()
		})
	})
}

// custodyModel is what the test knows.
type custodyModel struct {
	t        *rapid.T
	disk     bool
	dir      string
	queues   *storage.Queues
	sessions *storage.Sessions
	r        *Router
	s        *Source
	peers    map[string]*custodyPeer
	sent     int
	told     atomic.Uint64
	flushed  atomic.Int64 // of them, when the last flush was answered
	handled  map[string]bool
	answered map[string]bool
}

var custodyNodes = []string{"q1", "q2", "q3"}

func newCustodyModel(t *rapid.T, disk bool) *custodyModel {
	m := &custodyModel{t: t, disk: disk, peers: map[string]*custodyPeer{}, handled: map[string]bool{}, answered: map[string]bool{}}
	dir, err := os.MkdirTemp(swift(), "custody")
	m.must(err)
	m.dir = dir
	where := storage.Memory
	if disk {
		where = filepath.Join(dir, "queues")
	}
	m.queues, err = storage.OpenQueues(storage.QueuesOptions{Dir: where, Log: quiet()})
	m.must(err)
	m.sessions, err = storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet()})
	m.must(err)
	m.open()
	m.attach("z").src.Detach() // who is awaited, so that nobody knows who is online
	delete(m.peers, "z")
	m.r.Close()
	m.open()
	m.s = m.attach("s").src
	m.s.Count("id", func(h uint64) { m.told.Store(h) })
	for _, n := range custodyNodes {
		m.attach(n)
	}
	return m
}

// swift gives a directory on a disk that is memory, where there is one: what is killed here is a process, so it loses nothing.
func swift() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return ""
	}
	return shm
}

func (m *custodyModel) open() {
	m.r = New(Config{Server: "hub", Outbox: m.queues.Outbox(), Offline: m.queues.Offline(), Counts: m.queues,
		Settings: Settings{Users: []UserDomain{{Name: "im"}, {Name: "st", Offline: PolicyStore}}, Limits: stanza.DefaultLimits, Queue: 20_000, Outbox: 1 << 20,
			Grace: time.Second, Settle: 400 * time.Millisecond}, Log: quiet()}, m.sessions, nobodyServes{})
	m.r.Returning()
}

func (m *custodyModel) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *custodyModel) end() {
	for _, p := range m.peers {
		if p.src != nil {
			p.Interrupt()
			p.src.Detach()
		}
	}
	m.r.Close()
	synctest.Wait()
	_ = m.queues.Close()
	_ = m.sessions.Close()
	_ = os.RemoveAll(m.dir)
}

// anyPing is one of the barrier.
var anyPing = regexp.MustCompile(`<iq [^>]*id='(pb-[0-9a-f]{16}-\d+)'`)

// custodyPeer is a link and its process.
type custodyPeer struct {
	src *Source // nil: it has gone

	mu    sync.Mutex
	freed *sync.Cond
	got   []byte
	stuck bool
	cut   bool
}

func (p *custodyPeer) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.cut:
		return 0, errBroken
	case p.stuck:
		return 0, nil
	}
	p.got = append(p.got, b...)
	return len(b), nil
}

func (p *custodyPeer) Write(b []byte) (int, error) {
	p.mu.Lock()
	for p.stuck && !p.cut {
		p.freed.Wait()
	}
	p.mu.Unlock()
	return p.TryWrite(b)
}

func (p *custodyPeer) Interrupt() { p.set(p.stuck, true) }

func (p *custodyPeer) set(stuck, cut bool) {
	p.mu.Lock()
	p.stuck, p.cut = stuck, p.cut || cut
	p.mu.Unlock()
	p.freed.Broadcast()
}

// take gives what has come.
func (p *custodyPeer) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.got
	p.got = nil
	return b
}

func (m *custodyModel) attach(name string) *custodyPeer {
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := m.r.Attach(name, &Grant{Users: []string{"im", "st"}, TakeOver: true}, sc)
	m.must(err)
	p := &custodyPeer{src: src}
	p.freed = sync.NewCond(&p.mu)
	m.must(src.Start(p, nil))
	m.peers[name] = p
	return p
}

// send sends a message.
func (m *custodyModel) send(t *rapid.T) {
	text := ""
	for range rapid.IntRange(1, 6).Draw(t, "messages") {
		m.sent++
		to := rapid.SampledFrom([]string{"q1", "q2", "q3", "u1@im", "u2@im", "u2@im/x", "w@im", "off@st", "late@im", "nowhere", "s"}).Draw(t, "to")
		text += fmt.Sprintf("<message type='chat' from='s' to='%s' id='%d'><body>%s</body></message>", to, m.sent, strings.Repeat("x", rapid.SampledFrom([]int{0, 500, 6000}).Draw(t, "size")))
	}
	m.feed("s", text)
}

func (m *custodyModel) feed(node, text string) {
	m.t.Helper()
	if n, err := m.peers[node].src.Feed([]byte(text)); err != nil || n != len(text) {
		m.t.Fatalf("%d of %d bytes were taken: %v", n, len(text), err)
	}
}

// flush asks as the service does, from inside of a Feed.
func (m *custodyModel) flush(*rapid.T) {
	upTo := int64(m.sent)
	m.s.custody.begin()
	is := m.s.Flushed(func() { m.flushed.Store(upTo) })
	m.s.custody.end(m.s.accepted.Load())
	if !is {
		return // too many wait
	}
}

// read has a process handle what it has, and answer.
func (m *custodyModel) read(t *rapid.T) {
	m.readOne(rapid.SampledFrom(custodyNodes).Draw(t, "node"))
}

func (m *custodyModel) readOne(name string) {
	p := m.peers[name]
	text := string(p.take())
	if p.src == nil {
		return // it died with its link
	}
	for _, part := range strings.SplitAfter(text, "</message>") {
		at := strings.Index(part, "<message")
		if at < 0 {
			continue
		}
		if id := idOf([]byte(part[at:])); name == "s" {
			m.answered[id] = true
		} else {
			m.handled[id] = true
		}
	}
	if name == "q2" {
		return // it answers no ping
	}
	for _, found := range anyPing.FindAllStringSubmatch(text, -1) {
		m.feed(name, "<iq type='result' id='"+found[1]+"'/>")
	}
}

func (m *custodyModel) stick(t *rapid.T) {
	p := m.peers[rapid.SampledFrom(custodyNodes).Draw(t, "node")]
	p.set(rapid.Bool().Draw(t, "stuck"), false)
}

// link ends a link, or attaches another.
func (m *custodyModel) link(t *rapid.T) {
	name := rapid.SampledFrom(custodyNodes).Draw(t, "node")
	p := m.peers[name]
	if p.src == nil {
		m.attach(name)
		return
	}
	p.Interrupt()
	p.src.Detach()
	p.src = nil
}

func (m *custodyModel) login(t *rapid.T) {
	p := m.peers[rapid.SampledFrom(custodyNodes).Draw(t, "node")]
	user := rapid.SampledFrom([]string{"u1@im/x", "u2@im/x", "w@im/1", "w@im/2", "late@im/x", "off@st/x"}).Draw(t, "user")
	if p.src == nil {
		return
	}
	who, _, err := stanza.ParseAddress([]byte(user), false, nil)
	m.must(err)
	bare := who.Bare()
	expected := m.r.Expect(bare, p.src.Node())
	var from *Node
	for _, s := range m.sessions.Where(bare) {
		if n := m.r.table.node(s.Node); s.JID == user && n != p.src.Node() && n.State() == Away {
			from = n
		}
	}
	if from != nil {
		m.r.Moving(bare)
		m.r.Move(who, from, p.src.Node())
	}
	b := m.sessions.Begin(p.src.Node().ID(), p.src.inc, p.src.mark)
	_, _, err = b.Announce(bare, who.Resource(), 0, storage.Take)
	m.must(err)
	b.Commit(nil)
	if from != nil {
		m.r.Moved(bare)
	}
	m.r.Announced(bare, expected)
}

func (m *custodyModel) pass(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{25, 60, 250, 700}).Draw(t, "ms") * time.Millisecond)
}

// check looks at what was counted.
func (m *custodyModel) check() {
	synctest.Wait()
	m.readOne("s")
	h := m.s.Custody()
	if h > uint64(m.sent) || m.told.Load() != h {
		m.t.Fatalf("%d count of %d, and told was %d", h, m.sent, m.told.Load())
	}
}

// kill looks at what a kill leaves.
func (m *custodyModel) kill() {
	m.check()
	if !m.disk {
		return // nothing outlives it
	}
	h := max(int(m.s.Custody()), int(m.flushed.Load()))
	left := m.left()
	for i := 1; i <= h; i++ {
		id := fmt.Sprint(i)
		if !m.handled[id] && !m.answered[id] && !left[id] {
			m.t.Fatalf("%d count, and stanza %d is lost by a kill; on disk are %v", h, i, slices.Sorted(maps.Keys(left)))
		}
	}
}

// left gives the stanzas in a copy of the disk.
func (m *custodyModel) left() map[string]bool {
	dir := filepath.Join(m.dir, "copy")
	m.must(os.CopyFS(dir, os.DirFS(filepath.Join(m.dir, "queues"))))
	defer os.RemoveAll(dir)
	q, err := storage.OpenQueues(storage.QueuesOptions{Dir: dir, Log: quiet()})
	m.must(err)
	left := map[string]bool{}
	m.must(q.Outbox().Walk(func(target string, number uint64, _ int, _ []byte) error {
		value, err := q.Outbox().Get(target, number)
		m.must(err)
		b := &block{}
		m.must(b.decode(value))
		b.each(func(raw []byte, _ rec) { left[idOf(raw)] = true })
		return nil
	}))
	list, err := q.Offline().Read([]byte("off@st"), 0, 10_000)
	m.must(err)
	for _, s := range list {
		left[idOf(s.Raw)] = true
	}
	m.must(q.Close())
	return left
}

// quiet lets all come to rest: then all counts.
func (m *custodyModel) quiet() {
	for _, name := range custodyNodes {
		if m.peers[name].src == nil {
			m.attach(name)
		}
		m.peers[name].set(false, false)
	}
	each := 200 * time.Millisecond
	if !m.disk {
		each = time.Second // it has to be known who proves nothing
	}
	for range 15 {
		time.Sleep(each)
		for _, name := range append([]string{"s"}, custodyNodes...) {
			m.readOne(name)
		}
	}
	m.kill()
	if h := m.s.Custody(); h != uint64(m.sent) {
		m.t.Fatalf("all is quiet, and %d of %d count: %+v", h, m.sent, m.s.custody.open)
	}
}
