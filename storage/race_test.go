package storage

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReadersBesideWriters looks users up while links announce, take over, withdraw, sync, expire and
// attach, with compactions all the time. A constant user must always be found; what is found must be
// a node's. The race detector watches.
func TestReadersBesideWriters(t *testing.T) {
	s, err := openSessions(Options{Dir: Memory}, knobs{compact: 1, seed: maphash.MakeSeed(), space: space})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, s) })
	fixed := attach(t, s, "fixed")
	const users = 500
	b := s.Begin(fixed.node, fixed.inc, fixed.mark)
	for i := range users {
		if _, _, err := b.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("fixed"), 7, Take); err != nil {
			t.Fatal(err)
		}
	}
	b.sync(t)
	var stop atomic.Bool
	var readers, writers sync.WaitGroup
	for g := range 2 {
		readers.Go(func() { readAll(t, s, fixed.node, &stop, uint64(g)) })
	}
	for g := range 3 {
		writers.Go(func() { churn(t, s, g) })
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

// readAll looks up random users until it is stopped.
func readAll(t *testing.T, s *Sessions, fixed NodeID, stop *atomic.Bool, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var dst [16]Match
	var sum uint64
	for !stop.Load() {
		bare := fmt.Appendf(nil, "user%d@im.example", rnd.IntN(500))
		h := s.Hash(bare)
		sum += s.TouchAll([]uint64{h})
		if m := s.Find(h, bare, []byte("fixed"), dst[:0]); len(m) != 1 || m[0] != (Match{fixed, 7}) {
			t.Errorf("%s: found %v", bare, m)
			return
		}
		if !s.Holds(h, bare, fixed) {
			t.Errorf("%s: not held", bare)
			return
		}
		for _, m := range s.Find(h, bare, nil, dst[:0]) {
			if _, ok := s.Node(m.Node); !ok {
				t.Errorf("%s: found node %d", bare, m.Node)
				return
			}
		}
	}
	_ = sum
}

// churn is the life of one node: a few incarnations that change the sessions of all users.
func churn(t *testing.T, s *Sessions, g int) {
	rnd := rand.New(rand.NewPCG(uint64(g), 2))
	domain := fmt.Sprintf("node%d", g)
	for range 8 {
		r, mark, err := s.AttachNode(domain)
		if err != nil {
			t.Error(err)
			return
		}
		for range 30 {
			b := s.Begin(r.ID, r.Inc, mark)
			for range 40 {
				bare, res := fmt.Appendf(nil, "user%d@im.example", rnd.IntN(500)), fmt.Append(nil, rnd.IntN(4))
				if rnd.IntN(3) == 0 {
					b.Withdraw(bare, res)
				} else if _, _, err := b.Announce(bare, res, int8(rnd.IntN(2)), Policy(rnd.IntN(3))); err != nil {
					t.Error(err)
				}
			}
			b.Commit(nil)
		}
		switch rnd.IntN(3) {
		case 0:
			b := s.Begin(r.ID, r.Inc, mark)
			b.WithdrawBelow(s.NextMark(), Unconfirmed)
			b.Commit(nil)
		case 1:
			s.ExpireNode(r.ID, r.Inc)
		default:
			s.SetNodeState(r.ID, r.Inc, Away, time.Unix(1e9, 0))
		}
	}
}

// TestOrderOfLinks: two links change one session and commit in the other order; the disk follows the
// index.
func TestOrderOfLinks(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	one, two := attach(t, s, "node1"), attach(t, s, "node2")
	bare, res := split("alice@im.example/phone")
	first, second := s.Begin(one.node, one.inc, one.mark), s.Begin(two.node, two.inc, two.mark)
	if c, _, _ := first.Announce(bare, res, 0, Take); c != Created {
		t.Fatal(c)
	}
	if c, _, _ := second.Announce(bare, res, 0, Take); c != Taken {
		t.Fatal(c)
	}
	second.sync(t)
	first.sync(t)
	finish(t, s)
	s = open(t, dir)
	if m := found(s, "alice@im.example"); len(m) != 1 || m[0].Node != two.node {
		t.Errorf("found %v, want node %d", m, two.node)
	}
}

// TestFailure: after a failed commit nothing is acknowledged any more.
func TestFailure(t *testing.T) {
	broken, err := openBadger(Memory, &badgerLog{})
	if err == nil {
		err = broken.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	fails := 0
	s, err := OpenSessions(Options{Dir: t.TempDir(), OnFail: func(error) { fails++ }})
	if err != nil {
		t.Fatal(err)
	}
	l := attach(t, s, "node1")
	if _, _, err := l.say(t, "a@im.example/x", 0, Take); err != nil {
		t.Fatal(err)
	}
	b := s.Begin(l.node, l.inc, l.mark)
	b.sync(t) // the committer is idle: its database may change
	well := s.db
	s.db = broken
	for range 3 {
		b := s.Begin(l.node, l.inc, l.mark)
		_, _, _ = b.Announce([]byte("b@im.example"), []byte("x"), 0, Take)
		done := make(chan error, 1)
		b.Commit(func(err error) { done <- err })
		if err := <-done; err == nil {
			t.Error("acknowledged")
		}
		s.db = well // too late: a failure is final
	}
	if _, _, err := s.AttachNode("node2"); err == nil {
		t.Error("attached after the failure")
	}
	if err := s.Close(); err == nil || fails != 1 {
		t.Errorf("Close = %v after %d failures", err, fails)
	}
	s.Begin(l.node, l.inc, l.mark).Commit(func(err error) {
		if err != ErrClosed {
			t.Errorf("commit after Close: %v", err)
		}
	})
}

// TestLargest: a group of the longest addresses fits into a transaction.
func TestLargest(t *testing.T) {
	s := open(t, t.TempDir())
	l := attach(t, s, "node1")
	b := s.Begin(l.node, l.inc, l.mark)
	for i := range 2 * groupChanges {
		bare, res := make([]byte, maxBare), make([]byte, maxResource)
		for j := range bare {
			bare[j] = 'b'
		}
		copy(bare, fmt.Sprintf("%06d", i))
		for j := range res {
			res[j] = 'r'
		}
		if _, _, err := b.Announce(bare, res, 0, Take); err != nil {
			t.Fatal(err)
		}
	}
	b.sync(t)
	b = s.Begin(l.node, l.inc, l.mark)
	if n := b.WithdrawBelow(s.NextMark(), Unconfirmed); n != 2*groupChanges {
		t.Errorf("withdrew %d", n)
	}
	b.sync(t)
	if s.Total() != 0 {
		t.Errorf("%d left", s.Total())
	}
}

func TestHolds(t *testing.T) {
	now := time.Unix(1.7e9, 0)
	s, err := OpenSessions(Options{Dir: Memory, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer finish(t, s)
	one, two := attach(t, s, "node1"), attach(t, s, "node2")
	bare, res := split("a@im.example/x")
	b := s.Begin(one.node, one.inc, one.mark)
	_, _, _ = b.Announce(bare, res, 0, Take)
	holds := func(want1, want2 bool) {
		t.Helper()
		h := s.Hash(bare)
		if g1, g2 := s.Holds(h, bare, one.node), s.Holds(h, bare, two.node); g1 != want1 || g2 != want2 {
			t.Errorf("held by node1 %t, node2 %t; want %t, %t", g1, g2, want1, want2)
		}
	}
	holds(true, false)
	b2 := s.Begin(two.node, two.inc, two.mark)
	_, _, _ = b2.Announce(bare, res, 0, Take)
	holds(true, true) // node1 may still speak for the user it lost
	now = now.Add(59 * time.Minute)
	holds(true, true)
	now = now.Add(time.Minute)
	holds(false, true)
	b2.Withdraw(bare, res)
	holds(false, true)
	now = now.Add(time.Hour)
	holds(false, false)
	b.Commit(nil)
	b2.sync(t)
}

// TestHistoryForgets: the ring keeps the newest, and its chains never lead to what was overwritten.
func TestHistoryForgets(t *testing.T) {
	y := newHistory()
	add := func(h uint64, res string, at uint32) {
		y.add(key{h, []byte("u"), []byte(res)}, ended{holder{node: 1}, at, Withdrawn})
	}
	add(1, "old", 1)
	add(2, "lost", 1)
	add(1, "new", 2)
	for i := range historyLen - 1 {
		add(3+uint64(i), "x", 3)
	}
	if e := y.of(1, []byte("u")); len(e) != 1 || e[0].JID != "u/new" {
		t.Errorf("of(1) = %v", e)
	}
	if e := y.of(2, []byte("u")); len(e) != 0 {
		t.Errorf("of(2) = %v", e)
	}
	if len(y.last) != historyLen {
		t.Errorf("%d chains", len(y.last))
	}
}

// TestRecentIsBounded: the oldest give way.
func TestRecentIsBounded(t *testing.T) {
	r := newRecent()
	for i := range uint64(recentLen + 10) {
		r.add(i, 1, 1000)
	}
	if r.has(9, 1, 1000) || !r.has(10, 1, 1000) || !r.has(recentLen+9, 1, 1000) || len(r.until) != recentLen {
		t.Errorf("%d entries", len(r.until))
	}
	r.add(5, 1, 1000+recentSpan)
	if r.n != 1 || len(r.until) != 1 {
		t.Errorf("%d entries an hour later", r.n)
	}
}
