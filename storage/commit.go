package storage

import (
	"encoding/binary"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
)

// changes is a list of keys whose record the disk must follow: hash, two lengths, bare JID, resource.
// It holds no values: the committer writes what the index says when it comes to a key. So two links that
// change one session cannot reach the disk in the wrong order, whichever commits first.
type changes struct {
	buf []byte
	n   int
}

const changeHead = 12

func (c *changes) add(k key) {
	c.buf = binary.LittleEndian.AppendUint64(c.buf, k.h)
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(k.bare)))
	c.buf = binary.LittleEndian.AppendUint16(c.buf, uint16(len(k.res)))
	c.buf = append(append(c.buf, k.bare...), k.res...)
	c.n++
}

// shift takes the first change out.
func (c *changes) shift() key {
	nb := int(binary.LittleEndian.Uint16(c.buf[8:]))
	nr := int(binary.LittleEndian.Uint16(c.buf[10:]))
	p := c.buf[changeHead : changeHead+nb+nr]
	k := key{binary.LittleEndian.Uint64(c.buf), p[:nb:nb], p[nb:]}
	c.buf = c.buf[changeHead+nb+nr:]
	c.n--
	return k
}

// from gives the changes from an offset of buf to its end.
func (c *changes) from(off int) iter.Seq[key] {
	return func(yield func(key) bool) {
		for rest := (changes{buf: c.buf[off:]}); len(rest.buf) > 0; {
			if !yield(rest.shift()) {
				return
			}
		}
	}
}

// request is what a batch, or a change of a node record (no changes, no done), asks of the committer.
type request struct {
	changes
	done func(error)
}

// The bounds of one synced transaction. Bytes are of keys and values: Badger refuses a transaction of 15 %
// of a memtable.
const (
	groupChanges = 1024
	groupBytes   = 512 << 10
	queueLen     = 256      // requests that wait for the committer; more block their senders
	lateBytes    = 64 << 20 // of requests that wait for room on the disk; with more a full disk is a failure
)

// committer is the one goroutine that writes the database. Badger does not join the commits of
// concurrent transactions into one sync, so it does: the next group forms while the last one syncs.
type committer struct {
	// set once
	s     *Sessions
	queue chan request  // many senders; never closed
	hurry chan struct{} // closed when nothing is to wait for room any more
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended
	wake  chan struct{} // one token: a node record is dirty

	gate   sync.RWMutex
	closed bool // guarded by gate

	failed atomic.Pointer[error] // the first failure, which is final
	tally  commitTally

	// owned by run
	group group
	rest  request   // what did not fit in the last group
	late  []request // taken from the queue while the disk had no room
	owed  int       // bytes that came to late since the disk has no room
	full  bool      // the disk has no room
}

// group is one transaction's worth of changes, and who waits for it.
type group struct {
	slab []byte
	puts []put
	done []func(error)
}

// put is a key and its value in a group's slab; without a value it is a delete.
type put struct{ at, key, val int }

func startCommitter(s *Sessions) *committer {
	c := &committer{s: s, queue: make(chan request, queueLen), stop: make(chan struct{}), hurry: make(chan struct{}),
		ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	go c.run() // close waits for it
	return c
}

// send queues a request; it blocks while the queue is full.
func (c *committer) send(r request) {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.closed {
		if r.done != nil {
			r.done(ErrClosed)
		}
		return
	}
	c.queue <- r
}

// nudge makes the committer look at the node records, without waiting. The error is the committer's
// failure, if there was one.
func (c *committer) nudge() error {
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return c.failure()
}

// fail makes a failure final, tells it if it is the first, and gives the first.
func (c *committer) fail(err error) error {
	err = explain(c.s.opt.Dir, sessionsLoss, err)
	if c.failed.CompareAndSwap(nil, &err) {
		c.s.log.quiet.Store(true) // it may repeat one cause each second
		if c.s.opt.OnFail != nil {
			c.s.opt.OnFail(err)
		}
	}
	return c.failure()
}

func (c *committer) failure() error {
	if e := c.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// close writes what is queued and ends the goroutine.
func (c *committer) close() error {
	c.gate.Lock()
	c.closed = true
	c.gate.Unlock()
	close(c.stop)
	<-c.ended
	return c.failure()
}

// flush waits until all that was queued before it is on disk.
func (c *committer) flush() error {
	wait := make(chan error, 1)
	c.send(request{done: func(err error) { wait <- err }})
	return <-wait
}

func (c *committer) run() {
	defer close(c.ended)
	for {
		select {
		case r := <-c.queue:
			c.rest = r
		case <-c.wake:
		case <-c.stop:
			c.commit() // node records, if nothing else
			for len(c.queue) > 0 || c.unfinished() {
				c.commit()
			}
			return
		}
		c.commit()
		for c.unfinished() {
			c.commit()
		}
	}
}

// commit writes one group and answers those whose changes are all in it.
func (c *committer) commit() {
	c.collect()
	err := c.failure()
	if err == nil {
		// Taken after the sessions: no session goes to disk before the record it names.
		nodes := c.s.nodes.takeDirty()
		for err = c.writeAll(nodes); errors.Is(err, errNoSpace) && c.stalled(err); err = c.writeAll(nodes) {
		}
		if err != nil {
			err = c.fail(err)
		}
		c.resumed()
	}
	for _, done := range c.group.done {
		done(err)
	}
	clear(c.group.done)
}

// writeAll writes the group behind the node records. What is too much for one transaction goes before, in others.
func (c *committer) writeAll(nodes []dirtyRecord) error {
	for ; len(nodes) > groupChanges; nodes = nodes[groupChanges:] {
		if err := c.s.write(&group{}, nodes[:groupChanges]); err != nil {
			return err
		}
	}
	return c.s.write(&c.group, nodes)
}

// collect fills the group with what is left of the last request and what is queued, without waiting.
func (c *committer) collect() {
	g := &c.group
	g.slab, g.puts, g.done = g.slab[:0], g.puts[:0], g.done[:0]
	for {
		for c.rest.n > 0 {
			if len(g.puts) >= groupChanges || len(g.slab) >= groupBytes {
				return
			}
			g.add(c.s.index, c.rest.shift())
		}
		if c.rest.done != nil {
			g.done = append(g.done, c.rest.done)
		}
		c.rest = request{}
		if len(c.late) > 0 {
			c.rest, c.late = c.late[0], c.late[1:]
			continue
		}
		select {
		case c.rest = <-c.queue:
		default:
			return
		}
	}
}

// add puts what the index says of a key now into the group.
func (g *group) add(x *index, k key) {
	p := put{at: len(g.slab)}
	g.slab = appendSessionKey(g.slab, k.bare, k.res)
	p.key = len(g.slab) - p.at
	w := x.lock(k.shard())
	if at := w.locate(k); at.addr != 0 {
		g.slab = appendSession(g.slab, w.session(at.addr))
	}
	w.unlock()
	p.val = len(g.slab) - p.at - p.key
	g.puts = append(g.puts, p)
}
