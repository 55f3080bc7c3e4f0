package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrNoBlock is what Outbox.Get says of a number that is not there.
var ErrNoBlock = errors.New("read block: none of this number")

// ErrDamaged is what Outbox.Get says of a block that is there and not as it was written, or whose file is gone: it is lost.
var ErrDamaged = errors.New("read block: it is lost")

// OutboxStats is what the outbox holds.
type OutboxStats struct {
	Blocks  int
	Bytes   int64 // of their values, also those that are not on disk yet
	Pending int64 // of those that are not
	Files   int64 // bytes of the files, in which deleted blocks may still take room
	Commits CommitStats
	Stalled bool // the disk has no room for what is to be written
}

// Outbox keeps blocks of stanzas for targets, each under a number (protocol 3). It does not know what is in a block.
//
//	Put, Delete                   Get                           Walk
//	   | memory, at once            | memory, then one read        | as Get, in order
//	   v                            v                              v
//	blocks (one map; each has its value, until that is on disk, or its place in a segment)
//	   |  what to write, in order; what to mark as dead
//	   v
//	outboxCommitter -- one write and one sync per group --> segments (outbox_disk.go)
//
// Everything but Close may be called from any goroutine, and nothing but Get, Walk, Flush and Close waits for the disk.
type Outbox struct {
	// set once
	dir  string
	opt  QueuesOptions
	room *roomGauge

	// owned by its goroutine, stopped by Close
	commits *outboxCommitter

	tally   commitTally
	total   atomic.Int64 // the most bytes
	files   atomic.Int64
	stalled atomic.Bool

	mu      sync.Mutex
	targets map[string]map[uint64]*block // guarded by mu
	queue   []*block                     // guarded by mu: to be written, in order
	handed  uint64                       // guarded by mu: blocks that were ever in queue
	marks   []*block                     // guarded by mu: to be marked as dead
	blocks  int                          // guarded by mu
	bytes   int64                        // guarded by mu: of the blocks
	seq     uint64                       // guarded by mu: the last sequence given
	closed  bool                         // guarded by mu
	failed  error                        // guarded by mu: the first failure
}

// block is one value and where it is. A block that was put again is another one.
type block struct {
	target string // set once
	number uint64 // set once

	value []byte        // guarded by Outbox.mu: until it is on disk; the bytes are never changed
	size  int           // guarded by Outbox.mu
	seq   uint64        // guarded by Outbox.mu
	stage stage         // guarded by Outbox.mu
	dead  bool          // guarded by Outbox.mu: deleted, or another is on disk in its place
	seg   *segment      // guarded by Outbox.mu: when stored
	at    int64         // guarded by Outbox.mu: of the record in seg
	old   *block        // guarded by Outbox.mu: what the disk has, or will have, until this one is there
	done  []func(error) // guarded by Outbox.mu
}

// stage is how far a block has come.
type stage uint8

const (
	blockQueued  stage = iota
	blockWriting       // in the group that the committer is at
	blockStored
)

// Put hands a block over, in the place of the one that has this number, if there is one. It belongs to the outbox from
// now on and must not be changed. done, which may be nil, is called once from the committer's goroutine, with no lock held: with
// nil when the block is on disk, or was deleted before it came there; or with the error for which it will not. It must not block.
// Put waits for nothing: the caller bounds what it has pending. The error is ErrNoSpace, ErrStoreFull, ErrDiskFull, ErrClosed,
// ErrBadBlock or the failure that OnFail was told of; done is not called then.
func (o *Outbox) Put(target string, number uint64, value []byte, done func(error)) error {
	if len(target) == 0 || len(target) > maxTarget || len(value) > maxBlock {
		return ErrBadBlock
	}
	size := int64(len(value))
	if o.stalled.Load() || !o.room.fits(size) {
		return ErrNoSpace
	}
	o.mu.Lock()
	err := o.put(target, number, value, done)
	o.mu.Unlock()
	if err == nil {
		o.commits.nudge()
	}
	return err
}

// ErrBadBlock is what Put says of an empty target or one of more than 1023 bytes, and of a block of more than 32 MiB.
var ErrBadBlock = errors.New("store block: its target or its length is none that can be kept")

func (o *Outbox) put(target string, number uint64, value []byte, done func(error)) error {
	if o.closed {
		return ErrClosed
	}
	if o.failed != nil {
		return o.failed
	}
	old := o.targets[target][number]
	more := int64(len(value))
	if old != nil {
		more -= int64(old.size)
	}
	if err := o.book(more); err != nil {
		return err
	}
	b := old
	if old == nil || old.stage != blockQueued {
		b = &block{target: target, number: number, old: old}
		o.queue = append(o.queue, b)
		o.handed++
	} else {
		o.room.pending.Add(-int64(old.size))
	}
	if old == nil {
		o.blocks++
	}
	o.seq++
	b.value, b.size, b.seq = value, len(value), o.seq
	if done != nil {
		b.done = append(b.done, done)
	}
	o.room.pending.Add(int64(len(value)))
	if o.targets[target] == nil {
		o.targets[target] = map[uint64]*block{}
	}
	o.targets[target][number] = b
	return nil
}

// book adds to the bytes of the outbox, unless they would be more than it may have, or both stores may. It is called with the mutex
// locked.
func (o *Outbox) book(more int64) error {
	if most := o.total.Load(); more > 0 && most > 0 && o.bytes+more > most {
		return ErrStoreFull
	}
	if !o.room.disk.book(more) {
		return ErrDiskFull
	}
	o.bytes += more
	return nil
}

// count adds to the bytes of the outbox, or takes from them, whatever the limits. It is called with the mutex locked.
func (o *Outbox) count(n int64) {
	o.bytes += n
	o.room.disk.held.Add(n)
}

// Delete takes a block out, at once for Get and the totals; the disk follows. A number that is not there is nothing. It does not
// wait, needs no room on the disk, and may come there before what was put earlier under other numbers.
func (o *Outbox) Delete(target string, number uint64) {
	o.mu.Lock()
	b := o.targets[target][number]
	if b == nil {
		o.mu.Unlock()
		return
	}
	delete(o.targets[target], number)
	if len(o.targets[target]) == 0 {
		delete(o.targets, target)
	}
	o.blocks--
	o.count(-int64(b.size))
	o.kill(b)
	o.mu.Unlock()
	o.commits.nudge()
}

// kill sees that neither a block nor an older one in its place comes back. The older comes first: a kill of the process between the two
// must not bring it back. It is called with the mutex locked.
func (o *Outbox) kill(b *block) {
	if b.old != nil {
		o.kill(b.old)
		b.old = nil
	}
	b.dead = true
	switch b.stage {
	case blockQueued:
		o.room.pending.Add(-int64(b.size))
		b.value = nil
	case blockStored:
		o.marks = append(o.marks, b)
	}
}

// Get gives the value of a block, also if it is not on disk yet. It may be the bytes that were put: they must not be changed.
// It waits for the disk. The error is ErrNoBlock, ErrDamaged, ErrClosed, or what went wrong with the disk: then the block may be had later.
func (o *Outbox) Get(target string, number uint64) ([]byte, error) {
	for {
		o.mu.Lock()
		b := o.targets[target][number]
		if b == nil || o.closed {
			closed := o.closed
			o.mu.Unlock()
			if closed {
				return nil, ErrClosed
			}
			return nil, ErrNoBlock
		}
		value, spot, is := b.value, b.spot(), b.stage == blockStored
		o.mu.Unlock()
		if !is {
			return value, nil
		}
		value, err := o.read(spot)
		switch {
		case err == nil:
			return value, nil
		case o.moved(b, spot):
		case errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%w: %w", ErrDamaged, o.explain(err))
		default:
			return nil, o.explain(err)
		}
	}
}

// place is where a stored block is.
type spot struct {
	seg    *segment
	at     int64
	target string
	number uint64
	size   int
	seq    uint64
}

// spot gives the spot of a block. The mutex is locked.
func (b *block) spot() spot {
	return spot{b.seg, b.at, b.target, b.number, b.size, b.seq}
}

// moved reports whether a block is not where it was: then its file may be gone.
func (o *Outbox) moved(b *block, p spot) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return b.dead || b.seg != p.seg
}

// Walk calls each with every block, in the order of target and number: the bytes of its value, and the first ones of it,
// at most 64 KiB, which are valid during the call. It is for the start, before the first Put. An error of each ends it. One that is
// damaged has size 0; the error at the end tells of it, an ErrDamaged.
func (o *Outbox) Walk(each func(target string, number uint64, size int, head []byte) error) error {
	o.mu.Lock()
	targets := make([]string, 0, len(o.targets))
	for t := range o.targets {
		targets = append(targets, t)
	}
	o.mu.Unlock()
	slices.Sort(targets)
	var damaged error
	for _, t := range targets {
		for _, n := range o.numbers(t) {
			value, err := o.Get(t, n)
			if errors.Is(err, ErrNoBlock) {
				continue // deleted meanwhile
			}
			if errors.Is(err, ErrDamaged) {
				damaged, err, value = errors.Join(damaged, err), nil, nil // those behind it are whole
			}
			if err == nil {
				err = each(t, n, len(value), value[:min(len(value), partMost)])
			}
			if err != nil {
				return errors.Join(damaged, err)
			}
		}
	}
	return damaged
}

// numbers gives the numbers of a target's blocks, rising.
func (o *Outbox) numbers(target string) (all []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := range o.targets[target] {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// SetTotal changes how many bytes all blocks may have together, 0: no bound. What is there beyond it stays.
func (o *Outbox) SetTotal(bytes int64) { o.total.Store(bytes) }

// Stats says what the outbox holds now, and what its commits took. It may be called after Close, too.
func (o *Outbox) Stats() OutboxStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return OutboxStats{Blocks: o.blocks, Bytes: o.bytes, Pending: o.room.pending.Load(), Files: o.files.Load(),
		Commits: o.tally.stats(), Stalled: o.stalled.Load()}
}

// Flush waits until all that was put and deleted before is on disk, or cannot come there: ErrNoSpace, ErrClosed, or the failure that
// OnFail was told of.
func (o *Outbox) Flush() error { return o.commits.flush() }

// close writes what is queued, gives up what finds no room, and ends the goroutine.
func (o *Outbox) close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	close(o.commits.stop)
	<-o.commits.ended
	return o.failure()
}

func (o *Outbox) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failed
}

// fail notes what went wrong with the disk. The first failure is final.
func (o *Outbox) fail(err error) {
	err = o.explain(err)
	o.mu.Lock()
	first := o.failed == nil
	if first {
		o.failed = err
	}
	o.mu.Unlock()
	if first && o.opt.OnFail != nil {
		o.opt.OnFail(err)
	}
}

// outboxLoss is for explain.
const outboxLoss = "the stanzas stored there are lost"

func (o *Outbox) explain(err error) error {
	if err == nil {
		return nil
	}
	return explain(o.dir, outboxLoss, err)
}
