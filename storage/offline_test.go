package storage

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// opened opens an offline store for a test; its end is a ConsistencyCheck and a Close.
func opened(t testing.TB, o OfflineOptions) *Offline {
	t.Helper()
	f, err := OpenOffline(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finished(t, f) })
	return f
}

// finished checks and closes a store, unless the test has closed it.
func finished(t testing.TB, f *Offline) {
	t.Helper()
	if f.gate.enter() != nil {
		return
	}
	f.gate.leave()
	if err := f.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// keep stores a message that must be taken.
func keep(t testing.TB, f *Offline, bare string, raw []byte) uint64 {
	t.Helper()
	n, err := f.Put([]byte(bare), 7, raw, Keep{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// mail reads all messages of a user, a few at once.
func mail(t testing.TB, f *Offline, bare string) (got []Stored) {
	t.Helper()
	for after := uint64(0); ; after = got[len(got)-1].Number {
		some, err := f.Read([]byte(bare), after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return got
		}
		got = append(got, some...)
	}
}

// TestOfflineBig: stanzas of one part to many, before the commit, after it, and after a stop.
func TestOfflineBig(t *testing.T) {
	sizes := []int{0, 1, partMost, partMost + 1, 300 << 10, 5 << 20, 16 << 20}
	want := make([][]byte, len(sizes))
	for i, n := range sizes {
		want[i] = bytes.Repeat(fmt.Appendf(nil, "%d bytes ", n), n/8+1)[:n]
	}
	const user = "alice@im.example"
	for _, dir := range []string{t.TempDir(), Memory} {
		o := OfflineOptions{Dir: dir}
		f := opened(t, o)
		check := func(when string) {
			t.Helper()
			got := mail(t, f, user)
			if len(got) != len(want) {
				t.Fatalf("%s: %d messages", when, len(got))
			}
			for i := range got {
				if !bytes.Equal(got[i].Raw, want[i]) || got[i].Origin != 7 {
					t.Errorf("%s: message of %d bytes differs, has %d", when, sizes[i], len(got[i].Raw))
				}
			}
		}
		for _, raw := range want {
			keep(t, f, user, raw)
		}
		check("while it is committed")
		if err := f.commits.flush(); err != nil {
			t.Fatal(err)
		}
		check("from disk")
		if dir != Memory {
			finished(t, f)
			f = opened(t, o)
			check("after a stop")
		}
		for _, m := range mail(t, f, user) {
			f.Delete([]byte(user), []uint64{m.Number})
		}
		if st := f.Stats(); st.Users+st.Messages != 0 || st.Bytes != 0 || f.Has([]byte(user)) {
			t.Errorf("left: %+v", st)
		}
	}
}

// TestOfflineReadBytes: a Read gives about 4 MiB, but always one message.
func TestOfflineReadBytes(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory})
	for range 6 {
		keep(t, f, "alice", make([]byte, 1<<20))
	}
	keep(t, f, "alice", make([]byte, 6<<20))
	for range 2 {
		after, got := uint64(0), []int{}
		for {
			some, err := f.Read([]byte("alice"), after, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(some) == 0 {
				break
			}
			got, after = append(got, len(some)), some[len(some)-1].Number
		}
		if fmt.Sprint(got) != "[4 2 1]" {
			t.Errorf("got %v messages", got)
		}
		if err := f.commits.flush(); err != nil { // and from disk
			t.Fatal(err)
		}
	}
}

// TestOfflineNumbers: a number is the time of the acceptance, and rises when the clock does not.
func TestOfflineNumbers(t *testing.T) {
	now := time.UnixMicro(1.7e15)
	f := opened(t, OfflineOptions{Dir: Memory, Now: func() time.Time { return now }})
	first := keep(t, f, "alice", nil)
	if first != 1.7e15 || !(Stored{Number: first}).Accepted().Equal(now) {
		t.Errorf("number %d", first)
	}
	now = now.Add(-time.Hour)
	if n := keep(t, f, "alice", nil); n != first+1 {
		t.Errorf("number %d after the clock went back", n)
	}
	f.Delete([]byte("alice"), []uint64{first, first + 1})
	if err := f.commits.flush(); err != nil { // the mailbox is gone
		t.Fatal(err)
	}
	if n := keep(t, f, "alice", nil); n != first+2 {
		t.Errorf("number %d was used before: who deletes the first message late would delete this one", n)
	}
	now = now.Add(2 * time.Hour)
	if n := keep(t, f, "alice", nil); n != uint64(now.UnixMicro()) {
		t.Errorf("number %d after the clock went on", n)
	}
}

func TestOfflineRefuses(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory, Total: 100})
	long := bytes.Repeat([]byte{'x'}, maxBare+1)
	for _, c := range []struct {
		name, bare string
		size       int
		k          Keep
		want       error
	}{
		{"no user", "", 1, Keep{}, ErrBadUser},
		{"user too long", string(long), 1, Keep{}, ErrBadUser},
		{"longest user", string(long[:maxBare]), 1, Keep{}, nil},
		{"zero byte", "a\x00b", 1, Keep{}, ErrBadUser},
		{"bytes of the user, beyond", "alice", 51, Keep{Bytes: 50}, ErrMailboxFull},
		{"bytes of the user, exact", "alice", 50, Keep{Bytes: 50}, nil},
		{"not even one byte more", "alice", 1, Keep{Bytes: 50}, ErrMailboxFull},
		{"nothing is no byte", "alice", 0, Keep{Bytes: 50, Messages: 2}, nil},
		{"messages of the user", "alice", 0, Keep{Messages: 2}, ErrMailboxFull},
		{"bytes of all, beyond", "bob", 50, Keep{}, ErrStoreFull},
		{"bytes of all, exact", "bob", 49, Keep{Messages: 1, Bytes: 49}, nil},
		{"bytes of all, one more", "carol", 1, Keep{}, ErrStoreFull},
	} {
		if err := f.Fits([]byte(c.bare), c.size, c.k); !errors.Is(err, c.want) {
			t.Errorf("%s: Fits gives %v, want %v", c.name, err, c.want)
		}
		if _, err := f.Put([]byte(c.bare), 1, make([]byte, c.size), c.k); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	if n, size := f.gate.waiting(); n != 0 || size != 0 {
		t.Errorf("%d changes of %d bytes are counted as waiting", n, size)
	}
}

// TestOfflineQuotasRace: many senders at once fill the store, and each mailbox, to the byte.
func TestOfflineQuotasRace(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory, Total: 5000})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 1000 {
				user := fmt.Appendf(nil, "user%d", (g+i)%4)
				_, err := f.Put(user, 1, make([]byte, 10), Keep{Bytes: 1300})
				if err != nil && err != ErrMailboxFull && err != ErrStoreFull {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if st := f.Stats(); st.Bytes != 5000 || st.Messages != 500 || st.Users != 4 {
		t.Errorf("got %+v", st)
	}
}

// TestOfflineNoSpace: what would touch the reserve of the disk is refused, and nothing fails for it.
func TestOfflineNoSpace(t *testing.T) {
	const size = 100 << 30
	free := uint64(0)
	f, err := openOffline(OfflineOptions{Dir: t.TempDir(), OnFail: func(err error) { t.Error(err) }},
		func(string) (uint64, uint64, bool) { return free, size, true })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finished(t, f) })
	for _, c := range []struct {
		above int64
		want  error
	}{{-1, ErrNoSpace}, {0, ErrNoSpace}, {1 << 20, nil}, {-1, ErrNoSpace}} {
		free = uint64(size/20 + f.headroom() + c.above)
		if err := f.Fits([]byte("alice"), 1000, Keep{}); !errors.Is(err, c.want) {
			t.Errorf("%d above the reserve: Fits gives %v", c.above, err)
		}
		if _, err := f.Put([]byte("alice"), 1, make([]byte, 1000), Keep{}); !errors.Is(err, c.want) {
			t.Errorf("%d above the reserve: got %v", c.above, err)
		}
		if err := f.commits.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if got := mail(t, f, "alice"); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}

// TestOfflineWaits: senders wait while 4096 changes, or 32 MiB, are not committed; they go on when some are, or when
// the store is closed, or has failed.
func TestOfflineWaits(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name       string
		size, lets int
		end        func(*gate)
		want       error
	}{
		{"changes", 1, gateChanges, func(g *gate) { g.give(1, 1) }, nil},
		{"a full disk", 1, gateChanges, func(g *gate) { g.stall(true) }, nil},
		{"bytes", 1 << 20, gateBytes >> 20, func(g *gate) { g.give(1, 1<<20) }, nil},
		{"one beyond all bounds", gateBytes * 2, 1, func(g *gate) { g.give(1, gateBytes*2) }, nil},
		{"closed", 1, gateChanges, (*gate).close, ErrClosed},
		{"failed", 1, gateChanges, func(g *gate) { g.fail(broken) }, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &gate{}
				g.moved.L = &g.mu
				for range c.lets {
					if _, err := g.take(1, int64(c.size)); err != nil {
						t.Fatal(err)
					}
				}
				done := make(chan error, 1)
				go func() {
					_, err := g.take(1, 1)
					done <- err
				}()
				synctest.Wait()
				if len(done) > 0 {
					t.Fatal("let in")
				}
				c.end(g)
				if err := <-done; err != c.want {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestOfflineFailure: after a failed commit nothing is taken any more; what is stored can be read.
func TestOfflineFailure(t *testing.T) {
	fails := make(chan error, 10)
	dir := t.TempDir()
	broken, err := openBadger(Memory, &badgerLog{})
	if err == nil {
		err = broken.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenOffline(OfflineOptions{Dir: dir, OnFail: func(err error) { fails <- err }})
	if err != nil {
		t.Fatal(err)
	}
	keep(t, f, "alice", []byte("one"))
	if err := f.commits.flush(); err != nil { // the committer is idle: its database may change
		t.Fatal(err)
	}
	f.room.headroom = func() int64 { return 0 } // which asks the database
	well := f.db
	f.db = broken
	keep(t, f, "alice", []byte("two"))
	ferr := f.commits.flush()
	f.db = well // too late: a failure is final
	if ferr == nil {
		t.Error("no failure")
	}
	if _, err := f.Put([]byte("alice"), 1, nil, Keep{}); err != ferr {
		t.Errorf("Put = %v after %v", err, ferr)
	}
	f.Delete([]byte("alice"), []uint64{mail(t, f, "alice")[0].Number})
	if got := mail(t, f, "alice"); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
	if err := f.Close(); err != ferr || len(fails) != 1 || <-fails != ferr {
		t.Errorf("Close = %v, OnFail %d more", err, len(fails))
	}
	f = opened(t, OfflineOptions{Dir: dir})
	if got := mail(t, f, "alice"); len(got) != 1 || string(got[0].Raw) != "one" {
		t.Errorf("after it: %v", got)
	}
}

func TestOfflineClosed(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: t.TempDir()})
	n := keep(t, f, "alice", nil)
	finished(t, f)
	_, perr := f.Put([]byte("alice"), 1, nil, Keep{})
	_, rerr := f.Read([]byte("alice"), 0, 1)
	f.Delete([]byte("alice"), []uint64{n})
	if aged := f.Aged(func([]byte) time.Time { return time.Now().Add(time.Hour) }, 1); perr != ErrClosed || rerr != ErrClosed || aged != nil {
		t.Errorf("Put %v, Read %v, Aged %v", perr, rerr, aged)
	}
	if err := f.ConsistencyCheck(); !errors.Is(err, ErrClosed) {
		t.Errorf("check: %v", err)
	}
	if err := f.Fits([]byte("alice"), 1, Keep{}); err != nil { // it asks the levels of a closed database
		t.Errorf("fits: %v", err)
	}
}

// TestOfflineHasAllocates: a look at who has something stored costs no memory.
func TestOfflineHasAllocates(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory})
	keep(t, f, "alice@im.example", nil)
	yes, no := []byte("alice@im.example"), []byte("bob@im.example")
	if n := testing.AllocsPerRun(100, func() {
		if !f.Has(yes) || f.Has(no) {
			t.Error("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
