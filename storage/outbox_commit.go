package storage

import (
	"errors"
	"os"
	"syscall"
	"time"
)

const (
	outboxGroup = 16 << 20               // bytes of a group; a block goes into one whatever its size
	retryAfter  = 250 * time.Millisecond // while the disk has no room
	markAfter   = 200 * time.Millisecond // deletions may wait so long for their sync: a power cut may bring them back
)

// outboxCommitter is the one goroutine that writes the outbox. What is put while it syncs one group is in the next.
type outboxCommitter struct {
	// set once
	o     *Outbox
	wake  chan struct{}   // one token: something is to be written or marked
	asks  chan chan error // of flush; never closed
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended

	// owned by run
	files   segments
	taken   uint64   // blocks that have left the queue
	group   []*block // of them, and not on disk
	entries []entry  // of the write that comes next
	timer   *time.Timer
}

func newOutboxCommitter(o *Outbox, k outboxKnobs) *outboxCommitter {
	return &outboxCommitter{o: o, wake: make(chan struct{}, 1), asks: make(chan chan error), stop: make(chan struct{}),
		ended: make(chan struct{}), timer: time.NewTimer(time.Hour), files: segments{dir: o.dir, knobs: k, touched: map[*segment]*os.File{}}}
}

// start begins the goroutine, after the load.
func (c *outboxCommitter) start() {
	go c.run() // close waits for it
}

// nudge makes the committer look at the queue, without waiting.
func (c *outboxCommitter) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *outboxCommitter) flush() error {
	done := make(chan error, 1)
	select {
	case c.asks <- done:
		return <-done
	case <-c.ended:
		return ErrClosed
	}
}

func (c *outboxCommitter) run() {
	defer close(c.ended)
	defer c.timer.Stop()
	for {
		c.sleepAtMost()
		select {
		case <-c.wake:
			c.step()
		case <-c.timer.C:
			c.syncMarks()
			c.step()
		case done := <-c.asks:
			done <- c.settleAll()
		case <-c.stop:
			if c.settleAll() == ErrNoSpace { // now there is none
				c.fail(errNoSpace)
			}
			c.files.close()
			return
		}
	}
}

// sleepAtMost sets the timer to what is due without anybody's nudge.
func (c *outboxCommitter) sleepAtMost() {
	switch {
	case c.o.stalled.Load():
		c.timer.Reset(retryAfter)
	case c.files.unsynced():
		c.timer.Reset(markAfter)
	case c.files.resting:
		c.timer.Reset(c.files.knobs.rest)
	default:
		c.timer.Stop()
	}
}

// step does one round: what is to be marked, one group, and one segment that is mostly dead. If there is more, it sees that another follows.
func (c *outboxCommitter) step() (more bool) {
	if c.o.failure() != nil {
		c.giveUp()
		return false
	}
	c.collect()
	if err := c.mark(); err != nil {
		c.fail(err)
		return false
	}
	if len(c.group) > 0 && !c.commit() {
		return false
	}
	if c.o.stalled.Load() && c.o.room.refuses(0) == nil { // all that waited for room was deleted
		c.o.room.look()
		c.resume()
	}
	if more = c.waits() || c.tidy(); more {
		c.nudge()
	}
	return more
}

// waits reports whether something is to be written or marked.
func (c *outboxCommitter) waits() bool {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	return len(c.o.queue) > 0 || len(c.o.marks) > 0
}

// settleAll goes on until nothing waits of what is handed over now, or nothing can be done.
func (c *outboxCommitter) settleAll() error {
	c.o.mu.Lock()
	until := c.o.handed
	c.o.mu.Unlock()
	for c.step() && c.taken < until {
	}
	c.step() // what the last group has replaced
	c.syncMarks()
	if err := c.o.failure(); err != nil {
		return err
	}
	if c.o.stalled.Load() {
		return ErrNoSpace
	}
	return nil
}

// collect takes what is next from the queue, unless a group waits for room, and lets go of what was deleted meanwhile.
func (c *outboxCommitter) collect() {
	o := c.o
	var done []func(error)
	o.mu.Lock()
	c.files.marks = append(c.files.marks, o.marks...)
	o.marks = o.marks[:0]
	kept := c.group[:0]
	bytes := 0
	keep := func(b *block) {
		if b.dead {
			if b.stage == blockWriting {
				o.room.pending.Add(-int64(b.size))
			}
			b.value = nil
			done = append(done, b.done...)
			b.done = nil
			return
		}
		b.stage = blockWriting
		bytes += b.size
		kept = append(kept, b)
	}
	waiting := len(c.group) > 0
	for _, b := range c.group {
		keep(b)
	}
	n := 0
	for ; !waiting && n < len(o.queue) && bytes < outboxGroup; n++ {
		keep(o.queue[n])
	}
	c.taken += uint64(n)
	clear(o.queue[:n])
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil // it was consumed from its head
	}
	o.mu.Unlock()
	c.group = kept
	for _, f := range done {
		f(nil)
	}
}

// commit writes the group; false if it cannot, now or for ever.
func (c *outboxCommitter) commit() bool {
	begin := time.Now()
	c.entries = c.entries[:0]
	for _, b := range c.group {
		c.entries = append(c.entries, entry{b, b.value})
	}
	err := c.write()
	switch {
	case isNoSpace(err):
		c.stall(err)
		return false
	case err != nil:
		c.fail(err)
		return false
	}
	c.resume()
	c.settle()
	c.o.tally.add(len(c.group), begin)
	clear(c.group)
	c.group = c.group[:0]
	return true
}

// write writes the entries, unless that would leave less than the reserve, which is the databases'.
func (c *outboxCommitter) write() error {
	g, bytes := c.o.room, int64(0)
	for _, e := range c.entries {
		bytes += int64(len(e.value))
	}
	err := g.refuses(bytes)
	if err == nil {
		err = c.files.write(c.entries, c.aside)
	}
	clear(c.entries)
	c.o.files.Store(c.files.bytes)
	g.look()
	return err
}

func isNoSpace(err error) bool {
	return errors.Is(err, errNoSpace) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// stall keeps the group until there is room, and has Put refuse more.
func (c *outboxCommitter) stall(err error) {
	c.o.room.look()
	if !c.o.stalled.Swap(true) && c.o.opt.Log != nil {
		c.o.opt.Log.WithError(err).WithField("dir", c.o.dir).Warn("the disk has no room for stanzas of nodes that are away: new ones are refused")
	}
}

func (c *outboxCommitter) resume() {
	if c.o.stalled.Swap(false) && c.o.opt.Log != nil {
		c.o.opt.Log.WithField("dir", c.o.dir).Info("the disk has room again")
	}
}

// settle notes that the group is on disk.
func (c *outboxCommitter) settle() {
	o := c.o
	var done []func(error)
	o.mu.Lock()
	for i, b := range c.group {
		at := c.files.wrote[i]
		b.stage, b.value, b.seg, b.at = blockStored, nil, at.seg, at.at
		o.room.pending.Add(-int64(b.size))
		done = append(done, b.done...)
		b.done = nil
		if b.old != nil {
			o.kill(b.old)
			b.old = nil
		}
		if b.dead {
			o.marks = append(o.marks, b)
		}
	}
	o.mu.Unlock()
	for _, f := range done {
		f(nil)
	}
}

// fail is final for the outbox.
func (c *outboxCommitter) fail(err error) {
	c.o.fail(err)
	c.giveUp()
}

// giveUp tells all that wait that nothing comes of it. Their blocks stay, for Get.
func (c *outboxCommitter) giveUp() {
	o := c.o
	o.mu.Lock()
	err := o.failed
	var done []func(error)
	for _, all := range [][]*block{c.group, o.queue} {
		for _, b := range all {
			done = append(done, b.done...)
			b.done = nil
		}
	}
	o.mu.Unlock()
	for _, f := range done {
		f(err)
	}
}

// mark writes what was deleted, and takes what has nothing else out of the directory.
func (c *outboxCommitter) mark() error {
	err := c.files.mark()
	c.o.files.Store(c.files.bytes)
	return err
}

// aside runs a sync beside the committer, which marks meanwhile what is deleted: who is killed while the disk is slow does
// not find again what was proved long before.
func (c *outboxCommitter) aside(sync func() error) error {
	done := make(chan error, 1)
	go func() { done <- sync() }() // this waits for it
	for woken := false; ; {
		select {
		case err := <-done:
			if woken {
				c.nudge() // there may have been more to it
			}
			return err
		case <-c.wake:
			c.markEarly()
			woken = true
		}
	}
}

// markEarly marks what was deleted. The next mark counts it, and does again what failed here.
func (c *outboxCommitter) markEarly() {
	c.o.mu.Lock()
	fresh := append([]*block(nil), c.o.marks...)
	c.o.marks = c.o.marks[:0]
	c.o.mu.Unlock()
	for _, b := range fresh {
		if !b.seg.gone {
			_ = c.files.markOne(b)
		}
	}
	c.files.marks = append(c.files.marks, fresh...)
}

func (c *outboxCommitter) syncMarks() {
	if !c.files.unsynced() {
		return
	}
	if err := c.files.syncMarks(c.aside); err != nil && !isNoSpace(err) {
		c.fail(err)
	}
}
