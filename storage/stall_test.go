package storage

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
)

// fakeDisk is a file system whose room ends, and comes back, when a test says so.
type fakeDisk struct{ after atomic.Int64 } // how often it is asked before it is full; negative: it is not

func roomyDisk() *fakeDisk {
	d := &fakeDisk{}
	d.after.Store(-1)
	return d
}

func (d *fakeDisk) space(string) (free, size uint64, ok bool) {
	switch n := d.after.Load(); {
	case n == 0:
		return reserve - 1, 1 << 40, true
	case n > 0:
		d.after.Store(n - 1)
	}
	return 1 << 40, 1 << 40, true
}

// logged gives a log, and how many lines it has.
func logged() (*logrus.Entry, func() int) {
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	return logrus.NewEntry(log), func() int { return strings.Count(out.String(), "\n") }
}

// stalling is an outbox whose disk has no room for what is put next.
type stalling struct {
	t      *testing.T
	disk   *fakeDisk
	gauge  *roomGauge
	o      *Outbox
	done   map[uint64]error // of each block
	failed error
	lines  func() int // of the log
}

func newStalling(t *testing.T, dir string) *stalling {
	s := &stalling{t: t, disk: roomyDisk(), done: map[uint64]error{}}
	log, lines := logged()
	s.lines = lines
	s.gauge = &roomGauge{dir: dir, space: s.disk.space, headroom: func() int64 { return 0 }}
	o, err := openOutbox(dir, QueuesOptions{Log: log, OnFail: func(err error) { s.failed = err }}, s.gauge, defaultOutboxKnobs())
	if err != nil {
		t.Fatal(err)
	}
	s.o = o
	return s
}

func (s *stalling) give(n uint64) error {
	return s.o.Put("node", n, []byte("value"), func(err error) { s.done[n] = err })
}

// stall puts a block that finds no room.
func (s *stalling) stall(n uint64) {
	s.disk.after.Store(1) // Put asks once
	if err := s.give(n); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	if _, is := s.done[n]; is || !s.o.Stats().Stalled || !errors.Is(s.o.Flush(), ErrNoSpace) {
		s.t.Errorf("done %v, %+v", s.done, s.o.Stats())
	}
}

// clean gives the disk its room back.
func (s *stalling) clean() {
	s.disk.after.Store(-1)
	time.Sleep(retryAfter)
	synctest.Wait()
	if s.o.Stats().Stalled {
		s.t.Error("stalled")
	}
}

// TestOutboxStall: what finds no room waits for it, more is refused, deletions go through.
func TestOutboxStall(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStalling(t, dir)
		if err := s.give(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.stall(2)
		if err := s.give(3); !errors.Is(err, ErrNoSpace) {
			t.Errorf("Put = %v", err)
		}
		s.gauge.free.Store(1 << 40) // as a file system says that has a quota
		if err := s.give(3); !errors.Is(err, ErrNoSpace) {
			t.Errorf("Put = %v", err)
		}
		s.o.Delete("node", 1)
		synctest.Wait()
		if b, err := os.ReadFile(segmentName(dir, 1)); err != nil || b[segmentHead] != stateDead {
			t.Errorf("the block that was deleted is alive: %v", err)
		}
		if got, err := s.o.Get("node", 2); err != nil || string(got) != "value" || s.lines() != 1 {
			t.Errorf("Get = %q %v, %d lines", got, err, s.lines())
		}
		s.clean()
		if err, is := s.done[2]; !is || err != nil || s.lines() != 2 {
			t.Errorf("done %v, %d lines", s.done, s.lines())
		}
		if err := s.o.close(); err != nil || s.failed != nil {
			t.Errorf("close = %v, OnFail %v", err, s.failed)
		}
	})
}

// TestOutboxStallEnds: it ends also when what waits is deleted; what waits when the outbox is closed is given up, which is a failure.
func TestOutboxStallEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStalling(t, dir)
		s.stall(4)
		s.o.Delete("node", 4)
		synctest.Wait()
		if err, is := s.done[4]; !is || err != nil || !s.o.Stats().Stalled || s.o.Stats().Pending != 0 {
			t.Errorf("done %v, %+v", s.done, s.o.Stats())
		}
		s.clean()
		s.stall(5)
		if err := s.o.close(); err == nil || !strings.Contains(err.Error(), "no space (") || s.failed != err || s.done[5] != err {
			t.Errorf("close = %v, OnFail %v, done %v", err, s.failed, s.done)
		}
	})
}

// TestOfflineStall: without room the store refuses, and fails nothing; what was taken is on disk when there is room.
func TestOfflineStall(t *testing.T) {
	disk := roomyDisk()
	log, lines := logged()
	f, err := openOffline(OfflineOptions{Dir: t.TempDir(), Log: log, OnFail: func(err error) { t.Error(err) }}, disk.space)
	if err != nil {
		t.Fatal(err)
	}
	one := keep(t, f, "alice", []byte("one"))
	if err := f.commits.flush(); err != nil {
		t.Fatal(err)
	}
	disk.after.Store(1)
	keep(t, f, "alice", []byte("two"))
	if err := f.commits.flush(); !errors.Is(err, errNoSpace) || lines() != 1 {
		t.Errorf("flush = %v, %d lines", err, lines())
	}
	if _, err := f.Put([]byte("alice"), 1, []byte("three"), Keep{}); err != ErrNoSpace {
		t.Errorf("Put = %v", err)
	}
	f.Delete([]byte("alice"), []uint64{one})
	if got := mail(t, f, "alice"); len(got) != 1 || string(got[0].Raw) != "two" {
		t.Errorf("got %v", got)
	}
	disk.after.Store(-1)
	for range 2 { // the first may be asked before the stall has ended
		if err := f.commits.flush(); err != nil {
			t.Error(err)
		}
	}
	if lines() != 2 {
		t.Errorf("%d lines", lines())
	}
	keep(t, f, "alice", []byte("four"))
	finished(t, f)
}

// TestSessionsStall: without room an announce is answered later; what is announced meanwhile is not held up, until that is too much.
func TestSessionsStall(t *testing.T) {
	disk := roomyDisk()
	k := defaultKnobs()
	k.space = disk.space
	var failed atomic.Int32
	s, err := openSessions(Options{Dir: t.TempDir(), OnFail: func(error) { failed.Add(1) }}, k)
	if err != nil {
		t.Fatal(err)
	}
	l := attach(t, s, "node1")
	if err := s.commits.flush(); err != nil {
		t.Fatal(err)
	}
	disk.after.Store(0)
	answers := make(chan error, 3*queueLen)
	for i := range 3 * queueLen { // more than may be queued
		b := s.Begin(l.node, l.inc, l.mark)
		_, _, _ = b.Announce([]byte{byte('a' + i%26), byte('a' + i/26)}, []byte("x"), 0, Take)
		b.Commit(func(err error) { answers <- err })
	}
	if len(answers) > 0 || len(found(s, "aa/x")) != 1 {
		t.Errorf("%d answers, found %v", len(answers), found(s, "aa/x"))
	}
	disk.after.Store(-1)
	for range 3 * queueLen {
		if err := <-answers; err != nil {
			t.Fatal(err)
		}
	}
	if err := s.ConsistencyCheck(); err != nil {
		t.Error(err)
	}
	disk.after.Store(0)
	b := s.Begin(l.node, l.inc, l.mark)
	b.Withdraw([]byte("aa"), []byte("x"))
	b.Commit(func(err error) { answers <- err })
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "no space (") || failed.Load() != 1 || <-answers == nil {
		t.Errorf("Close = %v, OnFail %d times", err, failed.Load())
	}
}

// TestSharedLimits: both stores have one limit of bytes, and one disk.
func TestSharedLimits(t *testing.T) {
	dir := t.TempDir()
	q := queues(t, QueuesOptions{Dir: dir, Disk: 1000})
	hand(t, q.Outbox(), "node", 1, strings.Repeat("x", 600))
	keep(t, q.Offline(), "alice", make([]byte, 300))
	if err := q.Offline().Fits([]byte("alice"), 200, Keep{}); err != ErrDiskFull {
		t.Errorf("Fits = %v", err)
	}
	if _, err := q.Offline().Put([]byte("alice"), 1, make([]byte, 101), Keep{}); err != ErrDiskFull {
		t.Errorf("Put = %v", err)
	}
	if err := q.Outbox().Put("node", 2, make([]byte, 101), nil); err != ErrDiskFull {
		t.Errorf("Put = %v", err)
	}
	hand(t, q.Outbox(), "node", 1, strings.Repeat("x", 700))
	shut(t, q)
	q = queues(t, QueuesOptions{Dir: dir, Disk: 1000})
	if err := q.Outbox().Put("node", 2, []byte("x"), nil); err != ErrDiskFull {
		t.Errorf("after another open: %v", err)
	}
	q.Outbox().Delete("node", 1)
	hand(t, q.Outbox(), "node", 2, strings.Repeat("x", 700))
	q.SetDisk(0)
	q.Outbox().SetTotal(701)
	if err := q.Outbox().Put("node", 3, []byte("xx"), nil); err != ErrStoreFull {
		t.Errorf("beyond the outbox's own: %v", err)
	}
	q.Offline().SetTotal(301)
	if err := q.Offline().Fits([]byte("alice"), 2, Keep{}); err != ErrStoreFull {
		t.Errorf("beyond the offline store's own: Fits = %v", err)
	}
	if _, err := q.Offline().Put([]byte("alice"), 1, make([]byte, 2), Keep{}); err != ErrStoreFull {
		t.Errorf("beyond the offline store's own: Put = %v", err)
	}
	shut(t, q)
}
