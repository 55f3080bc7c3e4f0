package routing

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// stopWithMail stops the router and starts another, with so many messages in the store that were on their way to node a. The user's
// session there is the one given; all other sessions are not known yet.
func (tb *mailbed) stopWithMail(jid string, n int) {
	tb.t.Helper()
	tb.attach("s")
	tb.attach("a")
	for i := range n {
		tb.chat(fmt.Sprint("m", i))
	}
	tb.wires["a"].room = 0
	tb.announce("a", jid, 0)
	synctest.Wait()
	tb.restart()
	tb.attach("s")
}

// holdSome has the router hold a message that nobody can get before all have said who is there, and what joins it.
func (tb *mailbed) holdSome(after ...string) {
	tb.t.Helper()
	tb.send("s", "<message type='normal' from='s' to='bob@im/away' id='held'/>")
	for _, raw := range after {
		tb.send("s", raw)
	}
	if !tb.r.holds.waiting([]byte("bob@im")) {
		tb.t.Fatal("nothing is held")
	}
}

// What was on its way to a node at a stop comes before what was held after the start: held for as long as the node is away, or has not said
// who is there.
func TestStoredBeforeHeld(t *testing.T) {
	const live = "CHAT from='s' to='bob@im' id='new'/>"
	for name, play := range map[string]func(tb *mailbed){
		"held until the node is back": func(tb *mailbed) { tb.attach("a") },
		"held until the settle time":  func(*mailbed) { time.Sleep(testSettle + time.Second) },
		"the node is silent": func(tb *mailbed) {
			time.Sleep(testSettle / 2)
			tb.attach("a")
			time.Sleep(testSettle/2 + time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
				tb.stopWithMail("bob@im/x", 3)
				tb.holdSome(live, "CHAT from='s' to='bob@im/x' id='newer'/>")
				play(tb)
				if tb.srcs["a"] == nil {
					tb.attach("a")
				}
				tb.announce("a", "bob@im/x", 0)
				time.Sleep(testSettle + time.Second)
				tb.wantMail("a", "m0 m1 m2 new newer")
				tb.wantMail("s", "held:remote-server-timeout")
			})
		})
	}
}

// A session that may not have what is stored gets what was held for its own address, and what is stored stays.
func TestHeldForNegativePriority(t *testing.T) {
	bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
		tb.attach("s")
		tb.attach("a")
		tb.announce("a", "bob@im/x", -1)
		tb.chat("m0", "m1")
		synctest.Wait()
		tb.restart()
		tb.attach("s")
		tb.holdSome("CHAT from='s' to='bob@im/x' id='new'/>", "CHAT from='s' to='bob@im/x' id='newer'/>")
		time.Sleep(testSettle + time.Second)
		tb.wantMail("s", "held:remote-server-timeout")
		tb.attach("a")
		tb.announce("a", "bob@im/x", -1)
		tb.wantMail("a", "new newer")
		if n := tb.offline.Stats().Messages; n != 2 {
			t.Errorf("%d are stored, want 2", n)
		}
	})
}

// A request that was held goes behind what is stored, and has its answer in time, whether or not its node takes that.
func TestHeldRequestBehindStored(t *testing.T) {
	const ask = "<iq type='get' from='s' to='bob@im/x' id='q'><q xmlns='u'/></iq>"
	bubbleOn(t, t.TempDir(), nil, func(tb *mailbed) {
		tb.stopWithMail("bob@im/x", 2*inFlight)
		tb.attach("a")
		tb.stuck("a")
		tb.holdSome(ask)
		time.Sleep(testSettle + time.Second)
		tb.wantMail("s", "held:remote-server-timeout")
		time.Sleep(testSettle)
		tb.wantMail("s", "q:resource-constraint")
		tb.wires["a"].give(1 << 30)
		synctest.Wait()
	})
}

// A list waits for what is stored once: a replay that can send nothing does not stop it.
func TestYieldOnce(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		n, hs, now := tb.attach("a").node, &tb.r.holds, time.Now()
		for range 2 {
			hs.add([]byte("bob@im"), held{raw: []byte("<x/>"), origin: n, until: now})
		}
		for turn, want := range []bool{true, false} {
			if !hs.claim("bob@im") {
				t.Fatalf("turn %d: the list has an owner", turn)
			}
			if got := hs.yield("bob@im", n, now); got != want {
				t.Errorf("turn %d: yields %v", turn, got)
			}
			if hs.leave("bob@im"); want && (!hs.claimMail("bob@im", n) || !hs.leaveMail("bob@im")) {
				t.Errorf("turn %d: no replay had the list", turn)
			}
		}
		hs.claim("bob@im")
		if !hs.drop("bob@im") || hs.drop("bob@im") {
			t.Error("the list has another length")
		}
	})
}
