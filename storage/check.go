package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// checkRounds is how often a difference is looked at, each time but the first behind the sweep and a flush: links go on
// and nodes end meanwhile.
const checkRounds = 5

// ConsistencyCheck compares the index and the disk, both ways and field by field, and the index with
// itself: slots, arena, lists, counts. It waits for the load, the sweep and the committer first. Links may
// go on, but a batch that is not yet committed counts as a difference.
func (s *Sessions) ConsistencyCheck() error {
	if err := s.WaitLoaded(context.Background()); err != nil {
		return fmt.Errorf("check sessions: %w", err)
	}
	if err := s.catchUp(); err != nil {
		return fmt.Errorf("check sessions: %w", err)
	}
	c := &checker{s: s}
	if err := c.run(); err != nil {
		return fmt.Errorf("check sessions: %w", err)
	}
	return nil
}

// catchUp waits until all that has ended is swept, and all that was committed, by the sweep too, on disk.
func (s *Sessions) catchUp() error {
	s.sweeper.wait()
	return s.commits.flush()
}

// checker collects what differs; most of it is only newer than what it was compared with.
type checker struct {
	s        *Sessions
	versions []uint64 // of the sessions on disk
	suspects [][]byte // keys
}

func (c *checker) run() error {
	if err := c.diskToIndex(); err != nil {
		return err
	}
	slices.Sort(c.versions)
	for i := range shardCount {
		if err := c.shard(i); err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	for _, k := range c.suspects {
		if err := c.settle(func() error { return c.session(k) }); err != nil {
			return err
		}
	}
	for _, r := range c.s.Nodes() {
		if err := c.settle(func() error { return c.node(r.ID) }); err != nil {
			return fmt.Errorf("node %s: %w", r.Domain, err)
		}
	}
	return nil
}

// diskToIndex looks for each session of the disk in the index.
func (c *checker) diskToIndex() error {
	return c.s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte(sessionPrefix)
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k := it.Item().KeyCopy(nil)
			err := it.Item().Value(func(v []byte) error { return c.compare(k, v) })
			if err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
		}
		return nil
	})
}

func (c *checker) compare(k, v []byte) error {
	want, err := parseSession(v)
	if err != nil {
		return err
	}
	got, ok, err := c.look(k)
	if err != nil {
		return err
	}
	c.versions = append(c.versions, want.version)
	if !ok || got != want {
		c.suspects = append(c.suspects, k)
	}
	return nil
}

// look gives what the index has under a key of the disk.
func (c *checker) look(k []byte) (stored, bool, error) {
	bare, res, err := splitSessionKey(k)
	if err != nil {
		return stored{}, false, err
	}
	id := key{c.s.index.hash(bare), bare, res}
	w := c.s.index.lock(id.shard())
	defer w.unlock()
	if p := w.locate(id); p.addr != 0 {
		return w.session(p.addr), true, nil
	}
	return stored{}, false, nil
}

// settle compares until there is no difference: most are of what has changed meanwhile.
func (c *checker) settle(compare func() error) (diff error) {
	for round := range checkRounds {
		if round > 0 {
			if err := c.s.catchUp(); err != nil {
				return err
			}
		}
		if diff = compare(); diff == nil {
			return nil
		}
	}
	return diff
}

// session compares what disk and index have under a key.
func (c *checker) session(k []byte) error {
	got, ok, err := c.look(k)
	if err != nil {
		return err
	}
	want, found, err := c.get(k)
	if err != nil {
		return err
	}
	if ok != found || got != want {
		return fmt.Errorf("%q: the disk has %+v (%t), the index %+v (%t)", k, want, found, got, ok)
	}
	return nil
}

func (c *checker) get(k []byte) (st stored, found bool, err error) {
	err = c.s.db.View(func(txn *badger.Txn) error {
		it, err := txn.Get(k)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		return it.Value(func(v []byte) error {
			st, err = parseSession(v)
			return err
		})
	})
	return st, found, err
}

// shard checks one shard against itself, and its sessions against the versions on disk.
func (c *checker) shard(i int) error {
	w := c.s.index.lock(i)
	defer w.unlock()
	t, used, live, words := w.table(), 0, 0, 0
	for slot, v := range t.slots {
		if v != slotEmpty {
			used++
		}
		if v <= slotTomb {
			continue
		}
		live++
		r := t.record(uint32(v))
		hd := r.head()
		words += hd.words()
		k := key{c.s.index.hash(r.bare(hd)), r.bare(hd), r.res(hd)}
		if p := w.locate(k); p.slot != slot || p.addr != uint32(v) || k.shard() != i {
			return fmt.Errorf("slot %d: its key is found in slot %d of shard %d", slot, p.slot, k.shard())
		}
		if _, ok := slices.BinarySearch(c.versions, r.version()); !ok {
			c.suspects = append(c.suspects, appendSessionKey(nil, k.bare, k.res))
		}
	}
	if used != w.used || live != w.live || used >= len(t.slots) {
		return fmt.Errorf("counts %d used, %d live; has %d, %d in %d slots", w.used, w.live, used, live, len(t.slots))
	}
	if a := w.arena; words+a.dead+int(a.end-a.next)+min(a.words, firstAddr) != a.words {
		return fmt.Errorf("arena of %d words: %d live, %d dead, %d free", a.words, words, a.dead, a.end-a.next)
	}
	return c.lists(w)
}

// lists checks that each session is on its node's list once.
func (c *checker) lists(w writer) error {
	t, listed := w.table(), 0
	for id := range w.heads {
		prev := uint32(0)
		for addr := w.heads[id]; addr != 0; addr = t.record(addr).next() {
			r := t.record(addr)
			if r.prev() != prev || w.binding(r).node != NodeID(id) {
				return fmt.Errorf("list of node %d: broken at %q", id, r.bare(r.head()))
			}
			prev = addr
			if listed++; listed > w.live {
				return fmt.Errorf("list of node %d: a circle", id)
			}
		}
	}
	if listed != w.live {
		return fmt.Errorf("lists name %d sessions of %d", listed, w.live)
	}
	return nil
}

// node compares the counts of a node's bindings with the lists, and its record with the disk.
func (c *checker) node(id NodeID) error {
	n := 0
	for i := range shardCount {
		n += len(c.s.ofShard(id, i, 0))
	}
	if live, dead := c.s.nodes.census(id); live != n || dead != 0 {
		return fmt.Errorf("counts %d live and %d dead, has %d", live, dead, n)
	}
	r, forgot := *c.s.nodes.get(id).rec.Load(), c.s.nodes.forgotten(id)
	return c.s.db.View(func(txn *badger.Txn) error {
		v, err := value(txn, nodePrefix+r.Domain)
		if err != nil || forgot && v == nil {
			return err
		}
		if d, err := parseNode(r.Domain, v); forgot || err != nil || d != r {
			return fmt.Errorf("the disk has %+v, memory %+v, forgotten %t", d, r, forgot)
		}
		return nil
	})
}
