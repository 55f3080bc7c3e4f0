package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sirupsen/logrus"
)

// latch holds the load up: it lets so many users in as it is told.
type latch struct {
	in   chan struct{}
	wide chan struct{}
	once sync.Once
}

func newLatch() *latch { return &latch{in: make(chan struct{}), wide: make(chan struct{})} }

func (g *latch) pace(stop <-chan struct{}) {
	select {
	case <-g.in:
	case <-g.wide:
	case <-stop:
	}
}

// let lets up to n users in, and reports how many wanted to.
func (g *latch) let(s *Sessions, n int) (came int) {
	for came < n {
		select {
		case g.in <- struct{}{}:
			came++
		case <-s.load.over:
			return came
		}
	}
	return came
}

func (g *latch) open() { g.once.Do(func() { close(g.wide) }) }

// openSlow opens a table whose load waits at a latch. Its end is a ConsistencyCheck and a Close.
func openSlow(t testing.TB, o Options) (*Sessions, *latch) {
	t.Helper()
	g, k := newLatch(), defaultKnobs()
	k.pace = g.pace
	s, err := openSessions(o, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.open(); finish(t, s) })
	return s, g
}

// filled gives a directory with sessions, each "jid node", and the nodes' incarnations are of a first attach.
func filled(t testing.TB, sessions ...string) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	nodes := map[string]link{}
	for _, x := range sessions {
		jid, domain, _ := strings.Cut(x, " ")
		if nodes[domain].s == nil {
			nodes[domain] = attach(t, s, domain)
		}
		if _, _, err := nodes[domain].say(t, jid, 5, Take); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, s)
	return dir
}

// holders gives the nodes that have a user's sessions, "" if none has.
func holders(s *Sessions, jid string) string {
	var names []string
	for _, m := range found(s, jid) {
		r, _ := s.Node(m.Node)
		names = append(names, r.Domain)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestBehindTheDoor asks for users before the load has any.
func TestBehindTheDoor(t *testing.T) {
	dir := filled(t, "a@im/x n1", "a@im/y n2", "b@im/x n1", "c@im/x n2")
	s, g := openSlow(t, Options{Dir: dir})
	id := func(domain string) NodeID { r, _ := s.NodeByDomain(domain); return r.ID }
	if !s.Loading() || s.Total() != 0 {
		t.Fatalf("%d sessions before the load", s.Total())
	}
	for jid, want := range map[string]string{"a@im": "n1 n2", "a@im/x": "n1", "a@im/z": "", "z@im": "", "b@im/x": "n1", "b@im": "n1"} {
		if got := holders(s, jid); got != want {
			t.Errorf("Find(%s) gives %q, want %q", jid, got, want)
		}
	}
	if s.Total() != 3 {
		t.Errorf("%d sessions in memory, want those of a and b", s.Total())
	}
	c := []byte("c@im")
	if s.Holds(s.Hash(c), c, id("n1")) || !s.Holds(s.Hash(c), c, id("n2")) {
		t.Error("Holds does not know who has c")
	}
	if w := s.Where([]byte("b@im")); len(w) != 1 || w[0].JID != "b@im/x" || w[0].Version == 0 {
		t.Errorf("Where(b) = %v", w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.WaitLoaded(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitLoaded = %v", err)
	}
	g.open()
	if err := s.WaitLoaded(context.Background()); err != nil || s.Loading() {
		t.Error(err, s.Loading())
	}
	if got := s.Loaded(); got.Nodes != 2 || got.Sessions != 4 || got.Dead != 0 || s.Total() != 4 {
		t.Errorf("loaded %+v, total %d", got, s.Total())
	}
	for i := range s.index.tabs {
		if s.index.tabs[i].Load().door != nil || s.load.door.gone[i] != nil {
			t.Fatalf("shard %d has a door still", i)
		}
	}
}

// TestMostResources: those on disk count before they are in memory.
func TestMostResources(t *testing.T) {
	var all []string
	for i := range MaxResources {
		all = append(all, fmt.Sprintf("a@im/%d n1", i))
	}
	s, _ := openSlow(t, Options{Dir: filled(t, all...)})
	l := attach(t, s, "n1")
	if _, _, err := l.say(t, "a@im/more", 0, Take); !errors.Is(err, ErrTooManyResources) {
		t.Error(err)
	}
	if n := len(found(s, "a@im")); n != MaxResources {
		t.Errorf("found %d", n)
	}
}

// TestVersionsRise: a session has a higher version than any before it, though the clock was set back and nothing is
// in memory; and though the disk does not say which was the highest.
func TestVersionsRise(t *testing.T) {
	for _, says := range []bool{true, false} {
		t.Run(fmt.Sprint("said ", says), func(t *testing.T) {
			dir := t.TempDir()
			clock := func(at int64) func() time.Time { return func() time.Time { return time.Unix(at, 0) } }
			s, _ := openSlow(t, Options{Dir: dir, Now: clock(2e9)})
			if _, _, err := attach(t, s, "n1").say(t, "a@im/x", 0, Take); err != nil {
				t.Fatal(err)
			}
			was := s.Where([]byte("a@im"))[0].Version
			finish(t, s)
			o := Options{Dir: dir, Now: clock(1e9)}
			var err error
			if says {
				s, _ = openSlow(t, o)
			} else {
				rewrite(t, dir, func(txn *badger.Txn) error { return txn.Delete([]byte(versionKey)) })
				if s, err = OpenSessions(o); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { finish(t, s) })
			}
			if s.Loading() != says {
				t.Errorf("loading %t", s.Loading())
			}
			if _, _, err := attach(t, s, "n1").say(t, "b@im/x", 0, Take); err != nil {
				t.Fatal(err)
			}
			if now := s.Where([]byte("b@im"))[0].Version; now <= was {
				t.Errorf("version %d after %d", now, was)
			}
		})
	}
}

// rewrite changes a closed database behind the table's back.
func rewrite(t testing.TB, dir string, f func(*badger.Txn) error) {
	t.Helper()
	db, err := openBadger(dir, &badgerLog{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBadRecord: a record that is no session is told once, in one line, by whoever comes to it; then nothing is
// acknowledged, and nothing is written.
func TestBadRecord(t *testing.T) {
	for _, c := range []struct {
		name     string
		onDemand bool
		key, val string
	}{
		{"found by the load", false, "s\x00b@im\x00x", "short"},
		{"found by a look-up", true, "s\x00b@im\x00x", "short"},
		{"a key without a resource", false, "s\x00b@im", strings.Repeat("x", storedLen)},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filled(t, "a@im/x n1", "c@im/x n1")
			rewrite(t, dir, func(txn *badger.Txn) error { return txn.Set([]byte(c.key), []byte(c.val)) })
			told := make(chan error, 9)
			g, k := newLatch(), defaultKnobs()
			k.pace = g.pace
			s, err := openSessions(Options{Dir: dir, OnFail: func(err error) { told <- err }}, k)
			if err != nil {
				t.Fatal(err)
			}
			if c.onDemand {
				_ = found(s, "b@im")
				_ = found(s, "b@im")
			} else {
				g.open()
			}
			err = <-told
			if said := err.Error(); !strings.Contains(said, "the database is damaged (a record has a wrong length)") ||
				strings.Contains(said, "\n") || strings.Count(said, dir) != 1 {
				t.Errorf("told %v", err)
			}
			r, _ := s.NodeByDomain("n1")
			b := s.Begin(r.ID, r.Inc, 1)
			_, _, _ = b.Announce([]byte("d@im"), []byte("x"), 0, Take)
			answer := make(chan error, 1)
			b.Commit(func(err error) { answer <- err })
			if <-answer == nil {
				t.Error("acknowledged")
			}
			g.open()
			if werr := s.WaitLoaded(context.Background()); werr == nil || werr.Error() != err.Error() {
				t.Errorf("WaitLoaded = %v", werr)
			}
			if err := s.Close(); err == nil || len(told) > 0 {
				t.Errorf("Close = %v, told %d times more", err, len(told))
			}
			rewrite(t, dir, func(txn *badger.Txn) error {
				if v, err := value(txn, c.key); err != nil || string(v) != c.val {
					t.Errorf("the bad record is %q now, %v", v, err)
				}
				if v, _ := value(txn, "s\x00d@im\x00x"); v != nil {
					t.Error("written after the failure")
				}
				return nil
			})
		})
	}
}

// TestOrphans: sessions without a node's record are removed, but not what is announced in their place, nor does a
// new node with the number get them.
func TestOrphans(t *testing.T) {
	dir := filled(t, "a@im/x n1")
	rewrite(t, dir, func(txn *badger.Txn) error {
		for _, jid := range []string{"a@im/y", "b@im/x", "c@im/x"} {
			bare, res := split(jid)
			if err := txn.Set(appendSessionKey(nil, bare, res), appendSession(nil, stored{2, 1 << 62, 7, 7, 7})); err != nil {
				return err
			}
		}
		return nil
	})
	s, g := openSlow(t, Options{Dir: dir})
	l := attach(t, s, "n2")
	if l.node != 2 {
		t.Fatalf("node %d", l.node)
	}
	if c, _, _ := l.say(t, "c@im/x", 1, Take); c != Created || holders(s, "a@im") != "n1" || holders(s, "b@im") != "" {
		t.Errorf("%d, %q, %q", c, holders(s, "a@im"), holders(s, "b@im"))
	}
	g.open()
	s.Loaded()
	if err := s.commits.flush(); err != nil {
		t.Fatal(err)
	}
	if got := onDisk(t, s); !slices.Equal(got, []string{"s\x00a@im\x00x", "s\x00c@im\x00x"}) {
		t.Errorf("on disk: %q", got)
	}
}

// TestForgottenComesBack: a node whose record has left the disk attaches before the next open.
func TestForgottenComesBack(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1.7e9, 0)
	o := Options{Dir: dir, Now: func() time.Time { return now }}
	s, g := openSlow(t, o)
	gone := attach(t, s, "n1")
	s.ExpireNode(gone.node, gone.inc)
	g.open()
	finish(t, s)
	now = now.Add(forget)
	s, g = openSlow(t, o)
	g.open()
	s.Loaded()
	if err := s.ConsistencyCheck(); err != nil || !s.nodes.forgotten(gone.node) {
		t.Errorf("not forgotten, %v", err)
	}
	l := attach(t, s, "n1")
	if _, _, err := l.say(t, "a@im/x", 0, Take); err != nil || l.node != gone.node {
		t.Error(err, l.node)
	}
	finish(t, s)
	s = open(t, dir)
	if holders(s, "a@im") != "n1" {
		t.Error("the session has no node")
	}
}

// TestLoadIsTold: one line says what came into memory; an empty table says nothing.
func TestLoadIsTold(t *testing.T) {
	for dir, lines := range map[string]int{t.TempDir(): 0, filled(t, "a@im/x n1"): 1} {
		var out strings.Builder
		log := logrus.New()
		log.SetOutput(&out)
		s, err := OpenSessions(Options{Dir: dir, Log: logrus.NewEntry(log)})
		if err != nil {
			t.Fatal(err)
		}
		finish(t, s)
		if got := out.String(); strings.Count(got, "\n") != lines || lines > 0 && !strings.Contains(got, "sessions=1") {
			t.Errorf("got %q", got)
		}
	}
}
