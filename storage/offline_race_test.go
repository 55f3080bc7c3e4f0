package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestOfflineRace: senders, replays, impatient deleters and lookers-on share a few users. What each sender put is
// read in order, once, and nothing is counted twice.
func TestOfflineRace(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: t.TempDir()})
	const users, each = 5, 600
	var senders, others sync.WaitGroup
	var stop atomic.Bool
	for g := range 3 {
		senders.Go(func() { sendAll(t, f, g, users, each) })
	}
	for u := range users {
		user := fmt.Sprintf("user%d@im.example", u)
		others.Go(func() { replay(t, f, user, 3*each, &stop) })
		others.Go(func() {
			for !stop.Load() {
				if err := meddle(f, user); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	_ = f.ConsistencyCheck() // users do not hold still for it, but it must not hinder
	others.Wait()
	if st := f.Stats(); st.Users+st.Messages != 0 || st.Bytes != 0 {
		t.Errorf("left: %+v", st)
	}
}

// sendAll sends messages that name their sender and their place in its order.
func sendAll(t *testing.T, f *Offline, g, users, each int) {
	rnd := rand.New(rand.NewPCG(uint64(g), 3))
	for i := range each {
		for u := range users {
			raw := fmt.Appendf(nil, "%d %d ", g, i)
			if rnd.IntN(200) == 0 {
				raw = append(raw, bytes.Repeat([]byte{'x'}, 2*partMost)...)
			}
			if _, err := f.Put(fmt.Appendf(nil, "user%d@im.example", u), NodeID(g), raw, Keep{}); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// replay reads and deletes messages of a user until there were so many.
func replay(t *testing.T, f *Offline, user string, total int, stop *atomic.Bool) {
	defer stop.Store(true)
	next := map[NodeID]int{}
	rnd := rand.New(rand.NewPCG(uint64(len(user)), 4))
	for seen, last := 0, uint64(0); seen < total; {
		got, err := f.Read([]byte(user), 0, 1+rnd.IntN(40))
		if err != nil {
			t.Error(err)
			return
		}
		var numbers []uint64
		for _, m := range got {
			var g, i int
			if _, err := fmt.Sscanf(string(m.Raw[:min(20, len(m.Raw))]), "%d %d", &g, &i); err != nil || NodeID(g) != m.Origin ||
				i != next[m.Origin] || m.Number <= last {
				t.Errorf("%s: message %d is %.20q of node %d, want %d; error %v", user, m.Number, m.Raw, m.Origin, next[m.Origin], err)
				return
			}
			next[m.Origin]++
			last = m.Number
			numbers = append(numbers, m.Number)
		}
		seen += len(got)
		if rnd.IntN(2) == 0 { // in two calls at once, some of them twice
			half := slices.Clone(numbers[:len(numbers)/2])
			var both sync.WaitGroup
			both.Go(func() { f.Delete([]byte(user), half) })
			f.Delete([]byte(user), numbers)
			both.Wait()
		} else {
			f.Delete([]byte(user), numbers)
		}
	}
}

// meddle does what must change nothing.
func meddle(f *Offline, user string) error {
	bare := []byte(user)
	f.Has(bare)
	f.Delete(bare, []uint64{1, 2, uint64(time.Now().Add(time.Hour).UnixMicro())})
	for _, who := range f.Aged(func([]byte) time.Time { return time.Now() }, 2) {
		if len(who) == 0 {
			return fmt.Errorf("an aged user without a name")
		}
	}
	if st := f.Stats(); st.Messages < 0 || st.Bytes < 0 || st.Users < 0 {
		return fmt.Errorf("counts %+v", st)
	}
	got, err := f.Read(bare, 0, 100)
	if !slices.IsSortedFunc(got, func(a, b Stored) int { return int(a.Number) - int(b.Number) }) {
		return fmt.Errorf("%s: not in order", user)
	}
	return err
}

// TestOfflineDeletedTwice: of calls that delete one message at the same time, one counts; whether memory knows the message
// or only the disk.
func TestOfflineDeletedTwice(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: t.TempDir()})
	for round := range 200 {
		n := keep(t, f, "alice", []byte("gone"))
		keep(t, f, "alice", []byte("stays"))
		if round%2 == 0 {
			if err := f.commits.flush(); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { f.Delete([]byte("alice"), []uint64{n, n}) })
		}
		all.Wait()
		if st := f.Stats(); st.Messages != round+1 || st.Bytes != int64(round+1)*5 {
			t.Fatalf("round %d: %+v", round, st)
		}
	}
}

// TestOfflineCloseRace: senders that Close meets are let in, and on disk, or told.
func TestOfflineCloseRace(t *testing.T) {
	dir := t.TempDir()
	f := opened(t, OfflineOptions{Dir: dir})
	var taken atomic.Int64
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for {
				_, err := f.Put(fmt.Appendf(nil, "user%d", g), 1, []byte("x"), Keep{})
				if err != nil {
					if err != ErrClosed {
						t.Error(err)
					}
					return
				}
				taken.Add(1)
				_, _ = f.Read(fmt.Appendf(nil, "user%d", g), 0, 2)
			}
		})
	}
	for taken.Load() < 500 {
		_ = f.ConsistencyCheck()
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	f = opened(t, OfflineOptions{Dir: dir})
	if got := f.Stats().Loaded; int64(got) != taken.Load() {
		t.Errorf("%d messages of %d", got, taken.Load())
	}
}

// TestOfflineLookedUpTooEarly: what the disk had before another call deleted the message does not count.
func TestOfflineLookedUpTooEarly(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory})
	alice := []byte("alice")
	n := keep(t, f, "alice", []byte("gone"))
	keep(t, f, "alice", []byte("stays"))
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	var on lookup
	if _, ask := f.drop(alice, []uint64{n}, &on); len(ask) != 1 {
		t.Fatalf("asks for %v", ask)
	}
	if err := f.lookUp(alice, []uint64{n}, &on); err != nil || on.sizes[n] != 4 {
		t.Fatalf("found %v: %v", on.sizes, err)
	}
	f.Delete(alice, []uint64{n})
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	if queued, ask := f.drop(alice, []uint64{n}, &on); queued != 0 || len(ask) != 0 {
		t.Errorf("queued %d, asks for %v", queued, ask)
	}
	if st := f.Stats(); st.Messages != 1 || st.Bytes != 5 {
		t.Errorf("got %+v", st)
	}
}

// TestOfflineCommitted: memory keeps of the changes of a user only those that are not on disk.
func TestOfflineCommitted(t *testing.T) {
	w := &work{s: &mailboxes{users: map[string]*mailbox{}}, bare: "alice", gone: map[uint64]struct{}{}}
	w.box = &mailbox{last: 9, work: w}
	w.s.users["alice"] = w.box
	changes := []*change{{w: w, number: 7, value: []byte{1}}, {w: w, number: 1}, {w: w, number: 8, value: []byte{1}}, {w: w, number: 2}}
	for _, c := range changes {
		if w.s.queue(c); c.value == nil {
			w.gone[c.number] = struct{}{}
		} else {
			w.puts = append(w.puts, c)
		}
	}
	for i, want := range []string{"1 2", "1 1", "0 1", "0 0"} {
		changes[i].committed()
		if got := fmt.Sprint(len(w.puts), len(w.gone)); got != want || (w.box.work == nil) != (i == 3) || len(w.s.users) != 1-i/3 {
			t.Errorf("after change %d: %s left, %d users", i, got, len(w.s.users))
		}
	}
	if w.s.floor != 9 || w.s.dropped != 2 {
		t.Errorf("floor %d, %d deletions", w.s.floor, w.s.dropped)
	}
}

// TestOfflineDeletedInPassing: a message that is on its way to the disk is deleted wherever it is met.
func TestOfflineDeletedInPassing(t *testing.T) {
	f := opened(t, OfflineOptions{Dir: Memory})
	for round := range 5000 {
		n := keep(t, f, "alice", []byte("gone"))
		for range round % 200 {
			f.Has([]byte("alice")) // some time passes
		}
		f.Delete([]byte("alice"), []uint64{n})
		if st := f.Stats(); st.Messages != 0 {
			t.Fatalf("round %d: %+v", round, st)
		}
	}
}

// TestOfflineCheckSees: the check that ends each test finds what it is for.
func TestOfflineCheckSees(t *testing.T) {
	for name, spoil := range map[string]func(f *Offline, b *mailbox){
		"bytes":       func(f *Offline, b *mailbox) { b.bytes++; f.bytes.Add(1) },
		"count":       func(f *Offline, b *mailbox) { b.count--; f.messages.Add(-1) },
		"oldest":      func(_ *Offline, b *mailbox) { b.oldest++ },
		"last":        func(_ *Offline, b *mailbox) { b.last-- },
		"sum":         func(f *Offline, _ *mailbox) { f.messages.Add(1) },
		"users":       func(f *Offline, _ *mailbox) { f.users.Add(1) },
		"not in disk": func(f *Offline, b *mailbox) { _ = f.db.DropPrefix([]byte(messagePrefix)) },
		"not in memory": func(f *Offline, b *mailbox) {
			f.bytes.Add(-b.bytes)
			f.messages.Add(-int64(b.count))
			f.users.Add(-1)
			delete(f.shard([]byte("alice")).users, "alice")
		},
	} {
		f, err := OpenOffline(OfflineOptions{Dir: Memory})
		if err != nil {
			t.Fatal(err)
		}
		keep(t, f, "alice", []byte("one"))
		keep(t, f, "alice", []byte("two"))
		if err := f.ConsistencyCheck(); err != nil {
			t.Error(err)
		}
		spoil(f, f.shard([]byte("alice")).users["alice"])
		if err := f.ConsistencyCheck(); err == nil {
			t.Errorf("%s: nothing is seen", name)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
