package routing

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// What the store says is told by its reason: what one user, all users, or users and nodes together may have is used up, or the disk.
func TestUnstored(t *testing.T) {
	for err, want := range map[error]Reason{nil: None, storage.ErrMailboxFull: MailboxFull, storage.ErrStoreFull: StoreFull, storage.ErrDiskFull: DiskFull,
		storage.ErrNoSpace: DiskFull} {
		if got := unstored(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func storeBed(t *testing.T, f func(tb *testbed)) {
	synctest.Test(t, func(t *testing.T) {
		sessions, err := storage.OpenSessions(storage.Options{Dir: ":memory:", Server: "hub", Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		off, err := storage.OpenOffline(storage.OfflineOptions{Dir: storage.Memory, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		tb := &testbed{t: t, sessions: sessions, srcs: map[string]*Source{}, wires: map[string]*wire{}}
		tb.r = New(Config{Server: "hub", NoProof: true, Settings: Settings{Users: []UserDomain{{Name: "im", Offline: PolicyStore}}, Known: []string{"exact"},
			Limits: stanza.DefaultLimits, Queue: 1_000_000, Grace: testGrace, Settle: testSettle}, Log: quiet(), Offline: off},
			tb.sessions, nobodyServes{})
		tb.r.Returning()
		f(tb)
		tb.close()
		if err := off.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func addr(t *testing.T, jid string) stanza.Address {
	a, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (tb *testbed) logon(node, jid string, between func()) {
	a := addr(tb.t, jid)
	src := tb.srcs[node]
	b := tb.sessions.Begin(src.node.ID(), src.inc, src.mark)
	expected := tb.r.Expect(a.Bare(), src.node)
	if between != nil {
		between()
	}
	if _, _, err := b.Announce(a.Bare(), a.Resource(), 0, storage.Take); err != nil {
		tb.t.Fatal(err)
	}
	b.Commit(nil)
	tb.r.Announced(a.Bare(), expected)
}

func (tb *testbed) logoff(node, jid string) {
	a := addr(tb.t, jid)
	src := tb.srcs[node]
	b := tb.sessions.Begin(src.node.ID(), src.inc, src.mark)
	b.Withdraw(a.Bare(), a.Resource())
	b.Commit(nil)
}

// stuck makes a node's wire take nothing.
func (tb *testbed) stuck(node string) {
	w := newWire(0)
	src := tb.srcs[node]
	src.node.queue.mu.Lock()
	src.node.queue.out = w
	src.node.queue.mu.Unlock()
	src.out = w
	tb.wires[node] = w
}

func TestH8Plain(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.login("b", "bob@im/x")
		tb.send("b", "<message type='chat' from='bob@im/x' to='alice@im' id='m1'><body>x</body></message>")
		tb.logon("a", "alice@im/x", nil)
		tb.expect("a", "m1")
	})
}

// 2: stored between Expect and the session
func TestH8LostWakeup(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.login("b", "bob@im/x")
		tb.logon("a", "alice@im/x", func() {
			tb.send("b", "<message type='chat' from='bob@im/x' to='alice@im' id='m1'><body>x</body></message>")
		})
		time.Sleep(time.Minute)
		tb.send("b", "<message type='chat' from='bob@im/x' to='alice@im' id='m2'><body>x</body></message>")
		tb.expect("a", "m1 m2")
	})
}

// 3: letters of a node that does not come back, while the user is online elsewhere
func TestH8LettersOfGoneNode(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.attach("c")
		tb.login("b", "bob@im/x")
		tb.send("b", "<message type='chat' from='bob@im/x' to='alice@im' id='m1'><body>x</body></message>")
		tb.stuck("a")
		tb.logon("a", "alice@im/x", nil)
		synctest.Wait()
		tb.logon("c", "alice@im/pc", nil)
		tb.detach("a")
		time.Sleep(2 * testGrace)
		tb.send("b", "<message type='chat' from='bob@im/x' to='alice@im' id='m2'><body>x</body></message>")
		tb.expect("c", "m1 m2")
	})
}

// 4: the user leaves and comes back while newer stanzas are replayed
func TestH8BackDuringTail(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.login("b", "bob@im/x")
		msg := func(id string) string {
			return "<message type='chat' from='bob@im/x' to='alice@im' id='" + id + "'><body>x</body></message>"
		}
		tb.send("b", msg("m1"))
		// Expect: the list is there; m2 m3 join it
		a := addr(t, "alice@im/x")
		src := tb.srcs["a"]
		tb.r.Expect(a.Bare(), src.node)
		b := tb.sessions.Begin(src.node.ID(), src.inc, src.mark)
		if _, _, err := b.Announce(a.Bare(), a.Resource(), 0, storage.Take); err != nil {
			t.Fatal(err)
		}
		b.Commit(nil)
		tb.r.holds.announced("alice@im", nil)
		tb.send("b", msg("m2"))
		tb.send("b", msg("m3"))
		// the replay by hand, as run does it
		m := &tb.r.mail
		rd := &round{node: src.node}
		rd.cond.L = &m.mu
		again := newRedo(tb.r)
		if !tb.r.holds.claimMail("alice@im", src.node) {
			t.Fatal("claim")
		}
		if !m.sendStored(again, rd, "alice@im") {
			t.Fatal("stored")
		}
		tb.logoff("a", "alice@im/x")
		h, _ := tb.r.holds.nextMail("alice@im")
		if again.held("alice@im", h, true) {
			t.Error("a message is stored behind which newer ones wait")
		}
		tb.logon("a", "alice@im/x", nil)
		synctest.Wait()
		if tb.r.holds.leaveMail("alice@im") {
			t.Error("the list has forgotten the log-in")
		}
		again.close()
		m.begin("alice@im")
		time.Sleep(time.Minute)
		tb.send("b", msg("m4"))
		tb.expect("a", "m1 m2 m3 m4")
	})
}

// 5: one stuck node stops the replays of another
func TestH8StuckNodeStopsOther(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.attach("c")
		tb.login("b", "bob@im/x")
		for i := range 70 {
			tb.send("b", fmt.Sprintf("<message type='chat' from='bob@im/x' to='alice@im' id='m%d'><body>x</body></message>", i))
		}
		tb.send("b", "<message type='chat' from='bob@im/x' to='carol@im' id='c1'><body>x</body></message>")
		tb.stuck("a")
		// alice/pc logs in at c, and alice/x at a before the replay begins
		tb.logon("c", "alice@im/pc", func() {
			a := addr(t, "alice@im/x")
			src := tb.srcs["a"]
			b := tb.sessions.Begin(src.node.ID(), src.inc, src.mark)
			if _, _, err := b.Announce(a.Bare(), a.Resource(), 0, storage.Take); err != nil {
				t.Fatal(err)
			}
			b.Commit(nil)
		})
		synctest.Wait()
		tb.got("c")
		tb.logon("c", "carol@im/x", nil)
		time.Sleep(time.Minute)
		tb.expect("c", "c1")
	})
}

// 6: an iq behind a replay that waits is never answered
func TestH8IQBehindReplay(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.login("b", "bob@im/x")
		for i := range 70 {
			tb.send("b", fmt.Sprintf("<message type='chat' from='bob@im/x' to='alice@im' id='m%d'><body>x</body></message>", i))
		}
		tb.stuck("a")
		tb.logon("a", "alice@im/x", nil)
		synctest.Wait()
		tb.send("b", "<iq type='get' from='bob@im/x' to='alice@im/x' id='q1'><q xmlns='u'/></iq>")
		time.Sleep(10 * time.Minute)
		tb.expect("b", "q1:resource-constraint")
	})
}

// 7: Announced again and again while the replay waits
func TestH8RoundGrows(t *testing.T) {
	storeBed(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.login("b", "bob@im/x")
		for i := range 70 {
			tb.send("b", fmt.Sprintf("<message type='chat' from='bob@im/x' to='alice@im' id='m%d'><body>x</body></message>", i))
		}
		tb.stuck("a")
		tb.logon("a", "alice@im/x", nil)
		synctest.Wait()
		for range 10000 {
			tb.logon("a", "alice@im/x", nil)
		}
		for _, rd := range tb.r.mail.rounds {
			if len(rd.users) > 10 {
				t.Errorf("%d users wait", len(rd.users))
			}
		}
	})
}

// 8: the errors for a domain of several links, when the first has gone
func TestH8HomeGone(t *testing.T) {
	bubble(t, func(tb *testbed) {
		attach := func(key string) {
			sc := stanza.NewScanner(stanza.DefaultLimits)
			if _, _, err := sc.Next([]byte(rootTag), &stanza.Header{}); err != nil {
				t.Fatal(err)
			}
			src, err := tb.r.Attach("bridge", &Grant{Users: []string{"im"}, SpeakDomain: true, Instances: 2}, sc)
			if err != nil {
				t.Fatal(err)
			}
			w := newWire(1 << 30)
			tb.srcs[key], tb.wires[key] = src, w
			if err := src.Start(w, nil); err != nil {
				t.Fatal(err)
			}
		}
		attach("one")
		attach("two")
		tb.attach("a")
		tb.login("a", "alice@im/x")
		tb.detach("one")
		tb.detach("a")
		tb.send("two", "<message type='chat' from='bob@im/x' to='alice@im/x' id='m1'><body>x</body></message>")
		time.Sleep(2 * testGrace)
		tb.expect("two", "m1:service-unavailable")
	})
}
