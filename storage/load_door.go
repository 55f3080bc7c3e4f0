package storage

import (
	"bytes"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// door is how users come into memory while not all are: each whole and once, by the loader or by whoever needs one
// sooner. All read the database as it was at the open. That is right for a user of whom memory has nothing, because
// every statement about a user first brings that user in.
//
// Of a user who was on disk and was brought in, either a record is in the index, or the bare JID is in gone. So who
// comes with what the disk had, and finds neither under the shard's lock, is the first.
type door struct {
	// set once
	s      *Sessions
	over   <-chan struct{}
	fail   func(error)
	nodes  NodeID           // numbers from here on were given after the open
	txns   chan *badger.Txn // many readers; never closed. All are as old as the table
	ranges []keyRange       // in order

	gone [shardCount]map[string]struct{} // each guarded by its shard's mutex: brought in, and some session has ended

	mu     sync.Mutex
	binds  map[incarnation]*binding // guarded by mu: the door is a user of each
	closed bool                     // guarded by mu
}

// keyRange is a part of the keys on disk that one goroutine loads.
type keyRange struct {
	from, to []byte      // set once: first key, and the first one after it; nil: to the end
	done     atomic.Bool // all of it is in memory
}

// doorReaders is how many users may be read from the disk at once, besides the loader.
const doorReaders = 16

// openDoor puts a door before every shard.
func openDoor(l *loader) *door {
	s := l.s
	d := &door{s: s, over: l.over, fail: l.fail, nodes: NodeID(len(*s.nodes.list.Load())),
		txns: make(chan *badger.Txn, doorReaders+loadThreads), binds: map[incarnation]*binding{}}
	for range cap(d.txns) {
		d.txns <- s.db.NewTransaction(false)
	}
	from := []byte(sessionPrefix)
	at := splits(s.db)
	d.ranges = make([]keyRange, len(at)+1)
	for i, to := range at {
		d.ranges[i].from, d.ranges[i].to = from, to
		from = to
	}
	d.ranges[len(at)].from = from
	for i := range shardCount {
		t := *s.index.tabs[i].Load()
		t.door = d
		s.index.tabs[i].Store(&t)
	}
	return d
}

// close waits for those who are reading the disk.
func (d *door) close() {
	for range cap(d.txns) {
		(<-d.txns).Discard()
	}
	d.release()
}

// borrow lends a transaction that is as old as the table; giveBack takes it back.
func (d *door) borrow() *badger.Txn      { return <-d.txns }
func (d *door) giveBack(txn *badger.Txn) { d.txns <- txn }

// release gives the bindings up. Nobody comes in any more.
func (d *door) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		for _, b := range d.binds {
			b.users.Add(-1)
		}
	}
	d.closed = true
}

// table gives a shard's table that has all of a user, and no door.
func (d *door) table(h uint64, bare []byte) *table {
	d.fetch(h, bare)
	t := *d.s.index.tabs[key{h: h}.shard()].Load()
	t.door = nil
	return &t
}

// fetch brings a user in, if nobody has.
func (d *door) fetch(h uint64, bare []byte) {
	if d.passed(bare) || d.inside(h, bare) {
		return
	}
	var txn *badger.Txn
	select {
	case txn = <-d.txns:
	case <-d.over:
		return
	}
	u := &user{h: h}
	err := d.readUser(txn, bare, u)
	d.giveBack(txn)
	if err != nil {
		d.fail(err)
		return
	}
	d.admit(u)
}

// passed tells whether the loader has been where a user would be.
func (d *door) passed(bare []byte) bool {
	k := appendUserKey(make([]byte, 0, 128), bare)
	i := sort.Search(len(d.ranges), func(i int) bool { return bytes.Compare(d.ranges[i].from, k) > 0 })
	return i > 0 && d.ranges[i-1].done.Load()
}

// inside tells whether a user was brought in.
func (d *door) inside(h uint64, bare []byte) bool {
	w := d.s.index.lock(key{h: h}.shard())
	defer w.unlock()
	return w.table().door == nil || d.had(w, h, bare)
}

func (d *door) had(w writer, h uint64, bare []byte) bool {
	_, gone := d.gone[w.i][string(bare)]
	return gone || w.knows(h, bare)
}

// forbid keeps a user, one of whose records is being removed, from coming in again. It remembers those only who were
// on disk at the open, so that it grows no larger than what was in their place.
func (d *door) forbid(w writer, r record) {
	hd := r.head()
	if hd&headRead == 0 {
		return
	}
	if d.gone[w.i] == nil {
		d.gone[w.i] = map[string]struct{}{}
	}
	d.gone[w.i][string(r.bare(hd))] = struct{}{}
}

// admit puts what the disk has of a user into the index, unless somebody has.
func (d *door) admit(u *user) {
	for d.bind(u) && !d.enter(u) {
	}
}

// bind finds the bindings of a user's sessions, and reports false when the door is closed.
func (d *door) bind(u *user) bool {
	for i := range u.had {
		st := &u.had[i]
		if st.bind = d.binding(st.node, st.inc, u); st.bind == nil {
			return false
		}
	}
	return true
}

// enter puts a bound user in, and reports false if a node has been cut off meanwhile: then its sessions are to be
// bound anew, and are dead.
func (d *door) enter(u *user) bool {
	w := d.s.index.lock(key{h: u.h}.shard())
	defer w.unlock()
	for _, st := range u.had {
		if !st.bind.cut && d.s.nodes.get(st.node).cut.Load() {
			return false
		}
	}
	if len(u.had) > 0 && w.table().door != nil && !d.had(w, u.h, u.bare) {
		w.admit(u)
	}
	return true
}

// binding gives the binding of a session on disk; nil when the door is closed.
func (d *door) binding(node NodeID, inc uint64, u *user) *binding {
	i := incarnation{node, inc, d.s.nodes.get(node).cut.Load()}
	if u.bind != nil && u.of == i {
		return u.bind
	}
	d.mu.Lock()
	b, closed := d.binds[i], d.closed
	d.mu.Unlock()
	if closed {
		return nil
	}
	if b == nil {
		if b = d.keep(i, d.s.nodes.adopt(i)); b == nil {
			return nil
		}
	}
	u.of, u.bind = i, b
	return b
}

// keep remembers a binding for the next session, unless another goroutine has.
func (d *door) keep(i incarnation, b *binding) *binding {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.binds[i] != nil {
		b.users.Add(-1)
		return d.binds[i]
	}
	d.binds[i] = b
	return b
}

// user is what the disk has of one bare JID, as it is read; one after another.
type user struct {
	h       uint64
	bare    []byte // empty: there is none
	slab    []byte // resources
	had     []stay
	orphans changes // keys of sessions whose node has no record, of all users

	of   incarnation // of bind
	bind *binding    // the last one used

	seen, dead int    // sessions of all users
	high       uint64 // version of all users
}

// stay is one session of a user.
type stay struct {
	stored
	lo, hi int // the resource in the slab
	bind   *binding
	addr   uint32
	slot   int
}

// newSessionIterator makes an iterator over sessions. Values are in the tables: to fetch them ahead, each in a
// goroutine, takes longer than to look.
func newSessionIterator(txn *badger.Txn, prefix []byte) *badger.Iterator {
	o := badger.DefaultIteratorOptions
	o.Prefix, o.PrefetchValues = prefix, false
	return txn.NewIterator(o)
}

func (d *door) readUser(txn *badger.Txn, bare []byte, u *user) error {
	it := newSessionIterator(txn, appendUserKey(nil, bare))
	defer it.Close()
	it.Rewind()
	return u.read(it, nil, d)
}

// read reads the sessions of the user that an iterator is at, up to a key that it must not reach.
func (u *user) read(it *badger.Iterator, to []byte, d *door) error {
	u.bare, u.slab, u.had = u.bare[:0], u.slab[:0], u.had[:0]
	for ; it.Valid(); it.Next() {
		k := it.Item().Key()
		if to != nil && bytes.Compare(k, to) >= 0 {
			break
		}
		bare, res, err := splitSessionKey(k)
		if err != nil {
			return err
		}
		if len(u.bare) == 0 {
			u.bare = append(u.bare, bare...)
			u.h = d.s.index.hash(bare)
		}
		if !bytes.Equal(u.bare, bare) {
			break
		}
		if err := it.Item().Value(func(v []byte) error { return u.add(res, v, d) }); err != nil {
			return err
		}
	}
	return nil
}

func (u *user) add(res, v []byte, d *door) error {
	st, err := parseSession(v)
	if err != nil {
		return err
	}
	u.high = max(u.high, st.version)
	if st.node >= d.nodes || d.s.nodes.get(st.node) == nil {
		u.orphans.add(key{u.h, u.bare, res})
		return nil
	}
	lo := len(u.slab)
	u.slab = append(u.slab, res...)
	u.had = append(u.had, stay{stored: st, lo: lo, hi: len(u.slab)})
	return nil
}

// count counts the sessions of a user.
func (u *user) count() {
	u.seen += len(u.had)
	for _, st := range u.had {
		if st.bind != nil && st.bind.dead.Load() {
			u.dead++
		}
	}
}
