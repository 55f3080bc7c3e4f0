package routing

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// twoInOneBatch feeds a two stanzas as one batch; between them b drops and its grace ends, and bob logs in at d.
func twoInOneBatch(tb *testbed, first, second string) {
	tb.t.Helper()
	s := tb.srcs["a"]
	w := tb.r.work.Get().(*work)
	w.src = s
	k, _, err := s.scan(w, []byte(first+second))
	if k != 2 || err != nil {
		tb.t.Fatal(k, err)
	}
	for i := range k {
		s.address(w, &w.items[i])
	}
	w.accepted += 2
	for i := range k {
		if err := s.one(w, &w.items[i]); err != nil {
			tb.t.Fatal(err)
		}
		if i == 0 {
			tb.detach("b")
			time.Sleep(testGrace + time.Second)
			synctest.Wait()
			tb.login("d", "bob@im/y")
		}
	}
	s.finishRun(w)
	w.flush()
}

// A run meets a queue whose grace has just ended: its stanza is decided anew, and the one that ended the run goes
// where its own verdict said.
func TestRunKeepsVerdicts(t *testing.T) {
	const toBob = "<message from='a' to='bob@im' id='m1'/>"
	for _, c := range []struct{ name, second, c, e string }{
		{"a request", "<iq type='get' from='a' to='c' id='q1'><x xmlns='y'/></iq>", "q1", ""},
		{"two copies", "<message from='a' to='carol@im' id='f1'/>", "f1", "f1"},
		{"a reply", "<iq type='result' from='a' to='carol@im/1' id='q0'/>", "q0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				for _, n := range []string{"a", "b", "c", "d", "e"} {
					tb.attach(n)
				}
				tb.login("b", "bob@im/x")
				tb.login("c", "carol@im/1")
				tb.login("e", "carol@im/2")
				tb.send("c", "<iq type='get' from='carol@im/1' to='a' id='q0'><x xmlns='y'/></iq>")
				tb.expect("a", "q0")
				twoInOneBatch(tb, toBob, c.second)
				tb.expect("c", c.c)
				tb.expect("d", "m1")
				tb.expect("e", c.e)
			})
		})
	}
}

// All nodes that got a copy drop and do not come back; the user is at a node that got none: exactly one copy goes
// there.
func TestLastCopyGoesOn(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"a", "b", "c", "d"} {
			tb.attach(n)
		}
		tb.login("b", "bob@im/x")
		tb.login("c", "bob@im/y")
		tb.detach("b")
		time.Sleep(5 * time.Second)
		tb.detach("c")
		tb.send("a", "<message from='a' to='bob@im' id='m1'/>")
		time.Sleep(2 * time.Second)
		tb.login("d", "bob@im/z")
		time.Sleep(testGrace + time.Second)
		tb.expect("d", "m1")
		tb.expect("a", "")
		if l := tb.r.Ledger(); l.Copies != 1 || l.Reasons["other-copy"] != 1 {
			tb.t.Errorf("%+v", l)
		}
	})
}

// A node drops during the drain with nothing waiting; answers that are made for it then do not wait for ever.
func TestDrainLeavesNothing(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.wires["b"].room = 0
		tb.send("a", "<message from='a' to='b' id='m1'/>")
		wire := tb.wires["a"]
		src := tb.srcs["a"]
		delete(tb.srcs, "a")
		go func() { // ends long before Drain
			time.Sleep(time.Second)
			wire.breakIt()
			src.Detach()
		}()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		tb.r.Drain(ctx)
		if l := tb.r.Ledger(); l.Waiting != 0 {
			tb.t.Errorf("left waiting: %+v", l)
		}
	})
}
