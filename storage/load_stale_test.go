package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// lateLoads is what may be said of a session, a@im/x, before the load comes to it.
var lateLoads = []struct {
	name string
	do   func(t *testing.T, s *Sessions, n1, n2 link)
	want string // who has a@im/x
	rest string // who has a@im/y, which n1 had
}{
	{"nothing", func(*testing.T, *Sessions, link, link) {}, "n1", "n1"},
	{"confirmed", func(t *testing.T, _ *Sessions, n1, _ link) {
		if c, _, _ := n1.say(t, "a@im/x", 5, Sync); c != Confirmed {
			t.Error(c)
		}
	}, "n1", "n1"},
	{"withdrawn", func(t *testing.T, _ *Sessions, n1, _ link) { n1.drop(t, "a@im/x", true) }, "", "n1"},
	{"both withdrawn", func(t *testing.T, _ *Sessions, n1, _ link) {
		n1.drop(t, "a@im/x", true)
		n1.drop(t, "a@im/y", true)
		n1.drop(t, "a@im/x", false)
	}, "", ""},
	{"withdrawn by another", func(t *testing.T, _ *Sessions, _, n2 link) { n2.drop(t, "a@im/x", false) }, "n1", "n1"},
	{"taken", func(t *testing.T, _ *Sessions, n1, n2 link) {
		if c, prev, _ := n2.say(t, "a@im/x", 0, Take); c != Taken || prev != n1.node {
			t.Error(c, prev)
		}
	}, "n2", "n1"},
	{"taken and withdrawn", func(t *testing.T, _ *Sessions, _, n2 link) {
		_, _, _ = n2.say(t, "a@im/x", 0, Take)
		n2.drop(t, "a@im/x", true)
	}, "", "n1"},
	{"withdrawn and announced again", func(t *testing.T, _ *Sessions, n1, n2 link) {
		n1.drop(t, "a@im/x", true)
		if c, _, _ := n2.say(t, "a@im/x", 0, Never); c != Created {
			t.Error(c)
		}
	}, "n2", "n1"},
	{"kept from another", func(t *testing.T, _ *Sessions, n1, n2 link) {
		if c, prev, _ := n2.say(t, "a@im/x", 0, Never); c != Held || prev != n1.node {
			t.Error(c, prev)
		}
	}, "n1", "n1"},
	{"not confirmed", func(t *testing.T, s *Sessions, n1, _ link) { n1.endSync(t, s, "a@im/y") }, "", "n1"},
	{"none confirmed", func(t *testing.T, s *Sessions, n1, _ link) { n1.endSync(t, s) }, "", ""},
	{"not confirmed, in memory", func(t *testing.T, s *Sessions, n1, _ link) {
		_ = found(s, "a@im")
		n1.endSync(t, s, "a@im/y")
	}, "", "n1"},
	{"not confirmed, announced again", func(t *testing.T, s *Sessions, n1, n2 link) {
		n1.endSync(t, s)
		if c, prev, _ := n2.say(t, "a@im/x", 0, Never); c != Created || prev != 0 {
			t.Error(c, prev)
		}
	}, "n2", ""},
	{"node gone", func(_ *testing.T, s *Sessions, n1, _ link) { s.ExpireNode(n1.node, n1.inc) }, "", ""},
	{"node gone, in memory", func(_ *testing.T, s *Sessions, n1, _ link) {
		_ = found(s, "a@im")
		s.ExpireNode(n1.node, n1.inc)
		s.sweeper.wait()
	}, "", ""},
	{"node gone, announced again", func(t *testing.T, s *Sessions, n1, n2 link) {
		s.ExpireNode(n1.node, n1.inc)
		_, _, _ = n2.say(t, "a@im/y", 0, Never)
	}, "", "n2"},
}

// TestNotResurrected changes a session before the load comes to it. What is said then holds, in memory, and on disk.
func TestNotResurrected(t *testing.T) {
	for _, c := range lateLoads {
		t.Run(c.name, func(t *testing.T) {
			dir := filled(t, "a@im/x n1", "b@im/x n2", "a@im/y n1", "z@im/x n2")
			s, g := openSlow(t, Options{Dir: dir})
			c.do(t, s, attach(t, s, "n1"), attach(t, s, "n2"))
			look := func(when string) {
				t.Helper()
				for jid, want := range map[string]string{"a@im/x": c.want, "a@im/y": c.rest, "b@im/x": "n2", "z@im": "n2"} {
					if got := holders(s, jid); got != want {
						t.Errorf("%s: %s is at %q, want %q", when, jid, got, want)
					}
				}
			}
			look("during the load")
			g.open()
			s.Loaded()
			look("after it")
			finish(t, s)
			s = open(t, dir)
			look("after the next open")
		})
	}
}

// drop withdraws a session and waits for the disk.
func (l link) drop(t *testing.T, jid string, want bool) {
	t.Helper()
	b := l.s.Begin(l.node, l.inc, l.mark)
	if got := b.Withdraw(split(jid)); got != want {
		t.Errorf("Withdraw(%s) = %t", jid, got)
	}
	b.sync(t)
}

// endSync is a sync that states some sessions. It does not wait for the disk.
func (l link) endSync(t *testing.T, s *Sessions, jids ...string) {
	t.Helper()
	m := s.NextMark()
	b := s.Begin(l.node, l.inc, m)
	for _, jid := range jids {
		bare, res := split(jid)
		if _, _, err := b.Announce(bare, res, 5, Sync); err != nil {
			t.Error(err)
		}
	}
	b.WithdrawBelow(m, Unconfirmed)
	b.Commit(nil)
}

// TestCut: what a node does not confirm ends once, though most of it is not in memory; the answer comes when all of
// it is off the disk.
func TestCut(t *testing.T) {
	var all []string
	for i := range 100 {
		all = append(all, fmt.Sprintf("u%d@im/x n1", i))
	}
	dir := filled(t, append(all, "u7@im/y n2")...)
	var told sync.Map
	s, g := openSlow(t, Options{Dir: dir, Changed: func(bare []byte) {
		n, _ := told.LoadOrStore(string(bare), new(atomic.Int32))
		n.(*atomic.Int32).Add(1)
	}})
	l := attach(t, s, "n1")
	if !s.HasSessions(l.node) || s.Count(l.node) != 0 {
		t.Error("the node has sessions, none of them in memory")
	}
	m := s.NextMark()
	b := s.Begin(l.node, l.inc, m)
	for i := range 10 {
		if c, _, err := b.Announce(fmt.Appendf(nil, "u%d@im", i), []byte("x"), 5, Sync); c != Confirmed || err != nil {
			t.Fatal(c, err)
		}
	}
	for i := range 5 { // in memory, not confirmed
		if holders(s, fmt.Sprintf("u%d@im", 20+i)) != "n1" {
			t.Fatal("lost")
		}
	}
	g.let(s, 7)
	ended := b.WithdrawBelow(m, Unconfirmed)
	if ended < 5 || ended > 12 {
		t.Errorf("%d of those in memory ended", ended)
	}
	answer := make(chan error, 1)
	b.Commit(func(err error) { answer <- err })
	if s.Count(l.node) != 10 || s.HasSessions(l.node) != true || holders(s, "u50@im") != "" || holders(s, "u7@im") != "n1 n2" {
		t.Errorf("%d left, u50 at %q", s.Count(l.node), holders(s, "u50@im"))
	}
	if err := s.commits.flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-answer:
		t.Errorf("answered %v before all was off the disk", err)
	default:
	}
	g.open()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if n := len(onDisk(t, s)); n != 11 {
		t.Errorf("%d sessions on disk after the answer, want 11", n)
	}
	if got := s.Loaded(); got.Sessions != 101 || s.Count(l.node) != 10 {
		t.Errorf("loaded %+v, %d left", got, s.Count(l.node))
	}
	endedOnce(t, s, l, &told)
}

// endedOnce sees that users 10 to 99 have left a node once, for all who ask or are told, and no other.
func endedOnce(t *testing.T, s *Sessions, l link, told *sync.Map) {
	t.Helper()
	for i := range 100 {
		bare := fmt.Appendf(nil, "u%d@im", i)
		e := s.Ended(bare)
		n, ok := told.Load(string(bare))
		if i < 10 {
			if len(e) != 0 || ok {
				t.Errorf("%s: was confirmed, ended %v", bare, e)
			}
		} else if len(e) != 1 || e[0].Why != Unconfirmed || e[0].Node != l.node || !ok || n.(*atomic.Int32).Load() != 1 {
			t.Errorf("%s: ended %v", bare, e)
		}
		if h := s.Hash(bare); !s.Holds(h, bare, l.node) {
			t.Errorf("%s: the node may not speak for who left just now", bare)
		}
	}
}

// onDisk gives the keys of the sessions on disk.
func onDisk(t testing.TB, s *Sessions) (keys []string) {
	t.Helper()
	err := s.db.View(func(txn *badger.Txn) error {
		it := newSessionIterator(txn, []byte(sessionPrefix))
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			keys = append(keys, string(it.Item().KeyCopy(nil)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestLateAnswers: more answers than may wait hold their callers up, and all come.
func TestLateAnswers(t *testing.T) {
	dir := filled(t, "a@im/x n1")
	s, g := openSlow(t, Options{Dir: dir})
	l := attach(t, s, "n1")
	var answers atomic.Int32
	say := func() {
		b := s.Begin(l.node, l.inc, l.mark)
		b.WithdrawBelow(l.mark, Unconfirmed)
		b.Commit(func(err error) {
			if err == nil {
				answers.Add(1)
			}
		})
	}
	for range lateMost {
		say()
	}
	if s.load.leave(func(error) {}) {
		t.Error("there is no bound")
	}
	held := make(chan struct{})
	go func() { defer close(held); say() }()
	if n := answers.Load(); n != 0 {
		t.Errorf("%d answers before the end of the load", n)
	}
	g.open()
	<-held
	<-s.load.ended
	say()
	if err := s.commits.flush(); err != nil || answers.Load() != lateMost+2 {
		t.Errorf("%d answers, %v", answers.Load(), err)
	}
}

// TestCloseWhileLoading: a stop does not wait for the load, and what was answered is on disk.
func TestCloseWhileLoading(t *testing.T) {
	dir := filled(t, "a@im/x n1", "b@im/x n1", "c@im/x n1")
	s, _ := openSlow(t, Options{Dir: dir})
	l := attach(t, s, "n1")
	if _, _, err := l.say(t, "d@im/x", 5, Take); err != nil {
		t.Fatal(err)
	}
	l.drop(t, "a@im/x", true)
	b := s.Begin(l.node, l.inc, l.mark)
	b.WithdrawBelow(s.NextMark(), Unconfirmed)
	answer := make(chan error, 1)
	b.Commit(func(err error) { answer <- err })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-answer; !errors.Is(err, ErrClosed) {
		t.Errorf("answered %v: the disk has what was withdrawn", err)
	}
	if err := s.WaitLoaded(context.Background()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	// d was in memory, and so withdrawn; b and c were not yet, and their node was not told that they ended.
	s = open(t, dir)
	for jid, want := range map[string]string{"a@im": "", "b@im": "n1", "c@im": "n1", "d@im": ""} {
		if got := holders(s, jid); got != want {
			t.Errorf("%s is at %q, want %q", jid, got, want)
		}
	}
}

// TestGoneComesBack: a node whose grace ended during the load attaches again. Its old sessions stay dead.
func TestGoneComesBack(t *testing.T) {
	dir := filled(t, "a@im/x n1", "b@im/x n1")
	s, g := openSlow(t, Options{Dir: dir})
	r, _ := s.NodeByDomain("n1")
	if !s.HasSessions(r.ID) || s.HasSessions(r.ID+1) {
		t.Error("who has sessions?")
	}
	s.ExpireNode(r.ID, r.Inc)
	if s.HasSessions(r.ID) {
		t.Error("a node that is gone has none")
	}
	l := attach(t, s, "n1")
	if c, _, _ := l.say(t, "b@im/x", 5, Sync); c != Created || holders(s, "a@im") != "" || !s.HasSessions(l.node) {
		t.Errorf("%d, a at %q", c, holders(s, "a@im"))
	}
	g.open()
	if s.Loaded(); holders(s, "a@im") != "" || holders(s, "b@im") != "n1" {
		t.Error("came back")
	}
	s.sweeper.wait()
	if e := s.Ended([]byte("a@im")); len(e) != 1 || e[0].Why != NodeLeft {
		t.Errorf("Ended = %v", e)
	}
}
