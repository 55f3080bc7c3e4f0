package routing

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// jumps are what somebody may do to the clock of the machine.
var jumps = []time.Duration{time.Hour, -time.Hour}

// jumping is bubble for each of the jumps, with a clock that the test sets.
func jumping(t *testing.T, f func(tb *testbed, jump func())) {
	t.Helper()
	for _, by := range jumps {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c fault.Clock
				s, err := storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: quiet(), Now: c.Now})
				if err != nil {
					t.Fatal(err)
				}
				tb := &testbed{t: t, sessions: s, srcs: map[string]*Source{}, wires: map[string]*wire{}}
				tb.r = New(Config{Server: "hub", Settings: Settings{Users: []UserDomain{{Name: "im"}}, Limits: stanza.DefaultLimits,
					Queue: 10_000, Grace: testGrace, Settle: testSettle}, Log: quiet(), Now: c.Now}, s, nobodyServes{})
				tb.r.Returning()
				f(tb, func() {
					c.Jump(by)
					time.Sleep(time.Second) // housekeeping sees it
				})
				tb.close()
			})
		})
	}
}

// A grace is as long as it was said to be, whatever the clock says; what waits comes whole, in order, and once.
func TestClockGrace(t *testing.T) {
	jumping(t, func(tb *testbed, jump func()) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.login("n3", "carol@im/1")
		say := func(from, to int) (want string) {
			for i := from; i < to; i++ {
				tb.send("n1", fmt.Sprintf("CHAT from='alice@im/1' to='bob@im' id='m%d'/>", i))
				want += fmt.Sprintf(" m%d", i)
			}
			return want
		}
		tb.detach("n2")
		want := say(0, 3)
		jump()
		want += say(3, 6)
		time.Sleep(testGrace - 5*time.Second)
		tb.expect("n1", "") // nothing has expired
		tb.attach("n2")
		want += say(6, 9)
		tb.expect("n2", want[1:])

		tb.detach("n3")
		tb.send("n1", "CHAT from='alice@im/1' to='carol@im' id='m9'/>")
		jump()
		time.Sleep(testGrace)
		tb.expect("n1", "m9:service-unavailable") // nor does it last longer
	})
}

// What a link says counts for more than what an older one said, though its clock were behind.
func TestClockIncarnation(t *testing.T) {
	jumping(t, func(tb *testbed, jump func()) {
		tb.attach("n1")
		old := tb.attach("n2")
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.detach("n2")
		jump()
		if young := tb.attach("n2"); young.inc <= old.inc {
			tb.t.Errorf("incarnation %d follows %d", young.inc, old.inc)
		}
		tb.login("n2", "bob@im/2")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im/2' id='m1'/>")
		tb.expect("n2", "m1")
		tb.login("n1", "bob@im/2")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im/2' id='m2'/>")
		tb.expect("n1", "m2")
		jump()
		time.Sleep(testGrace - 10*time.Second)
		tb.srcs["n2"].Accepted() // the time to confirm bob@im/1 starts again
		tb.got("n2")             // what it can do is asked beside
		time.Sleep(testGrace - time.Second)
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im/1' id='m3'/>")
		tb.expect("n2", "m3")
		time.Sleep(2 * time.Second)
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im/1' id='m4'/>")
		tb.expect("n1", "m4") // where bob@im/2 is
	})
}

// An iq waits for its answer for as long as before.
func TestClockIQ(t *testing.T) {
	jumping(t, func(tb *testbed, jump func()) {
		tb.attach("n1")
		tb.attach("n2")
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		for _, id := range []string{"q1", "q2"} {
			tb.send("n1", "<iq type='get' id='"+id+"' from='alice@im/1' to='bob@im/1'><x xmlns='y'/></iq>")
			tb.expect("n2", id)
		}
		jump()
		time.Sleep(50 * time.Second)
		tb.send("n2", "<iq type='result' id='q1' from='bob@im/1' to='alice@im/1'/>")
		tb.expect("n1", "q1")
		time.Sleep(10 * time.Second)
		tb.expect("n1", "q2:remote-server-timeout")
	})
}

// A node may speak for a user who has just left it.
func TestClockLate(t *testing.T) {
	jumping(t, func(tb *testbed, jump func()) {
		tb.attach("n1")
		tb.attach("n2")
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.login("n1", "bob@im/1") // bob has moved
		jump()
		tb.send("n2", "CHAT from='bob@im/1' to='alice@im' id='m1'/>")
		tb.expect("n1", "m1")
	})
}

// A stanza to a user of whom nothing is known yet is held for as long as before.
func TestClockHold(t *testing.T) {
	jumping(t, func(tb *testbed, jump func()) {
		tb.attach("n1")
		tb.login("n1", "alice@im/1")
		tb.r.complete.Store(false) // as after a start
		tb.send("n1", "CHAT from='alice@im/1' to='carol@im' id='m1'/>CHAT from='alice@im/1' to='dave@im' id='m2'/>")
		jump()
		time.Sleep(testSettle - 3*time.Second)
		tb.expect("n1", "")
		tb.login("n1", "carol@im/1")
		tb.expect("n1", "m1")
		time.Sleep(3 * time.Second)
		tb.expect("n1", "m2:remote-server-timeout")
	})
}
