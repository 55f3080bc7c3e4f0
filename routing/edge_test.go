package routing

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// attachOnly takes the domain and does not start the link.
func (tb *testbed) attachOnly(name string) *Source {
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := tb.r.Attach(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	if err != nil {
		tb.t.Fatal(err)
	}
	return src
}

// grace over, then a handshake that fails between Attach and Start.
func TestAttachFailsAfterGrace(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.detach("b")
		time.Sleep(testGrace + time.Second)
		synctest.Wait()
		tb.attachOnly("b").Detach()
		tb.send("a", "<message from='a' to='b' id='m1'/>")
	})
}

// slowOut is an Output whose Write waits until it is let go, and then fails.
type slowOut struct{ in, let chan struct{} }

func (o *slowOut) TryWrite([]byte) (int, error) { return 0, nil }
func (o *slowOut) Write(b []byte) (int, error) {
	if stanzas, _, _ := cutPing(b); stanzas == 0 {
		return len(b), nil // the end of the handshake, with the first ping or without
	}
	close(o.in)
	<-o.let
	return 0, fmt.Errorf("deadline")
}
func (o *slowOut) Interrupt() {}

// A drain meets a node whose link is closing while its writer waits.
func TestDrainBesideAWriter(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		o := &slowOut{make(chan struct{}), make(chan struct{})}
		src := tb.attachOnly("b")
		_ = src.Start(o, nil)
		tb.send("a", "<message from='a' to='b' id='m1'/>")
		<-o.in
		go src.Detach() // the peer closed its stream; its socket is full
		synctest.Wait()
		go func() { time.Sleep(time.Second); close(o.let) }()
		ctx, c := context.WithTimeout(context.Background(), 5*time.Second)
		defer c()
		tb.r.Drain(ctx)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		tb.expect("a", "m1:remote-server-timeout")
	})
}

// a node drops while Drain is flushing.
func TestDropDuringDrain(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		src := tb.attachOnly("b")
		w := newWire(0)
		_ = src.Start(w, nil)
		tb.send("a", "<message from='a' to='b' id='m1'/>")
		go func() { time.Sleep(time.Second); w.breakIt(); src.Detach() }()
		ctx, c := context.WithTimeout(context.Background(), 5*time.Second)
		defer c()
		tb.r.Drain(ctx)
		time.Sleep(3 * time.Second)
		tb.expect("a", "m1:remote-server-timeout")
	})
}

// one held stanza that grew beyond the limits spoils the rest of the release.
func TestHeldStanzaGrows(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("old") // so that the view is not complete
		tb.r.complete.Store(false)
		sc := stanza.NewScanner(stanza.DefaultLimits)
		_, _, err := sc.Next([]byte(strings.Replace(rootTag, ">", " xml:lang='en'>", 1)), &stanza.Header{})
		if err != nil {
			t.Fatal(err)
		}
		src, _ := tb.r.Attach("a", &Grant{Users: []string{"im"}, TakeOver: true}, sc)
		w := newWire(1 << 30)
		tb.srcs["a"], tb.wires["a"] = src, w
		_ = src.Start(w, nil)
		tb.attach("b")
		tb.attach("c")
		attrs := ""
		for i := range 61 { // 64 with from, to, id
			attrs += fmt.Sprintf(" a%d=''", i)
		}
		tb.send("a", "<message from='a' to='bob@im' id='m1'"+attrs+"/>")
		tb.send("a", "<message from='a' to='bob@im' id='m2'/>")
		tb.send("c", "<message from='c' to='bob@im' id='m3'/>")
		tb.login("b", "bob@im/x")
		tb.expect("b", "m1 m2 m3")
		tb.expect("a", "")
	})
}

// the iq table: one node fills it for all.
func TestIQTableIsShared(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		tb.attach("b")
		tb.attach("c")
		tb.attach("d")
		for i := range maxAsks {
			tb.send("a", fmt.Sprintf("<iq type='get' from='a' to='b' id='%d'><q xmlns='q'/></iq>", i))
		}
		tb.send("c", "<iq type='get' from='c' to='d' id='x'><q xmlns='q'/></iq>")
		tb.expect("c", "")
		tb.expect("d", "x")
	})
}

// grace 0 at a restart.
func TestNoGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTestbed(t, nil)
		set := *tb.r.set()
		set.Grace = 0
		tb.r.settings.Store(&set)
		for i := range 50 {
			_, _, _ = tb.sessions.AttachNode(fmt.Sprintf("n%d", i))
		}
		tb.r.Returning()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !tb.r.Complete() {
			t.Errorf("never complete: toReturn=%d", tb.r.toReturn)
		}
		tb.close()
	})
}

// at Stop: asks are answered after the drain.
func TestDrainAnswersIQs(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("a")
		src := tb.attachOnly("b")
		w := newWire(0)
		_ = src.Start(w, nil)
		tb.send("a", "<iq type='get' from='a' to='b' id='q1'><q xmlns='q'/></iq>")
		ctx, c := context.WithTimeout(context.Background(), time.Second)
		defer c()
		tb.r.Drain(ctx)
		src.Detach()
		tb.expect("a", "q1:remote-server-timeout")
	})
}

// What waits at a node that is away goes along with the user who logs in elsewhere, and comes before newer
// stanzas; a copy that another node got does not come twice.
func TestMove(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"a", "b", "c"} {
			tb.attach(n)
		}
		tb.login("b", "bob@im/x")
		tb.login("b", "bob@im/w")
		tb.login("b", "eve@im/x")
		tb.login("c", "bob@im/y")
		tb.detach("b")
		tb.send("a", "<message from='a' to='bob@im/x' id='m1'/>")
		tb.send("a", "<message from='a' to='bob@im' id='m2'/>") // c gets a copy, and one waits at b
		tb.send("a", "<message from='a' to='bob@im/w' id='m3'/>")
		tb.send("a", "<message from='a' to='eve@im' id='m4'/>")
		tb.expect("c", "m2")
		who, _, _ := stanza.ParseAddress([]byte("bob@im/x"), false, nil)
		tb.r.Move(who, tb.r.Node("b"), tb.r.Node("c"))
		tb.login("c", "bob@im/x")
		tb.r.Move(who, tb.r.Node("b"), tb.r.Node("c")) // as the service does; what is for his other session there stays
		tb.send("a", "<message from='a' to='bob@im/x' id='m5'/>")
		tb.expect("c", "m1 m5")
		who, _, _ = stanza.ParseAddress([]byte("bob@im/w"), false, nil)
		tb.r.Move(who, tb.r.Node("b"), tb.r.Node("c")) // the last of bob's there: the bare copy moves, and is one too many
		tb.login("c", "bob@im/w")
		tb.expect("c", "m3")
		tb.attach("b")
		tb.expect("b", "m4")
		if l := tb.r.Ledger(); l.Reasons["other-copy"] != 1 {
			tb.t.Errorf("reasons: %v", l.Reasons)
		}
	})
}

// Two readers and a link that comes and goes: the race detector watches.
func TestConcurrentSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTestbed(t, nil)
		tb.r.Returning()
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n3", "bob@im/1")
		var wg sync.WaitGroup
		for _, from := range []string{"n1", "n2"} {
			src := tb.srcs[from]
			wg.Go(func() {
				for i := range 300 {
					raw := fmt.Sprintf("<message type='chat' from='%s' to='bob@im/1' id='%s-%d'/>", from, from, i)
					if _, err := src.Feed([]byte(raw)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 20 {
			tb.detach("n3")
			tb.attach("n3")
		}
		wg.Wait()
		tb.close()
	})
}
