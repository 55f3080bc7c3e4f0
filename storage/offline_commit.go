package storage

import (
	"errors"
	"fmt"
	"time"
)

// offlineCommitter is the one goroutine that writes the database of the offline store. What is queued while it
// syncs one group is in the next. A group for which the disk has no room waits until there is some.
type offlineCommitter struct {
	// set once
	f     *Offline
	wake  chan struct{}   // one token: something is queued, or nothing comes of what was let in
	asks  chan chan error // of flush; never closed
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended

	// owned by run
	backlog []*change // taken from the mailboxes, each user's in order
	next    int       // the write of the first of them that comes next
	group   offlineGroup
	stalled bool // the group waits for room
}

// offlineGroup is one transaction's worth of writes.
type offlineGroup struct {
	slab   []byte // keys
	bytes  int    // of keys and values
	writes []write
	done   []*change // whose last write is in the group
}

// write is a key and its value; without one it is a delete.
type write struct{ key, value []byte }

func startOfflineCommitter(f *Offline) *offlineCommitter {
	c := &offlineCommitter{f: f, wake: make(chan struct{}, 1), asks: make(chan chan error),
		stop: make(chan struct{}), ended: make(chan struct{})}
	go c.run() // close waits for it
	return c
}

// nudge makes the committer look at the mailboxes, without waiting.
func (c *offlineCommitter) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// flush waits until all that was queued before it is on disk.
func (c *offlineCommitter) flush() error {
	done := make(chan error, 1)
	select {
	case c.asks <- done:
		return <-done
	case <-c.ended:
		return ErrClosed
	}
}

// close writes what was let in and ends the goroutine.
func (c *offlineCommitter) close() error {
	c.f.gate.close()
	close(c.stop)
	<-c.ended
	return c.f.gate.failure()
}

func (c *offlineCommitter) run() {
	defer close(c.ended)
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		if c.stalled {
			retry.Reset(retryAfter)
		} else {
			retry.Stop()
		}
		select {
		case <-c.wake:
			c.drain()
		case <-retry.C:
			c.drain()
		case done := <-c.asks:
			done <- c.drain()
		case <-c.stop:
			c.finish()
			return
		}
	}
}

// finish commits until all that was let in before the gate closed is on disk. Without room for it now there is none.
func (c *offlineCommitter) finish() {
	for {
		if err := c.drain(); errors.Is(err, errNoSpace) {
			c.f.fail(err)
		}
		if n, _ := c.f.gate.waiting(); n == 0 || c.f.gate.failure() != nil {
			return
		}
		<-c.wake // who was let in will queue something, or give back
	}
}

// drain commits all that is queued now. After a failure it does nothing: what is in memory stays there. Without room the group stays as it is.
func (c *offlineCommitter) drain() error {
	if err := c.f.gate.failure(); err != nil {
		return err
	}
	until := c.f.queued.Load()
	c.sweep()
	for c.stalled || len(c.backlog) > 0 {
		if !c.stalled {
			c.collect()
		}
		err := c.f.commit(c.group.writes)
		if errors.Is(err, errNoSpace) {
			c.stall(true, err)
			return err
		}
		if err != nil {
			c.f.fail(err)
			return c.f.gate.failure()
		}
		c.stall(false, nil)
		c.settle()
		c.f.room.look()
	}
	c.backlog = nil // it was consumed from its head
	c.f.kept.Store(until)
	return c.commitHandled()
}

// stall notes whether the group waits for room, and tells of a change.
func (c *offlineCommitter) stall(is bool, err error) {
	if is == c.stalled {
		return
	}
	c.stalled = is
	c.f.room.look()
	c.f.gate.stall(is)
	if log := c.f.opt.Log; log != nil && is {
		log.WithError(err).WithField("dir", c.f.opt.Dir).Warn("the disk has no room for messages to users without a session: new ones are refused")
	} else if log != nil {
		log.WithField("dir", c.f.opt.Dir).Info("the disk has room for messages again")
	}
}

// sweep takes what is queued from all mailboxes.
func (c *offlineCommitter) sweep() {
	for i := range c.f.boxes {
		s := &c.f.boxes[i]
		if !s.dirty.Load() {
			continue
		}
		n, bytes := 0, 0
		s.mu.Lock()
		for _, ch := range s.out {
			if ch.void {
				n, bytes = n+1, bytes+ch.size
				ch.w.end()
				continue
			}
			ch.taken = true
			c.backlog = append(c.backlog, ch)
		}
		s.out = nil
		s.dirty.Store(false)
		s.mu.Unlock()
		c.f.gate.give(n, int64(bytes))
	}
}

// collect fills the group from the backlog. A change of many parts may be in more than one group.
func (c *offlineCommitter) collect() {
	g := &c.group
	clear(g.writes)
	clear(g.done)
	g.slab, g.writes, g.done, g.bytes = g.slab[:0], g.writes[:0], g.done[:0], 0
	for len(c.backlog) > 0 && len(g.writes) < groupChanges && g.bytes < groupBytes {
		ch, at := c.backlog[0], len(g.slab)
		var w write
		g.slab, w.value = ch.write(g.slab, c.next)
		w.key = g.slab[at:len(g.slab):len(g.slab)]
		g.writes = append(g.writes, w)
		g.bytes += len(w.key) + len(w.value)
		if c.next++; c.next == parts(ch.size) {
			g.done = append(g.done, ch)
			c.backlog[0], c.backlog, c.next = nil, c.backlog[1:], 0
		}
	}
}

// commit writes a group in one synced transaction.
func (f *Offline) commit(writes []write) error {
	if err := f.room.refuses(0); err != nil {
		return err
	}
	begin := time.Now()
	txn := f.db.NewTransaction(true)
	defer txn.Discard()
	for _, w := range writes {
		var err error
		if w.value == nil {
			err = txn.Delete(w.key)
		} else {
			err = txn.Set(w.key, w.value)
		}
		if err != nil {
			return fmt.Errorf("write message: %w", err)
		}
	}
	if err := txn.Set([]byte(groupKey), []byte{1}); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	f.tally.add(len(writes), begin)
	return nil
}

// settle takes what is on disk now out of the work of its mailboxes.
func (c *offlineCommitter) settle() {
	n, bytes := 0, 0
	for _, ch := range c.group.done {
		ch.w.s.mu.Lock()
		ch.committed()
		ch.w.s.mu.Unlock()
		n++
		if ch.value != nil {
			bytes += ch.size
		}
	}
	c.f.gate.give(n, int64(bytes))
}

// committed notes that the disk has a change. The shard is locked.
func (c *change) committed() {
	w := c.w
	if c.value == nil {
		delete(w.gone, c.number)
		w.s.dropped++
	} else if len(w.puts) > 0 && w.puts[0] == c { // else it was deleted meanwhile
		w.puts[0] = nil
		w.puts = w.puts[1:]
	}
	w.end()
}
