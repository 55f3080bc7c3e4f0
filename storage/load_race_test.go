package storage

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"testing"
)

// TestWhole reads users with three sessions each while they come into memory, by all ways at once, in one shard that
// has tombstones: each is found with all or, for a node that is gone, none.
func TestWhole(t *testing.T) {
	dir, k := t.TempDir(), knobs{compact: 1, seed: maphash.MakeSeed(), space: space}
	k.pace = func(<-chan struct{}) {}
	var users []string
	for u := 0; len(users) < 300; u++ {
		if bare := fmt.Sprintf("u%d@im", u); maphash.String(k.seed, bare)>>(64-shardBits) == 7 {
			users = append(users, bare)
		}
	}
	s, err := openSessions(Options{Dir: dir}, k)
	if err != nil {
		t.Fatal(err)
	}
	l := attach(t, s, "n1")
	b := s.Begin(l.node, l.inc, l.mark)
	for _, u := range users[:200] {
		for _, res := range []string{"x", "y", "z"} {
			_, _, _ = b.Announce([]byte(u), []byte(res), 0, Take)
		}
	}
	b.sync(t)
	finish(t, s)
	for range 20 {
		if s, err = openSessions(Options{Dir: dir}, k); err != nil {
			t.Fatal(err)
		}
		l = attach(t, s, "n1")
		var all sync.WaitGroup
		for g := range 2 {
			all.Go(func() {
				for i := range users[:200] {
					if n := len(found(s, users[(i*7+g)%200])); n != 3 {
						t.Errorf("%s: found %d of 3", users[i], n)
					}
				}
			})
		}
		all.Go(func() { // leaves tombstones
			b := s.Begin(l.node, l.inc, l.mark)
			for _, u := range users[200:] {
				_, _, _ = b.Announce([]byte(u), []byte("x"), 0, Take)
				b.Withdraw([]byte(u), []byte("x"))
			}
			b.Commit(nil)
		})
		all.Wait()
		finish(t, s)
	}
}

// TestAtOnce puts a user with many sessions into an index while others look: they see all or none.
func TestAtOnce(t *testing.T) {
	s := open(t, Memory)
	l := attach(t, s, "n1")
	const sessions = 200
	bind := s.nodes.use(l.node, l.inc)
	var stop atomic.Bool
	var now atomic.Pointer[string]
	var leave sync.RWMutex // sessions leave one by one: nobody looks then
	var readers sync.WaitGroup
	readers.Go(func() {
		dst := make([]Match, 0, sessions)
		for !stop.Load() {
			leave.RLock()
			if p := now.Load(); p != nil {
				bare := []byte(*p)
				if n := len(s.Find(s.Hash(bare), bare, nil, dst)); n != 0 && n != sessions {
					t.Errorf("%s: %d sessions of %d", bare, n, sessions)
					stop.Store(true)
				}
			}
			leave.RUnlock()
		}
	})
	for i := range 3000 {
		if stop.Load() {
			break
		}
		bare := fmt.Sprintf("user%d@im", i%5)
		u := &user{h: s.Hash([]byte(bare)), bare: []byte(bare)}
		for j := range sessions {
			lo := len(u.slab)
			u.slab = fmt.Append(u.slab, j)
			u.had = append(u.had, stay{stored: stored{node: l.node, inc: l.inc}, lo: lo, hi: len(u.slab), bind: bind})
		}
		now.Store(&bare)
		w := s.index.lock(key{h: u.h}.shard())
		w.admit(u)
		w.unlock()
		leave.Lock()
		now.Store(nil)
		w = s.index.lock(key{h: u.h}.shard())
		for _, x := range u.had { // leaves tombstones
			w.remove(w.locate(key{u.h, u.bare, u.slab[x.lo:x.hi]}))
		}
		w.tidy()
		w.unlock()
		leave.Unlock()
	}
	stop.Store(true)
	readers.Wait()
	bind.users.Add(-1)
}

// TestChurnWhileLoading: links change all users while they come into memory, and readers look for one who does not
// change. The race detector watches.
func TestChurnWhileLoading(t *testing.T) {
	dir, k := t.TempDir(), knobs{compact: 1, seed: maphash.MakeSeed(), space: space}
	for round := range 3 {
		s, err := openSessions(Options{Dir: dir}, k)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := s.NodeByDomain("fixed")
		if !ok {
			fixed := attach(t, s, "fixed")
			b := s.Begin(fixed.node, fixed.inc, fixed.mark)
			for i := range 500 {
				_, _, _ = b.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("fixed"), 7, Take)
			}
			b.sync(t)
			r, _ = s.Node(fixed.node)
		}
		var stop atomic.Bool
		var readers, writers sync.WaitGroup
		readers.Go(func() { readAll(t, s, r.ID, &stop, uint64(round)) })
		for g := range 3 {
			writers.Go(func() { churn(t, s, g) })
		}
		writers.Wait()
		stop.Store(true)
		readers.Wait()
		finish(t, s)
	}
}

// TestComesLate brings a user in who was read from the disk before something happened.
func TestComesLate(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(t *testing.T, s *Sessions, g *latch, l link)
		in   bool   // it enters at once
		want string // who has a@im then
	}{
		{"nothing happened", func(*testing.T, *Sessions, *latch, link) {}, true, "n1"},
		{"its node did not confirm it", func(t *testing.T, s *Sessions, _ *latch, l link) { l.endSync(t, s) }, false, ""},
		{"its node ended", func(_ *testing.T, s *Sessions, _ *latch, l link) { s.ExpireNode(l.node, l.inc) }, true, ""},
		{"another was first, and it was withdrawn", func(t *testing.T, _ *Sessions, _ *latch, l link) { l.drop(t, "a@im/x", true) }, true, ""},
		{"it was withdrawn, and all is in memory", func(t *testing.T, s *Sessions, g *latch, l link) {
			l.drop(t, "a@im/x", true)
			g.open()
			s.Loaded()
		}, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, g := openSlow(t, Options{Dir: filled(t, "a@im/x n1", "b@im/x n1")})
			l := attach(t, s, "n1")
			d, u := s.load.door, &user{}
			txn := d.borrow()
			err := d.readUser(txn, []byte("a@im"), u)
			d.giveBack(txn)
			if err != nil || len(u.had) != 1 || !d.bind(u) {
				t.Fatal(err, u)
			}
			c.then(t, s, g, l)
			if in := d.enter(u); in != c.in {
				t.Errorf("enters: %t", in)
			}
			d.admit(u)
			if got := holders(s, "a@im"); got != c.want {
				t.Errorf("a is at %q, want %q", got, c.want)
			}
		})
	}
}
