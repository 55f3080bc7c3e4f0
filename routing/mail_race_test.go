package routing

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// Nodes send to a user who logs in and out at two nodes, which reset, all at once and with nobody waiting for anybody.
// With one session at a time each sender's messages come in order; with two each message comes somewhere.
func TestMailRace(t *testing.T) {
	t.Run("one session", func(t *testing.T) { raceMail(t, false) })
	t.Run("two sessions", func(t *testing.T) { raceMail(t, true) })
}

const (
	raceSenders = 3
	raceEach    = 1500
	raceTurns   = 60
)

// mailRace is the test's state.
type mailRace struct {
	t        *testing.T
	r        *Router
	sessions *storage.Sessions
	offline  *storage.Offline
	here     sync.Mutex // held by the node that has the user, where only one may
	both     bool

	mu  sync.Mutex
	got map[string][]byte // what each node was written
}

func raceMail(t *testing.T, both bool) {
	m := &mailRace{t: t, both: both, got: map[string][]byte{}}
	var err error
	if m.sessions, err = storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet()}); err != nil {
		t.Fatal(err)
	}
	if m.offline, err = storage.OpenOffline(storage.OfflineOptions{Dir: storage.Memory, Log: quiet()}); err != nil {
		t.Fatal(err)
	}
	cfg := mailConfig(m.offline, storage.Keep{})
	cfg.Settle, cfg.Queue = 20*time.Millisecond, 64<<20
	if both {
		cfg.Grace = 20 * time.Millisecond // else each node comes back: what another one waits for comes late
	}
	m.r = New(cfg, m.sessions, nobodyServes{})
	m.r.Returning()
	var senders, nodes sync.WaitGroup
	for i := range raceSenders {
		senders.Go(func() { m.send("s" + strconv.Itoa(i)) })
	}
	for i, n := range []string{"a", "b"} {
		nodes.Go(func() { m.comeAndGo(n, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	senders.Wait()
	nodes.Wait()
	m.last()
}

// send sends numbered messages, some alone and some together.
func (m *mailRace) send(from string) {
	src, w := m.link(from)
	for i := 0; i < raceEach; {
		var b []byte
		for range 1 + i%7 {
			b = fmt.Appendf(b, "<message type='chat' from='%s' to='bob@im' id='%d'/>", from, i)
			i++
		}
		if _, err := src.Feed(b); err != nil {
			m.t.Error(err)
		}
		if i%20 < 7 {
			m.pause()
		}
	}
	m.unlink(src, w)
}

// comeAndGo attaches a node, logs the user in and out, and resets the link in between.
func (m *mailRace) comeAndGo(name string, rnd *rand.Rand) {
	for range raceTurns {
		if !m.both {
			m.here.Lock()
		}
		src, w := m.link(name)
		jid := "bob@im/" + name
		if err := announceTo(m.r, src, jid, 0); err != nil {
			m.t.Error(err)
		}
		for range rnd.IntN(3) {
			switch rnd.IntN(3) {
			case 0: // a reset
				m.unlink(src, w)
				if src, w = m.link(name); announceTo(m.r, src, jid, 0) != nil {
					m.t.Error("announce after a reset")
				}
			case 1:
				withdrawFrom(m.r, src, jid)
				if announceTo(m.r, src, jid, 0) != nil {
					m.t.Error("announce again")
				}
			case 2:
				m.pause()
			}
		}
		withdrawFrom(m.r, src, jid)
		m.unlink(src, w)
		if !m.both {
			m.here.Unlock()
		}
	}
}

// pause lets the others go on for a while.
func (m *mailRace) pause() {
	tick := time.NewTimer(time.Millisecond)
	<-tick.C
}

func (m *mailRace) link(name string) (*Source, *wire) {
	sc := stanza.NewScanner(stanza.DefaultLimits)
	if _, _, err := sc.Next([]byte(rootTag), &stanza.Header{}); err != nil {
		m.t.Fatal(err)
	}
	src, err := m.r.Attach(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	if err != nil {
		m.t.Error(err)
		return nil, nil
	}
	w := newWire(1 << 30)
	if err := src.Start(w, nil); err != nil {
		m.t.Error(err)
	}
	return src, w
}

// unlink breaks a link, and notes what it was written.
func (m *mailRace) unlink(src *Source, w *wire) {
	w.breakIt()
	src.Detach()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got[src.node.Domain] = append(m.got[src.node.Domain], w.got...)
}

// last logs the user in for good, and looks at the books when everything has come.
func (m *mailRace) last() {
	src, w := m.link("a")
	other, ow := m.link("b")
	if err := announceTo(m.r, src, "bob@im/a", 0); err != nil {
		m.t.Error(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && !m.quiet(); {
		m.pause()
	}
	m.unlink(src, w)
	m.unlink(other, ow)
	m.r.Close()
	if left := leftovers(m.r); left != nil {
		m.t.Error(left)
	}
	if n := m.offline.Stats().Messages; n > 0 {
		m.t.Errorf("%d are stored although the user is here", n)
	}
	l := m.r.Ledger()
	if ok, off := l.Adds(); !ok {
		m.t.Errorf("the ledger is off by %d: %+v", off, l)
	}
	if err := m.r.auditAll(); err != nil {
		m.t.Error(err)
	}
	if m.arrivals(); m.t.Failed() {
		m.t.Logf("%+v", l)
	}
	if err := m.offline.Close(); err != nil {
		m.t.Error(err)
	}
	if err := m.sessions.Close(); err != nil {
		m.t.Error(err)
	}
}

// quiet: nothing is stored or waits.
func (m *mailRace) quiet() bool {
	l := m.r.Ledger()
	ok, _ := l.Adds()
	return ok && l.Stored == 0 && l.Waiting == 0 && m.r.holds.lists.Load() == 0
}

// arrivals looks at what came.
func (m *mailRace) arrivals() {
	seen := map[string]int{}
	for node, bytes := range m.got {
		at := map[string]int{}
		for _, part := range strings.SplitAfter(string(bytes), "/>") {
			from, id, ok := m.message(part)
			if !ok || node[0] == 's' {
				continue
			}
			seen[from+" "+strconv.Itoa(id)]++
			if id < at[from] && !m.both {
				m.t.Errorf("%s got %s's %d after %d", node, from, id, at[from])
			}
			at[from] = id
		}
	}
	for i := range raceSenders {
		for id := range raceEach {
			key := fmt.Sprintf("s%d %d", i, id)
			if n := seen[key]; n == 0 || n > 1 && !m.both {
				m.t.Errorf("%s came %d times", key, n)
			}
		}
	}
}

// message reads the sender and number of a message.
func (m *mailRace) message(part string) (from string, id int, ok bool) {
	w := stanza.WalkBytes([]byte(part[max(0, strings.LastIndex(part, "<message")):]))
	if !strings.Contains(part, "<message") || !w.Next() || !bytes.Equal(w.Local(), []byte("message")) {
		return "", 0, false
	}
	sender, _, _ := w.Attr("from")
	number, _, _ := w.Attr("id")
	id, err := strconv.Atoi(string(number))
	if kind, _, _ := w.Attr("type"); string(kind) == "error" || err != nil {
		return "", 0, false
	}
	return string(sender), id, true
}
