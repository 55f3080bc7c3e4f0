package storage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// forget is how long the record of a node that is gone is kept: so long is its name "known" (design 3).
const forget = 7 * 24 * time.Hour

// prepare reads what must be known before the first statement: the node records, and a version that no session on
// disk exceeds. known is false if that takes reading all sessions.
func (s *Sessions) prepare() (known bool, err error) {
	if err := checkSchema(s.db); err != nil {
		return false, err
	}
	high, known, err := readHigh(s.db)
	if err != nil {
		return false, err
	}
	s.version.Store(max(high, uint64(s.opt.Now().UnixMicro())))
	return known, s.loadNodes()
}

// loadNodes reads the node records. None is attached now: they are Away, until when the caller says.
func (s *Sessions) loadNodes() error {
	return s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte(nodePrefix)
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			domain := string(it.Item().Key()[len(nodePrefix):])
			err := it.Item().Value(func(b []byte) error { return s.loadNode(domain, b) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Sessions) loadNode(domain string, b []byte) error {
	r, err := parseNode(domain, b)
	if err != nil {
		return err
	}
	if r.ID == 0 || s.nodes.get(r.ID) != nil {
		return errors.New("two node records have one number")
	}
	n := s.nodes.put(r)
	n.stored = r.Inc
	if r.State != Gone {
		s.nodes.change(n, func(r *NodeRecord) { r.State, r.Until = Away, time.Time{} })
	}
	return nil
}

// loader brings the sessions of the disk into memory, in the background: its goroutines read the disk from end to
// end, and whoever needs a user before that comes through the door.
type loader struct {
	// set once
	s     *Sessions
	door  *door
	pace  func(<-chan struct{})
	began time.Time
	stop  chan struct{} // closed by Close
	over  chan struct{} // closed when all is in memory, or will not come
	ended chan struct{} // closed when the goroutine has ended

	next atomic.Int64 // the next of the door's ranges

	// guarded by mu
	mu     sync.Mutex
	loaded Loaded
	high   uint64 // the highest version on disk
	err    error  // the first that kept something from memory; errStopped: Close

	// guarded by late
	late     sync.Mutex
	answers  []func(error) // what must not be called before all is in memory, and what was dead in it is swept
	answered bool
}

// loadThreads is how many goroutines read the disk; lateMost is how many answers may wait for them. Who wants to
// wait for more does so itself.
const (
	loadThreads = 2
	lateMost    = 4096
)

var errStopped = errors.New("stopped")

// startLoad opens the door and begins to load. Nothing may have been written before.
func startLoad(s *Sessions, k knobs) *loader {
	l := &loader{s: s, pace: k.pace, began: s.opt.Now(), stop: make(chan struct{}), over: make(chan struct{}),
		ended: make(chan struct{}), loaded: Loaded{Nodes: len(s.Nodes())}}
	if s.opt.Dir == Memory { // it is empty
		l.answered = true
		close(l.over)
		close(l.ended)
		return l
	}
	l.door = openDoor(l)
	go l.run() // close waits for it
	return l
}

// close ends the goroutine, wherever it is.
func (l *loader) close() { <-l.ended }

func (l *loader) run() {
	defer close(l.ended)
	var threads sync.WaitGroup
	for range loadThreads {
		threads.Go(l.thread) // this goroutine waits for it
	}
	threads.Wait()
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	switch {
	case err == nil:
		l.settle()
	case err != errStopped:
		_ = l.s.commits.fail(err) // told by OnFail
	}
	close(l.over)
	l.door.close()
	l.answer(err)
}

// thread loads one range after another.
func (l *loader) thread() {
	txn := l.door.borrow()
	defer l.door.giveBack(txn)
	u := &user{}
	for {
		i := int(l.next.Add(1)) - 1
		if i >= len(l.door.ranges) {
			break
		}
		if err := l.load(txn, &l.door.ranges[i], u); err != nil {
			l.note(err)
			break
		}
		l.door.ranges[i].done.Store(true)
	}
	l.sendOrphans(u, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loaded.Sessions += u.seen
	l.loaded.Dead += u.dead
	l.high = max(l.high, u.high)
}

// fail ends the load, and with it the table: nothing may be acknowledged while it is not known what is on disk.
func (l *loader) fail(err error) {
	_ = l.s.commits.fail(err) // told by OnFail
	l.note(err)               // who finds it noted asks the committer for the line
}

func (l *loader) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// load brings the users of a range into memory.
func (l *loader) load(txn *badger.Txn, r *keyRange, u *user) error {
	it := newSessionIterator(txn, []byte(sessionPrefix))
	defer it.Close()
	it.Seek(r.from)
	for {
		if err := u.read(it, r.to, l.door); err != nil || len(u.bare) == 0 {
			return err
		}
		if l.pace != nil {
			l.pace(l.stop)
		}
		select {
		case <-l.stop:
			return errStopped
		default:
		}
		l.door.admit(u)
		u.count()
		l.sendOrphans(u, sweepChunk)
	}
}

// sendOrphans removes sessions that name no node, if there are at least so many: none is written so, but a restored
// or mended database may have them. The committer asks the index, so what was announced since stays.
func (l *loader) sendOrphans(u *user, least int) {
	if u.orphans.n < least {
		return
	}
	l.s.commits.send(request{changes: u.orphans})
	u.orphans = changes{}
}

// settle closes the door for good: all is in memory. It hands what was dead on the way to the sweeper.
func (l *loader) settle() {
	s := l.s
	for i := range shardCount {
		w := s.index.lock(i)
		t := *w.table()
		t.door = nil
		s.index.tabs[i].Store(&t)
		l.door.gone[i] = nil
		w.unlock()
	}
	l.door.release()
	s.sweeper.addDead()
	s.nodes.forget(s.now().Add(-forget))
	_ = s.commits.nudge() // a failed committer has told OnFail
	l.mu.Lock()
	l.loaded.Took = s.opt.Now().Sub(l.began)
	done := l.loaded
	l.mu.Unlock()
	if s.opt.Log != nil && done.Sessions > 0 {
		s.opt.Log.WithField("sessions", done.Sessions-done.Dead).WithField("nodes", done.Nodes).
			Infof("sessions of before are in memory after %d ms", done.Took.Milliseconds())
	}
}

// after calls a function when all is in memory and what was dead in it is off the disk.
func (l *loader) after(done func(error)) {
	if !l.leave(done) {
		<-l.ended
		l.s.commits.send(request{done: done})
	}
}

// leave leaves a function to answer, unless that has been or too many wait.
func (l *loader) leave(done func(error)) bool {
	l.late.Lock()
	defer l.late.Unlock()
	if l.answered || len(l.answers) == lateMost {
		return false
	}
	l.answers = append(l.answers, done)
	return true
}

// answer calls what waits for the end of the load.
func (l *loader) answer(err error) {
	if err == nil && !l.s.sweeper.wait() {
		err = errStopped
	}
	l.late.Lock()
	answers := l.answers
	l.answers, l.answered = nil, true
	l.late.Unlock()
	for _, done := range answers {
		if err == errStopped {
			done(ErrClosed)
			continue
		}
		l.s.commits.send(request{done: done})
	}
}

// Loading tells whether sessions of before the open are still being read. Look-ups and statements are right all the
// same, only slower for users who are not in memory yet.
func (s *Sessions) Loading() bool {
	select {
	case <-s.load.over:
		return false
	default:
		return true
	}
}

// WaitLoaded waits until all sessions of before the open are in memory. The error is that of the context, or what
// kept a session from memory: OnFail has been told that one.
func (s *Sessions) WaitLoaded(ctx context.Context) error {
	select {
	case <-s.load.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	switch s.load.err {
	case nil:
		return nil
	case errStopped:
		return ErrClosed
	}
	return s.commits.failure()
}

// Loaded says what the table held when it was opened. It waits until all that is in memory.
func (s *Sessions) Loaded() Loaded {
	<-s.load.over
	s.load.mu.Lock()
	defer s.load.mu.Unlock()
	return s.load.loaded
}

// splits gives keys that divide the sessions of the disk into ranges of about a table's size, at the first key of a
// user each.
func splits(db *badger.DB) [][]byte {
	var at [][]byte
	for _, t := range db.Tables() {
		left := t.Left[:len(t.Left)-8] // without the timestamp
		if !bytes.HasPrefix(left, []byte(sessionPrefix)) {
			continue
		}
		bare, _, err := splitSessionKey(left)
		if err == nil { // else who reads it will say so
			at = append(at, appendUserKey(nil, bare))
		}
	}
	slices.SortFunc(at, bytes.Compare)
	return slices.CompactFunc(at, bytes.Equal)
}
