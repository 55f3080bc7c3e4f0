package routing

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// testbed is a router with its table in memory, and links whose wires take everything.
type testbed struct {
	t        *testing.T
	sessions *storage.Sessions
	r        *Router
	srcs     map[string]*Source
	wires    map[string]*wire
}

const (
	testGrace  = 30 * time.Second
	testSettle = 10 * time.Second
)

// nobodyServes is a Service for tests that do not come to it.
type nobodyServes struct{}

func (nobodyServes) Serve(*Source, *stanza.Header, stanza.Address, stanza.Address) Reason {
	return NotServed
}

func (nobodyServes) Revoked(*Node, stanza.Address) {}

func quiet() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}

func newTestbed(t *testing.T, sessions *storage.Sessions) *testbed {
	tb := &testbed{t: t, sessions: sessions, srcs: map[string]*Source{}, wires: map[string]*wire{}}
	if sessions == nil {
		s, err := storage.OpenSessions(storage.Options{Dir: ":memory:", Server: "hub", Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		tb.sessions = s
	}
	tb.r = New(Config{Server: "hub", NoProof: true, Settings: Settings{Users: []UserDomain{{Name: "im"}}, Known: []string{"exact"},
		Limits: stanza.DefaultLimits, Queue: 10_000, Grace: testGrace, Settle: testSettle}, Log: quiet()},
		tb.sessions, nobodyServes{})
	return tb
}

// close ends the router and holds it to its books.
func (tb *testbed) close() {
	tb.t.Helper()
	for name := range tb.srcs {
		tb.detach(name)
	}
	tb.r.Close()
	synctest.Wait()
	l := tb.r.Ledger()
	if ok, off := l.Adds(); !ok {
		tb.t.Errorf("the ledger is off by %d: %+v", off, l)
	}
	if err := reasonsAddUp(tb.r); err != nil {
		tb.t.Error(err)
	}
	if err := tb.sessions.ConsistencyCheck(); err != nil {
		tb.t.Error(err)
	}
	if err := tb.sessions.Close(); err != nil {
		tb.t.Error(err)
	}
}

func (tb *testbed) attach(name string) *Source {
	tb.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	if _, _, err := sc.Next([]byte(rootTag), &stanza.Header{}); err != nil {
		tb.t.Fatal(err)
	}
	src, err := tb.r.Attach(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	if err != nil {
		tb.t.Fatal(err)
	}
	w := newWire(1 << 30)
	tb.srcs[name], tb.wires[name] = src, w
	if err := src.Start(w, nil); err != nil {
		tb.t.Fatal(err)
	}
	return src
}

func (tb *testbed) detach(name string) {
	tb.wires[name].breakIt()
	tb.srcs[name].Detach()
	delete(tb.srcs, name)
}

// login announces a session as the service would.
func (tb *testbed) login(node, jid string) {
	tb.t.Helper()
	a, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	if err != nil {
		tb.t.Fatal(err)
	}
	src := tb.srcs[node]
	b := tb.sessions.Begin(src.node.ID(), src.inc, src.mark)
	if _, _, err := b.Announce(a.Bare(), a.Resource(), 0, storage.Take); err != nil {
		tb.t.Fatal(err)
	}
	b.Commit(nil)
	tb.r.Announced(a.Bare(), false)
}

func (tb *testbed) send(node, raw string) {
	tb.t.Helper()
	raw = strings.ReplaceAll(raw, "CHAT", "<message type='chat'")
	if n, err := tb.srcs[node].Feed([]byte(raw)); err != nil || n != len(raw) {
		tb.t.Fatalf("feed %s: %d %v", raw, n, err)
	}
}

var (
	ids        = regexp.MustCompile(` id='([^']*)'`)
	conditions = regexp.MustCompile(`<([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`)
	starts     = regexp.MustCompile(`<(message|presence|iq)[ />]`)
)

// got tells what a node has been written since the last time, as "m1 m2 q1:service-unavailable". The node answers the barrier
// pings, which are not told.
func (tb *testbed) got(node string) string {
	synctest.Wait()
	w := tb.wires[node]
	if src := tb.srcs[node]; src != nil {
		if err := answerPings(src, w.pings); err != nil {
			tb.t.Error(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(w.got)
	w.got = nil
	var out []string
	at := starts.FindAllStringIndex(text, -1)
	for i, loc := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		part := text[loc[0]:end]
		word := "?"
		if m := ids.FindStringSubmatch(part); m != nil {
			word = m[1]
		}
		if m := conditions.FindStringSubmatch(part); m != nil {
			word += ":" + m[1]
		}
		out = append(out, word)
	}
	return strings.Join(out, " ")
}

func (tb *testbed) expect(node, want string) {
	tb.t.Helper()
	if got := tb.got(node); got != want {
		tb.t.Errorf("%s got %q, want %q", node, got, want)
	}
}

// bubble runs a test on a clock of its own.
func bubble(t *testing.T, f func(tb *testbed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tb := newTestbed(t, nil)
		tb.r.Returning()
		f(tb)
		tb.close()
	})
}

// What was not written when a link dropped waits for the node's return, and comes before newer stanzas.
func TestAwayWaits(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.wires["n2"].room = 0
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m1'/><iq type='get' id='q1' from='alice@im/1' to='bob@im/1'><x xmlns='y'/></iq>")
		tb.expect("n1", "")
		tb.detach("n2")
		tb.expect("n1", "q1:remote-server-timeout")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m2'/><iq type='get' id='q2' from='alice@im/1' to='bob@im/1'><x xmlns='y'/></iq>")
		tb.expect("n1", "q2:remote-server-timeout")
		time.Sleep(testGrace - time.Second)
		tb.attach("n2")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m3'/>")
		tb.expect("n2", "m1 m2 m3")
		tb.expect("n1", "")
	})
}

// The end of the grace ends the sessions in one step, and decides again what waited.
func TestGraceEnds(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.login("n2", "carol@im/1")
		tb.detach("n2")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m1'/>"+
			"CHAT from='alice@im/1' to='carol@im' id='m2'/>"+
			"CHAT from='alice@im/1' to='n2' id='m3'/>"+
			"<presence from='alice@im/1' to='bob@im' id='p1'/>"+
			"<message type='error' from='alice@im/1' to='n2' id='e1'><error/></message>")
		tb.login("n3", "carol@im/2")
		tb.expect("n1", "")
		time.Sleep(testGrace + time.Second)
		tb.expect("n1", "m1:service-unavailable m3:remote-server-timeout")
		tb.expect("n3", "m2")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im' id='m4'/>")
		tb.expect("n1", "m4:service-unavailable")
		tb.send("n1", "CHAT from='alice@im/1' to='n2' id='m5'/>CHAT from='alice@im/1' to='never' id='m6'/>CHAT from='alice@im/1' to='exact' id='m7'/>")
		tb.expect("n1", "m5:remote-server-timeout m6:remote-server-not-found m7:remote-server-timeout")
	})
}

// A queue is bounded, for a node that is away too.
func TestQueueFull(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.detach("n2")
		body := strings.Repeat("x", 3000)
		for i := range 4 {
			tb.send("n1", fmt.Sprintf("CHAT from='n1' to='n2' id='m%d'><body>%s</body></message>", i, body))
		}
		tb.expect("n1", "m3:resource-constraint")
		tb.attach("n2")
		tb.expect("n2", "m0 m1 m2")
	})
}

// After a restart a user without an entry is unknown, not offline, until the nodes of before are back.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := newTestbed(t, nil)
		before.r.Returning()
		before.attach("n1")
		before.attach("n2")
		before.login("n2", "bob@im/1")
		for name := range before.srcs {
			before.detach(name)
		}
		before.r.Close()

		tb := newTestbed(t, before.sessions)
		tb.r.Returning()
		tb.attach("n1")
		tb.login("n1", "alice@im/1")
		if tb.r.Complete() {
			t.Error("the view is complete before n2 is back")
		}
		tb.send("n1", "CHAT from='alice@im/1' to='carol@im' id='m1'/>CHAT from='alice@im/1' to='dave@im' id='m2'/>"+
			"CHAT from='alice@im/1' to='bob@im' id='m3'/><presence from='alice@im/1' to='carol@im' id='p1'/>"+
			"CHAT from='alice@im/1' to='dave@im' id='m4'/>")
		tb.expect("n1", "")
		tb.login("n1", "dave@im/1")
		tb.expect("n1", "m2 m4")
		tb.send("n1", "CHAT from='alice@im/1' to='dave@im' id='m5'/>")
		tb.expect("n1", "m5")
		time.Sleep(testSettle + time.Second)
		tb.expect("n1", "m1:remote-server-timeout")
		tb.send("n1", "CHAT from='alice@im/1' to='carol@im' id='m6'/>")
		time.Sleep(testSettle - 2*time.Second)
		tb.srcs["n1"].Confirmed()
		tb.attach("n2")
		tb.expect("n2", "m3")
		tb.srcs["n2"].Confirmed() // now the view is complete: the answer can be offline
		tb.expect("n1", "m6:service-unavailable")
		if !tb.r.Complete() {
			t.Error("the view is not complete")
		}
		tb.close()
	})
}

// Each iq get or set is answered exactly once; answers that nobody asked for go nowhere (S19).
func TestIQAnswers(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		ask := func(id string) {
			tb.send("n1", "<iq type='get' id='"+id+"' from='alice@im/1' to='bob@im/1'><x xmlns='y'/></iq>")
			tb.expect("n2", id)
		}
		ask("q1")
		tb.send("n2", "<iq type='result' id='q1' from='bob@im/1' to='alice@im/1'/>")
		tb.send("n2", "<iq type='result' id='q1' from='bob@im/1' to='alice@im/1'/>")
		tb.expect("n1", "q1")
		ask("q2") // answered without from, as gloox and mellium do
		tb.send("n2", "<iq type='result' id='q2' to='alice@im/1'/>")
		tb.expect("n1", "q2")
		ask("q3") // another node cannot answer it, nor the same node from another address
		tb.send("n3", "<iq type='result' id='q3' from='n3' to='alice@im/1'/>")
		tb.send("n3", "<iq type='result' id='q3' to='alice@im/1'/>")
		tb.send("n2", "<iq type='result' id='q3' from='n2' to='alice@im/1'/>")
		tb.send("n2", "<iq type='error' id='q3' from='bob@im/1' to='alice@im/1'/>") // no error child: no answer
		tb.expect("n1", "")
		time.Sleep(61 * time.Second)
		tb.expect("n1", "q3:remote-server-timeout")
		tb.send("n2", "<iq type='result' id='q3' from='bob@im/1' to='alice@im/1'/>")
		tb.expect("n1", "")
		ask("q4")
		ask("q4") // twice under one id: two questions, two answers
		tb.send("n2", "<iq type='result' id='q4' from='bob@im/1' to='alice@im/1'/><iq type='result' id='q4' from='bob@im/1' to='alice@im/1'/>")
		tb.expect("n1", "q4 q4")
		ask("q5")
		tb.detach("n2")
		tb.expect("n1", "q5:remote-server-timeout")
		l := tb.r.Ledger()
		if l.Reasons["late-reply"] != 5 || l.Reasons["bad-reply"] != 1 {
			tb.t.Errorf("reasons: %v", l.Reasons)
		}
	})
}

// What a node that came back does not confirm in time ends, one by one.
func TestUnconfirmed(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.login("n2", "bob@im/1")
		tb.login("n2", "carol@im/1")
		tb.detach("n2")
		time.Sleep(time.Second)
		tb.attach("n2")
		tb.login("n2", "bob@im/1")
		tb.srcs["n2"].Accepted()
		tb.got("n2") // it is asked what it can do
		time.Sleep(testGrace - time.Second)
		if got := tb.sessions.Count(tb.srcs["n2"].node.ID()); got != 2 {
			t.Errorf("%d sessions inside the grace", got)
		}
		time.Sleep(2 * time.Second)
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>CHAT from='n1' to='carol@im' id='m2'/>")
		tb.expect("n2", "m1")
		tb.expect("n1", "m2:service-unavailable")
	})
}

// A stop leaves nothing without an outcome.
func TestDrainAnswersWhatWaits(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.attach("n1")
		tb.attach("n2")
		tb.attach("n3")
		tb.detach("n2")
		tb.wires["n3"].room = 0
		tb.send("n1", "CHAT from='n1' to='n2' id='m1'/>CHAT from='n1' to='n3' id='m2'/>")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		tb.r.Drain(ctx)
		tb.expect("n1", "m1:remote-server-timeout m2:remote-server-timeout")
	})
}
