package service

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/routing"
	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// header opens the nodes' streams: it declares a prefix that their stanzas may use.
const header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' xmlns:pb='" +
	stanza.NSSessions + "' to='x'>"

// wire is an Output that takes everything, unless it is stuck.
type wire struct {
	mu    sync.Mutex
	got   bytes.Buffer
	stuck chan struct{} // closed when it goes on; nil: it is not stuck
	cut   bool          // it takes nothing any more
}

func (w *wire) TryWrite(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck != nil {
		return 0, nil
	}
	return w.got.Write(b)
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	stuck := w.stuck
	w.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return 0, io.ErrClosedPipe
	}
	return w.got.Write(b)
}

func (w *wire) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Len()
}

// stick makes the wire take nothing until it goes on.
func (w *wire) stick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck == nil {
		w.stuck = make(chan struct{})
	}
}

func (w *wire) goOn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stuck != nil {
		close(w.stuck)
		w.stuck = nil
	}
}

func (w *wire) Interrupt() {
	w.mu.Lock()
	w.cut = true
	w.mu.Unlock()
	w.goOn()
}

// testbed is a service with its router and a table in memory. n1 and n2 may take over sessions of im, shy may not.
type testbed struct {
	t        rapid.TB
	service  *Service
	sessions *storage.Sessions
	router   *routing.Router
	srcs     map[string]*routing.Source
	wires    map[string]*wire
}

// bubble runs a test on a clock of its own, and holds router and table to their books.
func bubble(t *testing.T, f func(tb *testbed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tb := newTestbed(t)
		f(tb)
		tb.close()
	})
}

// newTestbed is to be called in a bubble.
func newTestbed(t rapid.TB) *testbed {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	log := logrus.NewEntry(quiet)
	var s *Service
	sessions, err := storage.OpenSessions(storage.Options{Dir: storage.Memory, Server: "hub", Log: log,
		Changed: func(bare []byte) { s.Changed(bare) }, NodeChanged: func(id storage.NodeID) { s.NodeChanged(id) }})
	if err != nil {
		t.Fatal(err)
	}
	s = New(Config{Version: "1", Start: time.Now()}, sessions)
	tb := &testbed{t: t, service: s, sessions: sessions, srcs: map[string]*routing.Source{}, wires: map[string]*wire{}}
	tb.router = routing.New(routing.Config{Server: "hub", NoProof: true, Settings: routing.Settings{Users: []routing.UserDomain{{Name: "im"}}, Limits: stanza.DefaultLimits,
		Queue: 1 << 20, Grace: 30 * time.Second, Settle: 10 * time.Second}, Log: log}, sessions, s)
	s.Bind(tb.router)
	tb.router.Returning()
	for _, n := range []string{"n1", "n2", "shy"} {
		tb.attach(n)
	}
	return tb
}

func (tb *testbed) close() {
	tb.t.Helper()
	tb.service.Close()
	for node := range tb.srcs {
		tb.detach(node)
	}
	tb.router.Close()
	ledger := tb.router.Ledger()
	if ok, off := ledger.Adds(); !ok {
		tb.t.Errorf("the ledger is off by %d: %+v", off, ledger)
	}
	if err := tb.sessions.ConsistencyCheck(); err != nil {
		tb.t.Error(err)
	}
	if err := tb.sessions.Close(); err != nil {
		tb.t.Error(err)
	}
}

// detach ends a node's link as a connection that breaks.
func (tb *testbed) detach(node string) {
	tb.wires[node].Interrupt()
	tb.srcs[node].Detach()
	delete(tb.srcs, node)
}

func (tb *testbed) attach(node string) {
	tb.t.Helper()
	tb.attachAs(node, &routing.Grant{Users: []string{"im"}, TakeOver: node != "shy"})
}

func (tb *testbed) attachAs(node string, g *routing.Grant) {
	tb.t.Helper()
	sc := stanza.NewScanner(stanza.Limits{})
	if _, _, err := sc.Next([]byte(header), &stanza.Header{}); err != nil {
		tb.t.Fatal(err)
	}
	src, err := tb.router.Attach(node, g, sc)
	if err != nil {
		tb.t.Fatal(err)
	}
	tb.srcs[node], tb.wires[node] = src, &wire{}
	if err := src.Start(tb.wires[node], nil); err != nil {
		tb.t.Fatal(err)
	}
}

// send feeds what a node sends; the error would end its link.
func (tb *testbed) send(node, raw string) error {
	_, err := tb.srcs[node].Feed([]byte(raw))
	return err
}

// state sends a statement of sessions with the id s.
func (tb *testbed) state(node, attr, items string) {
	tb.t.Helper()
	if err := tb.send(node, "<iq type='set' id='s' to='im'><sessions xmlns='"+stanza.NSSessions+"'"+attr+">"+items+"</sessions></iq>"); err != nil {
		tb.t.Fatal(err)
	}
}

// expect compares what a node was written since the last time, told by tell, one stanza after "; ".
func (tb *testbed) expect(node, want string) {
	tb.t.Helper()
	synctest.Wait()
	var told []string
	tb.each(node, func(h *stanza.Header) { told = append(told, tell(h)) })
	if got := strings.Join(told, "; "); got != want {
		tb.t.Errorf("%s got %q, want %q", node, got, want)
	}
}

// each calls f with each stanza that a node was written since the last time, except when the router asks the node itself
// something: what it can do, which it does not answer, or with a ping for a proof that it has read all before, which it does.
func (tb *testbed) each(node string, f func(h *stanza.Header)) {
	tb.t.Helper()
	w := tb.wires[node]
	w.mu.Lock()
	raw := bytes.Clone(w.got.Bytes())
	w.got.Reset()
	w.mu.Unlock()
	sc, h := stanza.NewScanner(stanza.Limits{Stanza: 1 << 20}), new(stanza.Header)
	if _, _, err := sc.Next([]byte(header), h); err != nil {
		tb.t.Fatal(err)
	}
	for len(raw) > 0 {
		tok, n, err := sc.Next(raw, h)
		if tok != stanza.Element {
			tb.t.Fatalf("%s was written what is no stanza: %v %s", node, err, raw)
		}
		switch src := tb.srcs[node]; {
		case h.Type != stanza.TypeGet || !bytes.HasPrefix(h.In(h.ID.Value), []byte("pb-")):
			f(h)
		case src != nil && bytes.Contains(h.Raw, []byte("'urn:xmpp:ping'")):
			if err := tb.send(node, "<iq type='result' id='"+string(h.In(h.ID.Value))+"'/>"); err != nil {
				tb.t.Fatal(err)
			}
		}
		raw = raw[n:]
	}
}

// tell gives type and id of a stanza and what is in it: conditions, and items with their jid or number.
func tell(h *stanza.Header) string {
	out := []string{string(h.In(h.TypeAttr.Value))}
	if h.ID.Set() {
		out = append(out, string(stanza.AppendUnescaped(nil, h.In(h.ID.Value))))
	}
	w := h.Walk()
	for w.Next(); w.Next(); {
		name := string(w.Local())
		for _, key := range []string{"jid", "n"} {
			if v, _, ok := w.Attr(key); ok {
				name += "=" + string(v)
			}
		}
		if name != "sessions" && name != "error" && name != "text" {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}

// held tells which node holds a session, and its priority.
func (tb *testbed) held(jid string) (node string, priority int8) {
	tb.t.Helper()
	who, _, err := stanza.ParseAddress([]byte(jid), false, nil)
	if err != nil {
		tb.t.Fatal(err)
	}
	m := tb.sessions.Find(tb.sessions.Hash(who.Bare()), who.Bare(), who.Resource(), nil)
	if len(m) == 0 {
		return "", 0
	}
	rec, _ := tb.sessions.Node(m[0].Node)
	return rec.Domain, m[0].Priority
}

func (tb *testbed) expectHeld(jid, node string) {
	tb.t.Helper()
	if got, _ := tb.held(jid); got != node {
		tb.t.Errorf("%s is held by %q, want %q", jid, got, node)
	}
}

// A stanza may rely on the declarations of the stream header (RFC 6120 4.8.5), a statement of sessions too.
func TestPrefixOfTheStream(t *testing.T) {
	bubble(t, func(tb *testbed) {
		if err := tb.send("n1", "<iq type='set' id='s' to='im'><pb:sessions><pb:announce jid='a@im/1'/><x:announce xmlns:x='other' jid='b@im/1'/></pb:sessions></iq>"); err != nil {
			t.Fatal(err)
		}
		tb.expect("n1", "result s")
		tb.expectHeld("a@im/1", "n1")
		tb.expectHeld("b@im/1", "")
	})
}

// A statement has at most 1000 children of any namespace; those that are not ours count for nothing else.
func TestItems(t *testing.T) {
	const foreign, withdraw = "<x:y xmlns:x='other'/>", "<withdraw jid='a@im/1'/>"
	for _, c := range []struct{ name, items, want string }{
		{"none", "", "result s"},
		{"as many as may be", strings.Repeat(withdraw, maxItems), "result s"},
		{"one more", strings.Repeat(withdraw, maxItems+1), "error s resource-constraint item=1000"},
		{"foreign ones are ignored", foreign + "<announce jid='a@im/1'/>" + strings.Repeat(foreign, maxItems-2), "result s"},
		{"foreign ones count", withdraw + strings.Repeat(foreign, maxItems), "error s resource-constraint item=1"},
		{"what is deeper is nothing", strings.Repeat("<x xmlns='other'>"+strings.Repeat("<announce/>", 10)+"</x>", 200), "result s"},
		{"a foreign announce", "<announce xmlns='other'/>", "result s"},
		{"no such item", withdraw + foreign + "<where/>", "error s bad-request item=1"},
		{"no jid", foreign + "<announce/>", "error s jid-malformed item=0"},
		{"a bare jid", "<announce jid='a@im'/>", "error s jid-malformed item=0"},
		{"another domain", "<announce jid='a@other/1'/>", "error s forbidden item=0"},
		{"no priority", "<announce jid='a@im/1' priority='128'/>", "error s bad-request item=0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(tb *testbed) {
				tb.state("n1", "", c.items)
				tb.expect("n1", c.want)
			})
		})
	}
}

// The priority of presence is that of its own namespace.
func TestPriority(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, c := range []struct {
			in   string
			want int8
		}{
			{"", 0}, {"<priority>-3</priority>", -3}, {"<priority xmlns='jabber:client'>4</priority>", 4}, {"<priority>200</priority>", 0},
			{"<x><priority>1</priority></x><p:priority xmlns:p='other'>2</p:priority><priority xmlns='other'>3</priority><priority>5</priority>", 5},
		} {
			if err := tb.send("n1", "<presence from='a@im/1' to='im'>"+c.in+"</presence>"); err != nil {
				t.Fatal(err)
			}
			if node, got := tb.held("a@im/1"); node != "n1" || got != c.want {
				t.Errorf("%q: priority %d at %q, want %d", c.in, got, node, c.want)
			}
		}
		tb.expect("n1", "")
	})
}
