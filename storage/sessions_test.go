package storage

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// open opens a table for a test; its end is a ConsistencyCheck and a Close.
func open(t testing.TB, dir string) *Sessions {
	t.Helper()
	s, err := OpenSessions(Options{Dir: dir, Server: "hub1.im.example"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, s) })
	return s
}

// finish checks and closes a table, unless the test has closed it.
func finish(t testing.TB, s *Sessions) {
	t.Helper()
	if s.commits.isClosed() {
		return
	}
	if err := s.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// total counts the live sessions when all are in memory.
func total(s *Sessions) int {
	s.Loaded()
	return s.Total()
}

// link is a node as a test speaks for it.
type link struct {
	s    *Sessions
	node NodeID
	inc  uint64
	mark Mark
}

func attach(t testing.TB, s *Sessions, domain string) link {
	t.Helper()
	r, m, err := s.AttachNode(domain)
	if err != nil {
		t.Fatal(err)
	}
	return link{s, r.ID, r.Inc, m}
}

// sync commits a batch and waits for the disk.
func (b *Batch) sync(t testing.TB) {
	t.Helper()
	done := make(chan error, 1)
	b.Commit(func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func split(jid string) (bare, res []byte) {
	b, r, _ := strings.Cut(jid, "/")
	return []byte(b), []byte(r)
}

// say makes one statement and waits for the disk: "+jid" announces, "-jid" withdraws.
func (l link) say(t testing.TB, jid string, prio int8, p Policy) (Change, NodeID, error) {
	t.Helper()
	b := l.s.Begin(l.node, l.inc, l.mark)
	bare, res := split(jid)
	c, prev, err := b.Announce(bare, res, prio, p)
	b.sync(t)
	return c, prev, err
}

// found is what Find says of a JID, bare or full: "node:priority ..." in no order.
func found(s *Sessions, jid string) []Match {
	bare, res := split(jid)
	if len(res) == 0 {
		res = nil
	}
	return s.Find(s.Hash(bare), bare, res, nil)
}

// step is one announce of a session, and what comes of it.
type step struct {
	from   int // which node says it
	prio   int8
	policy Policy
	want   Change
	prev   int // which node is named as the other, 0 for none
}

func TestAnnounce(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, n []link) // what happens after the first step
		steps  []step
	}{
		{"new", nil, []step{{1, 0, Take, Created, 0}}},
		{"confirmed", nil, []step{{1, 3, Take, Created, 0}, {1, 3, Never, Confirmed, 0}}},
		{"priority", nil, []step{{1, 3, Take, Created, 0}, {1, -1, Sync, Updated, 0}, {1, -1, Sync, Confirmed, 0}}},
		{"taken", nil, []step{{1, 0, Take, Created, 0}, {2, 0, Take, Taken, 1}, {1, 0, Take, Taken, 2}}},
		{"never", nil, []step{{1, 0, Take, Created, 0}, {2, 0, Never, Held, 1}, {1, 0, Never, Confirmed, 0}}},
		{"sync against an attached holder", nil, []step{{1, 0, Take, Created, 0}, {2, 0, Sync, Held, 1}}},
		{"sync against a draining holder", func(t *testing.T, n []link) {
			n[1].s.SetNodeState(n[1].node, n[1].inc, Draining, time.Time{})
		}, []step{{1, 0, Take, Created, 0}, {2, 0, Sync, Held, 1}}},
		{"sync against a holder away", func(t *testing.T, n []link) {
			n[1].s.SetNodeState(n[1].node, n[1].inc, Away, time.Unix(1e9, 0))
		}, []step{{1, 0, Take, Created, 0}, {2, 0, Sync, Taken, 1}}},
		{"never against a holder away", func(t *testing.T, n []link) {
			n[1].s.SetNodeState(n[1].node, n[1].inc, Away, time.Unix(1e9, 0))
		}, []step{{1, 0, Take, Created, 0}, {2, 0, Never, Held, 1}}},
		{"sync against a holder that came back and has not confirmed", func(t *testing.T, n []link) {
			n[1] = attach(t, n[1].s, "node1.im.example")
		}, []step{{1, 0, Take, Created, 0}, {2, 0, Sync, Taken, 1}}},
		{"confirmed by the next incarnation", func(t *testing.T, n []link) {
			n[1] = attach(t, n[1].s, "node1.im.example")
		}, []step{{1, 0, Take, Created, 0}, {1, 0, Sync, Confirmed, 0}, {2, 0, Sync, Held, 1}}},
		{"holder gone", func(t *testing.T, n []link) {
			if got := n[1].s.ExpireNode(n[1].node, n[1].inc); got != 1 {
				t.Errorf("ExpireNode = %d, want 1", got)
			}
		}, []step{{1, 0, Take, Created, 0}, {2, 0, Never, Created, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, Memory)
			n := []link{{}, attach(t, s, "node1.im.example"), attach(t, s, "node2.im.example")}
			for i, st := range c.steps {
				if i == 1 && c.before != nil {
					c.before(t, n)
				}
				announceStep(t, s, n, st)
			}
		})
	}
}

func announceStep(t *testing.T, s *Sessions, n []link, st step) {
	t.Helper()
	const alice = "alice@im.example/phone"
	got, prev, err := n[st.from].say(t, alice, st.prio, st.policy)
	if err != nil || got != st.want || prev != n[st.prev].node {
		t.Fatalf("%+v: got %d, %d, %v; want %d, %d", st, got, prev, err, st.want, n[st.prev].node)
	}
	if m := found(s, alice); got != Held && (len(m) != 1 || m[0] != Match{n[st.from].node, st.prio}) {
		t.Fatalf("%+v: found %v", st, m)
	}
	if w := s.Where([]byte("alice@im.example")); len(w) != 1 || w[0].JID != alice {
		t.Fatalf("%+v: where: %v", st, w)
	}
}

func TestStaleIncarnation(t *testing.T) {
	s := open(t, Memory)
	old := attach(t, s, "node1.im.example")
	if _, _, err := old.say(t, "a@im.example/x", 0, Take); err != nil {
		t.Fatal(err)
	}
	late := s.Begin(old.node, old.inc, old.mark)
	now := attach(t, s, "node1.im.example")
	if _, _, err := late.Announce([]byte("b@im.example"), []byte("x"), 0, Take); !errors.Is(err, ErrStale) {
		t.Errorf("announce of an old link: %v", err)
	}
	if late.Withdraw([]byte("a@im.example"), []byte("x")) || late.WithdrawBelow(now.mark, Unconfirmed) != 0 {
		t.Error("an old link withdrew")
	}
	late.sync(t)
	if s.SetNodeState(old.node, old.inc, Away, time.Time{}) || s.ExpireNode(old.node, old.inc) != 0 {
		t.Error("an old incarnation changed the node")
	}
	b := s.Begin(now.node, now.inc, now.mark)
	if n := b.WithdrawBelow(now.mark, Unconfirmed); n != 1 {
		t.Errorf("WithdrawBelow = %d, want 1", n)
	}
	b.sync(t)
	if e := s.Ended([]byte("a@im.example")); len(e) != 1 || e[0].Why != Unconfirmed {
		t.Errorf("Ended = %v", e)
	}
}

func TestManyResources(t *testing.T) {
	s := open(t, Memory)
	l := attach(t, s, "node1.im.example")
	b := s.Begin(l.node, l.inc, l.mark)
	for i := range MaxResources {
		if _, _, err := b.Announce([]byte("a@im.example"), fmt.Append(nil, i), 0, Take); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Announce([]byte("a@im.example"), []byte("more"), 0, Take); !errors.Is(err, ErrTooManyResources) {
		t.Errorf("the 257th: %v", err)
	}
	if c, _, err := b.Announce([]byte("a@im.example"), []byte("7"), 1, Take); c != Updated || err != nil {
		t.Errorf("one of the 256: %d, %v", c, err)
	}
	if n := len(found(s, "a@im.example")); n != MaxResources {
		t.Errorf("found %d", n)
	}
	b.Withdraw([]byte("a@im.example"), []byte("7"))
	if _, _, err := b.Announce([]byte("a@im.example"), []byte("more"), 0, Take); err != nil {
		t.Errorf("after one left: %v", err)
	}
	b.sync(t)
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	l, gone := attach(t, s, "node1.im.example"), attach(t, s, "node2.im.example")
	b, g := s.Begin(l.node, l.inc, l.mark), s.Begin(gone.node, gone.inc, gone.mark)
	for i := range 3000 {
		if _, _, err := b.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("x"), int8(i), Take); err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("y"), 0, Take); err != nil {
			t.Fatal(err)
		}
	}
	b.sync(t)
	g.sync(t)
	where := s.Where([]byte("user7@im.example"))
	s.ExpireNode(gone.node, gone.inc)
	finish(t, s)
	s = open(t, dir)
	if got := s.Loaded(); got.Sessions-got.Dead != 3000 || s.Total() != 3000 || s.Count(l.node) != 3000 {
		t.Errorf("loaded %+v, total %d", got, s.Total())
	}
	r, _ := s.NodeByDomain("node1.im.example")
	if r.State != Away || !r.Until.IsZero() || r.Inc != l.inc || r.ID != l.node {
		t.Errorf("node after reopen: %+v", r)
	}
	if r, _ := s.Node(gone.node); r.State != Gone {
		t.Errorf("gone node after reopen: %+v", r)
	}
	for _, x := range where {
		if x.Node == l.node && s.Where([]byte("user7@im.example"))[0] != x {
			t.Errorf("session after reopen: %+v, was %+v", s.Where([]byte("user7@im.example")), x)
		}
	}
	again := attach(t, s, "node1.im.example")
	if again.inc <= l.inc || again.node != l.node {
		t.Errorf("attached as %+v after %+v", again, l)
	}
}

func (c *committer) isClosed() bool {
	c.gate.RLock()
	defer c.gate.RUnlock()
	return c.closed
}
