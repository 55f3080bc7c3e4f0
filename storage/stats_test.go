package storage

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestSessionStats holds the counts against statements that are known, and against the table.
func TestSessionStats(t *testing.T) {
	s := open(t, t.TempDir())
	one, two := attach(t, s, "node1.im.example"), attach(t, s, "node2.im.example")
	say := func(l link, p Policy, jids ...string) *Batch {
		b := s.Begin(l.node, l.inc, l.mark)
		for _, jid := range jids {
			bare, res := split(jid)
			if _, _, err := b.Announce(bare, res, 0, p); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	say(one, Take, "a@im.example/1", "b@im.example/1", "c@im.example/1", "d@im.example/1").sync(t)
	say(one, Take, "a@im.example/1").sync(t)  // confirmed
	say(two, Take, "b@im.example/1").sync(t)  // taken, which replaces
	say(two, Never, "c@im.example/1").sync(t) // held
	b := say(one, Take)                       // updated
	if _, _, err := b.Announce([]byte("a@im.example"), []byte("1"), 5, Take); err != nil {
		t.Fatal(err)
	}
	if !b.Withdraw([]byte("a@im.example"), []byte("1")) {
		t.Fatal("not withdrawn")
	}
	if st := s.Stats(); st.Announces[Updated] != 0 {
		t.Error("a batch that is not committed is counted")
	}
	b.sync(t)
	b = s.Begin(one.node, one.inc, s.NextMark())
	if n := b.WithdrawBelow(b.mark, Unconfirmed); n != 2 {
		t.Fatalf("%d unconfirmed", n)
	}
	b.sync(t)
	if n := s.ExpireNode(two.node, two.inc); n != 1 {
		t.Fatalf("%d ended with their node", n)
	}
	s.sweeper.wait()
	st := s.Stats()
	for c, want := range map[Change]uint64{Created: 4, Confirmed: 1, Updated: 1, Taken: 1, Held: 1} {
		if st.Announces[c] != want {
			t.Errorf("%s: %d, want %d", c, st.Announces[c], want)
		}
	}
	for w, want := range map[Why]uint64{Withdrawn: 1, Replaced: 1, Unconfirmed: 2, NodeLeft: 1} {
		if st.Ended[w] != want {
			t.Errorf("%s: %d, want %d", w, st.Ended[w], want)
		}
	}
	if s.Total() != 0 {
		t.Errorf("%d sessions are left", s.Total())
	}
	if got, want := int(st.Announces[Created]+st.Announces[Taken]), int(st.Ended[Withdrawn]+st.Ended[Replaced]+st.Ended[Unconfirmed]+st.Ended[NodeLeft]); got != want {
		t.Errorf("%d began and %d ended", got, want)
	}
	finish(t, s)
}

// TestCommitStats counts the commits of both databases.
func TestCommitStats(t *testing.T) {
	s := open(t, t.TempDir())
	l := attach(t, s, "node1.im.example")
	if err := s.commits.flush(); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Database.Commits
	const each, times = 10, 20
	for i := range times {
		b := s.Begin(l.node, l.inc, l.mark)
		for j := range each {
			if _, _, err := b.Announce(fmt.Appendf(nil, "user%d@im.example", i*each+j), []byte("x"), 0, Take); err != nil {
				t.Fatal(err)
			}
		}
		b.sync(t)
	}
	if err := s.commits.flush(); err != nil { // has nothing to write, and is no commit
		t.Fatal(err)
	}
	after := s.Stats().Database.Commits
	if got := after.Commits() - before.Commits(); got != times {
		t.Errorf("%d commits are counted, want %d", got, times)
	}
	if got := after.Writes - before.Writes; got != each*times {
		t.Errorf("%d writes are counted, want %d", got, each*times)
	}
	if after.Sum <= before.Sum {
		t.Errorf("%d commits took no time", times)
	}
	finish(t, s)

	f := opened(t, OfflineOptions{Dir: t.TempDir()})
	number, err := f.Put([]byte("a@im.example"), 1, []byte("<message/>"), Keep{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	f.Delete([]byte("a@im.example"), []uint64{number})
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	c := f.Database().Commits
	if c.Commits() != 2 || c.Writes < 2 || c.Sum <= 0 {
		t.Errorf("the offline store counts %d commits of %d writes in %s, want 2 of 2 or more", c.Commits(), c.Writes, c.Sum)
	}
}

// TestCommitBuckets puts durations where they belong.
func TestCommitBuckets(t *testing.T) {
	if !slices.IsSorted(latencyBounds[:]) {
		t.Fatal("the bounds do not rise")
	}
	for _, c := range []struct {
		took   time.Duration
		bucket int
	}{
		{0, 0}, {400 * time.Microsecond, 0}, {700 * time.Microsecond, 1}, {15 * time.Millisecond, 5},
		{3 * time.Second, 12}, {time.Minute, len(latencyBounds)},
	} {
		var tally commitTally
		tally.add(3, time.Now().Add(-c.took))
		st := tally.stats()
		if st.Counts[c.bucket] != 1 || st.Commits() != 1 || st.Sum < c.took || st.Writes != 3 {
			t.Errorf("%s: %v, sum %s, %d writes", c.took, st.Counts, st.Sum, st.Writes)
		}
		if len(st.Counts) != len(st.Bounds)+1 {
			t.Errorf("%d buckets for %d bounds", len(st.Counts), len(st.Bounds))
		}
	}
}

// TestDiskStats: the disk is told where there is one.
func TestDiskStats(t *testing.T) {
	for _, dir := range []string{Memory, t.TempDir()} {
		s, err := OpenSessions(Options{Dir: dir, Server: "hub1"})
		if err != nil {
			t.Fatal(err)
		}
		d, ok := s.Disk()
		if ok != (dir != Memory) {
			t.Errorf("%s: %v", dir, ok)
		}
		if ok && (d.Free == 0 || d.Size < d.Free || d.Reserve != reserve || d.Path != dir) {
			t.Errorf("%s: %+v", dir, d)
		}
		finish(t, s)
	}
}

// TestStatsBesideClose: whoever looks while a database closes, or after it, gets numbers and no fault.
func TestStatsBesideClose(t *testing.T) {
	sdir, fdir := t.TempDir(), t.TempDir()
	s, f := open(t, sdir), opened(t, OfflineOptions{Dir: fdir})
	l := attach(t, s, "node1.im.example")
	for i := range 200 {
		b := s.Begin(l.node, l.inc, l.mark)
		if _, _, err := b.Announce(fmt.Appendf(nil, "user%d@im.example", i), []byte("x"), 0, Take); err != nil {
			t.Fatal(err)
		}
		b.sync(t)
		if _, err := f.Put([]byte("a@im.example"), 1, []byte("<message/>"), Keep{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err := OpenSessions(Options{Dir: sdir, Server: "hub1"}); err != nil || s.Stats().Database.Tables == 0 {
		t.Errorf("after a restart there are no tables: %v", err)
	} else {
		lookWhile(t, func() int64 { return s.Stats().Database.Tables }, s.Close)
	}
	if f, err := OpenOffline(OfflineOptions{Dir: fdir}); err != nil || f.Database().Tables == 0 {
		t.Errorf("after a restart there are no tables: %v", err)
	} else {
		lookWhile(t, func() int64 { return f.Database().Tables }, f.Close)
	}
}

// lookWhile looks again and again while f runs, and once more after it, when there is nothing left to see.
func lookWhile(t *testing.T, look func() int64, f func() error) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				look()
			}
		}
	}()
	if err := f(); err != nil {
		t.Error(err)
	}
	close(stop)
	<-stopped
	if n := look(); n != 0 {
		t.Errorf("%d bytes of tables after the end", n)
	}
}
