package routing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// mailConfig is a router for users whose messages are stored.
func mailConfig(f *storage.Offline, keep storage.Keep) Config {
	return Config{Server: "hub", NoProof: true, Offline: f, Log: quiet(), Settings: Settings{Users: []UserDomain{{Name: "im", Offline: PolicyStore, Keep: keep}},
		Limits: stanza.DefaultLimits, Queue: 1 << 20, Grace: testGrace, Settle: testSettle}}
}

// mailbed is a testbed that stores messages.
type mailbed struct {
	*testbed
	dir     string
	offline *storage.Offline
}

// open opens the store, and a router over it.
func (tb *mailbed) open(adapt func(*Config)) {
	tb.t.Helper()
	off, err := storage.OpenOffline(storage.OfflineOptions{Dir: tb.dir, Log: quiet()})
	if err != nil {
		tb.t.Fatal(err)
	}
	cfg := mailConfig(off, storage.Keep{})
	if adapt != nil {
		adapt(&cfg)
	}
	tb.offline, tb.r = off, New(cfg, tb.sessions, nobodyServes{})
	tb.r.Returning()
}

// closeStore closes the store, when the router is closed.
func (tb *mailbed) closeStore() {
	tb.t.Helper()
	if err := tb.offline.ConsistencyCheck(); err != nil {
		tb.t.Error(err)
	}
	if err := tb.offline.Close(); err != nil {
		tb.t.Error(err)
	}
}

// restart stops the router as the server does, and opens another.
func (tb *mailbed) restart() {
	tb.t.Helper()
	tb.drain()
	for name := range tb.srcs {
		tb.detach(name)
	}
	tb.r.Close()
	tb.closeStore()
	tb.open(nil)
}

func (tb *testbed) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	tb.r.Drain(ctx)
}

// mailBubble runs a test of stored messages on a clock of its own, and holds the router to its books.
func mailBubble(t *testing.T, adapt func(*Config), f func(tb *mailbed)) {
	t.Helper()
	bubbleOn(t, storage.Memory, adapt, f)
}

func bubbleOn(t *testing.T, dir string, adapt func(*Config), f func(tb *mailbed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tb := &mailbed{testbed: newTestbed(t, nil), dir: dir}
		tb.r.Close()
		tb.open(adapt)
		f(tb)
		tb.close()
		tb.nothingLeft()
		tb.closeStore()
	})
}

// nothingLeft holds the books of what is on its way to be empty.
func (tb *mailbed) nothingLeft() {
	tb.t.Helper()
	for _, left := range leftovers(tb.r) {
		tb.t.Error(left)
	}
}

// leftovers says what of a replay is still there when nothing waits any more.
func leftovers(r *Router) (left []string) {
	hs, m := &r.holds, &r.mail
	hs.mu.Lock()
	if len(hs.byUser)+len(hs.byOrigin)+len(hs.byMail)+hs.bytes != 0 || hs.len.Load() != 0 || hs.lists.Load() != 0 {
		left = append(left, fmt.Sprintf("lists of held stanzas: %d users, %d bytes, %v %v, %d stanzas, %d lists",
			len(hs.byUser), hs.bytes, hs.byOrigin, hs.byMail, hs.len.Load(), hs.lists.Load()))
	}
	hs.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.letters)+len(m.flights)+m.limbo != 0 {
		left = append(left, fmt.Sprintf("%d letters, %d flights, %d copies in limbo", len(m.letters), len(m.flights), m.limbo))
	}
	for _, rd := range m.rounds {
		if rd.running && !m.stopped || rd.inflight != 0 || len(rd.users) > 0 && !m.stopped {
			left = append(left, fmt.Sprintf("the round of %s: %d in flight, %v wait", rd.node.Domain, rd.inflight, rd.users))
		}
	}
	return left
}

// announce announces a session as the service does.
func (tb *testbed) announce(node, jid string, prio int8) {
	tb.t.Helper()
	if err := announceTo(tb.r, tb.srcs[node], jid, prio); err != nil {
		tb.t.Fatal(err)
	}
}

func announceTo(r *Router, src *Source, jid string, prio int8) error {
	a, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	if err != nil {
		return err
	}
	expected := r.Expect(a.Bare(), src.node)
	b := r.sessions.Begin(src.node.ID(), src.inc, src.mark)
	who := r.sessions.Find(r.sessions.Hash(a.Bare()), a.Bare(), a.Resource(), nil)
	moveTo(r, a, who, src)
	change, prev, err := b.Announce(a.Bare(), a.Resource(), prio, storage.Take)
	if change == storage.Taken && err == nil {
		moveTo(r, a, []storage.Match{{Node: prev}}, src)
	}
	b.Commit(nil)
	r.Announced(a.Bare(), expected)
	if err == nil {
		src.Accepted()
	}
	return err
}

// moveTo takes along what waits for a session at its old node.
func moveTo(r *Router, who stanza.Address, at []storage.Match, src *Source) {
	if len(at) > 0 && at[0].Node != src.node.ID() && r.SomebodyAway() {
		r.Move(who, r.table.node(at[0].Node), src.node)
	}
}

func withdrawFrom(r *Router, src *Source, jid string) {
	a, _, _ := stanza.ParseAddress([]byte(jid), false, nil)
	b := r.sessions.Begin(src.node.ID(), src.inc, src.mark)
	b.Withdraw(a.Bare(), a.Resource())
	b.Commit(nil)
}

// mail gives what a node has been written since the last time, without the question what it can do.
func (tb *testbed) mail(node string) string {
	words := slices.DeleteFunc(strings.Fields(tb.got(node)), func(w string) bool { return strings.HasPrefix(w, "pb-") })
	return strings.Join(words, " ")
}

func (tb *testbed) wantMail(node, want string) {
	tb.t.Helper()
	if got := tb.mail(node); got != want {
		tb.t.Errorf("%s got %q, want %q", node, got, want)
	}
}

func (tb *testbed) chat(ids ...string) {
	tb.t.Helper()
	for _, id := range ids {
		tb.send("s", "CHAT from='s' to='bob@im' id='"+id+"'/>")
	}
}

// The messages were on their way to a node that does not come back: they go where the user is now.
func TestLettersComeBack(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		for _, n := range []string{"s", "a", "b"} {
			tb.attach(n)
		}
		tb.chat("m1", "m2")
		tb.wires["a"].room = 0
		tb.announce("a", "bob@im/x", 0)
		synctest.Wait()
		tb.announce("b", "bob@im/y", 0)
		tb.wantMail("b", "")
		tb.detach("a")
		time.Sleep(testGrace + time.Second)
		tb.wantMail("b", "m1 m2")
		tb.chat("m3")
		tb.wantMail("b", "m3")
	})
}

// A session that may get nothing yet and then may, in one breath.
func TestPriorityRises(t *testing.T) {
	for range 20 {
		mailBubble(t, nil, func(tb *mailbed) {
			tb.attach("s")
			tb.attach("a")
			tb.chat("m1")
			tb.announce("a", "bob@im/x", -1)
			tb.announce("a", "bob@im/x", 0)
			tb.chat("m2")
			tb.wantMail("a", "m1 m2")
		})
	}
}

// While housekeeping ends a message that is too old its user logs in: the message has one end.
func TestAgedWhileTheUserLogsIn(t *testing.T) {
	var hook func()
	mailBubble(t, func(c *Config) {
		c.Users[0].Keep.Age = time.Minute
		c.Now = func() time.Time {
			if f := hook; f != nil {
				hook = nil
				f()
			}
			return time.Now()
		}
	}, func(tb *mailbed) {
		tb.attach("s")
		tb.attach("a")
		tb.chat("m1", "m2")
		synctest.Wait()
		tb.r.stopHousekeeping()
		time.Sleep(2 * time.Minute)
		calls := 0
		hook = func() {
			hook = func() { // the second time: of the first message, which has been read
				calls++
				tb.announce("a", "bob@im/x", 0)
				synctest.Wait()
			}
		}
		tb.r.mail.expireAged()
		if calls != 1 {
			tb.t.Error("the user has not logged in meanwhile")
		}
		if got := tb.mail("a"); got != "" {
			t.Errorf("a got %q", got)
		}
		tb.wantMail("s", "m1:service-unavailable m2:service-unavailable")
	})
}

// A node that takes nothing delays what is stored for its own users, and for nobody else.
func TestStuckCopyDelaysNobody(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		for _, n := range []string{"s", "a", "b"} {
			tb.attach(n)
		}
		for i := range 3 * inFlight {
			tb.chat(fmt.Sprint("m", i))
		}
		tb.send("s", "CHAT from='s' to='carol@im' id='c1'/>")
		tb.announce("b", "bob@im/x", -1) // gets nothing
		tb.wantMail("b", "")
		tb.wires["a"].room = 0
		tb.announce("a", "bob@im/y", 0)
		synctest.Wait()
		tb.wires["b"].room = 0
		tb.announce("b", "bob@im/x", 0) // from now on b gets copies of what is left
		tb.wires["a"].give(1 << 30)
		synctest.Wait()
		tb.announce("a", "carol@im/x", 0)
		if got := tb.mail("a"); !strings.HasSuffix(got, "c1") {
			t.Errorf("a got %q", got[max(0, len(got)-40):])
		}
		tb.wires["b"].give(1 << 30)
		synctest.Wait()
	})
}

// A log-in right behind a message to several nodes that do not come back: the one who logs in gets it.
func TestLogInBehindCopies(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		for _, n := range []string{"s", "a", "b", "c"} {
			tb.attach(n)
		}
		tb.announce("a", "bob@im/x", 0)
		tb.announce("b", "bob@im/y", 0)
		tb.detach("a")
		tb.detach("b")
		tb.chat("m1")
		tb.announce("c", "bob@im/z", 0)
		time.Sleep(testGrace + time.Second)
		tb.wantMail("c", "m1")
	})
}

// A user logs out at one of two nodes that both do not come back: each copy is stored (ADR 12). Neither is lost at a
// restart, nor doubled: the books count both, and both come at the log-in.
func TestRestartKeepsCopies(t *testing.T) {
	bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
		for _, n := range []string{"s", "a", "b"} {
			tb.attach(n)
		}
		tb.announce("a", "bob@im/x", 0)
		tb.announce("b", "bob@im/y", 0)
		tb.detach("a")
		tb.wires["b"].room = 0
		tb.chat("m1")
		withdrawFrom(tb.r, tb.srcs["b"], "bob@im/y")
		time.Sleep(time.Second) // the grace of a is to end first: the session there is another for the copy at b
		tb.detach("b")
		time.Sleep(testGrace + time.Second)
		synctest.Wait()
		tb.chat("m2")
		tb.restart()
		if l := tb.r.Ledger(); l.Found != 3 || l.Stored != 3 {
			t.Errorf("found %d, stored %d", l.Found, l.Stored)
		}
		tb.attach("a")
		tb.announce("a", "bob@im/x", 0)
		tb.wantMail("a", "m1 m1 m2")
	})
}

// A stop answers a message to several nodes once.
func TestDrainAnswersCopiesOnce(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		for _, n := range []string{"s", "a", "b"} {
			tb.attach(n)
		}
		tb.announce("a", "bob@im/x", 0)
		tb.announce("b", "bob@im/y", 0)
		synctest.Wait()
		tb.wires["a"].room, tb.wires["b"].room = 0, 0
		tb.chat("m1")
		tb.drain()
		tb.wantMail("s", "m1:remote-server-timeout")
	})
}

// What was on its way to a node at a stop comes before what came after the start.
func TestRestartKeepsOrder(t *testing.T) {
	for _, back := range []bool{false, true} { // is the node back when the newer one comes?
		bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
			tb.attach("s")
			tb.attach("a")
			tb.chat("m1")
			tb.wires["a"].room = 0
			tb.announce("a", "bob@im/x", 0)
			synctest.Wait()
			tb.restart()
			tb.attach("s")
			if back {
				tb.attach("a")
			}
			tb.chat("m2")
			if !back {
				tb.attach("a")
			}
			tb.announce("a", "bob@im/x", 0)
			tb.wantMail("a", "m1 m2")
		})
	}
}

// A message that was held before it was stored has the stamp of when it came (XEP-0203).
func TestHeldHasItsStamp(t *testing.T) {
	bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
		tb.attach("s")
		tb.attach("a")
		tb.announce("a", "eve@im/x", 0)
		tb.restart() // a may come back: nothing is known of bob
		tb.attach("s")
		came := time.Now().UTC().Format(stampForm)
		tb.chat("m1")
		time.Sleep(testSettle + 2*time.Second)
		tb.attach("a")
		tb.announce("a", "bob@im/x", 0)
		synctest.Wait()
		w := tb.wires["a"]
		w.mu.Lock()
		defer w.mu.Unlock()
		if raw := string(w.got); !strings.Contains(raw, "stamp='"+came+"'") {
			t.Errorf("the stamp is not %s: %s", came, raw)
		}
	})
}
