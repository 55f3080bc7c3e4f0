package routing

import (
	"slices"
	"sync"
	"time"
)

// block is a run of whole stanzas with a rec for each. Small ones and large ones are pooled: most links have
// nothing waiting most of the time.
type block struct {
	b    []byte // nil: it is on disk only
	recs []rec

	first uint64 // number of its first stanza, when that was queued: its name on disk
	since int64  // UnixNano, coarse: when that was
	born  uint64 // moment of its first stanza (retired)
	last  uint64 // and of its last

	// how far it is written
	off  int // bytes
	done int // bytes of whole stanzas
	next int // first rec not wholly written

	// and how far proved
	turns  int // how often its stanzas have been put to other places in it
	over   int // first rec not proved
	passed int // bytes of those before it

	onDisk
}

// onDisk is what is said of a block that has to do with the disk.
type onDisk struct {
	spill   bool // it is to be there, unless it is written before
	closed  bool // nothing is appended to it any more
	keeping bool // the disk is about to have it
	kept    bool // the disk has it
	early   bool // it is to be there while it is written, or in the ring: somebody waits for that
	parted  bool // its stanzas are more than its numbers
	stale   bool // what the disk has, or will have, is not all that was said since
	out     bool // it is in its queue no more
	late    bool // it waited for a link: its stanzas say since when
	stamped bool // they do
	dropped bool // its queue does not want the disk to have it
	retires bool // it has been taken out whole, and the disk has it, or will have
	owed    int  // takings that have to be safe before the disk may lose what it has of it

	target string                // in the outbox, if not the queue's
	count  int                   // stanzas, while it is on disk only
	size   int                   // and their bytes
	users  []uint32              // whom its stanzas are for, by userHash, sorted; nil: not known
	index  map[string][]stanzaAt // its stanzas by user, once somebody asked
	holes  int                   // stanzas that were taken out and still lie in it
	dead   []int                 // those that the disk has all the same, by their places there

	letters bool // there were some in it when it was found on disk
	notices bool // some of the server are in it, since it was on disk only
	itself  bool // and something for the node itself, from another
}

const (
	smallBlock = 4 << 10
	largeBlock = 128 << 10
)

var (
	smallBlocks = sync.Pool{New: func() any {
		return &block{b: make([]byte, 0, smallBlock), recs: make([]rec, 0, 16)}
	}}
	largeBlocks = sync.Pool{New: func() any {
		return &block{b: make([]byte, 0, largeBlock), recs: make([]rec, 0, 512)}
	}}
)

// newBlock gives a block with room for n bytes.
func newBlock(n int) *block {
	switch {
	case n <= smallBlock:
		return smallBlocks.Get().(*block)
	case n <= largeBlock:
		return largeBlocks.Get().(*block)
	}
	return &block{b: make([]byte, 0, n+edited)}
}

// edited is what splicing commonly adds to a stanza that is larger than any pooled block.
const edited = 512

// room reports whether n more bytes fit. A small block that is full trades its memory for a large one's.
func (b *block) room(n int) bool {
	if len(b.b)+n <= cap(b.b) {
		return true
	}
	if cap(b.b) >= largeBlock || len(b.b)+n > largeBlock {
		return false
	}
	large := largeBlocks.Get().(*block)
	large.b = append(large.b[:0], b.b...)
	large.recs = append(large.recs[:0], b.recs...)
	b.b, b.recs, large.b, large.recs = large.b, large.recs, b.b, b.recs
	large.free()
	return true
}

// free gives the block's memory back.
func (b *block) free() {
	*b = block{b: b.b[:0], recs: b.recs[:0]}
	switch {
	case cap(b.b) == smallBlock:
		smallBlocks.Put(b)
	case cap(b.b) >= largeBlock && cap(b.b) <= 2*largeBlock:
		largeBlocks.Put(b)
	}
}

func (b *block) empty() bool { return b.next == len(b.recs) && b.b != nil }

// advance accounts for n more bytes written and returns how many stanzas, and bytes of them, are now whole.
func (b *block) advance(n int) (stanzas, size int) {
	b.off += n
	before, first := b.done, b.next
	if b.off == len(b.b) {
		b.done, b.next = b.off, len(b.recs)
		return b.next - first, b.done - before
	}
	for b.next < len(b.recs) && b.done+int(b.recs[b.next].size) <= b.off {
		b.done += int(b.recs[b.next].size)
		b.next++
	}
	return b.next - first, b.done - before
}

// sizeOf gives the bytes of the next n stanzas of a block, of all if it has less.
func (b *block) sizeOf(n uint64) (size int) {
	for i := b.next; i < len(b.recs) && n > 0; i, n = i+1, n-1 {
		size += int(b.recs[i].size)
	}
	return size
}

// remove takes the unwritten stanzas of one class out; it is only used on a block that nobody writes.
func (b *block) remove(c class) (stanzas, size int) {
	if !slices.ContainsFunc(b.recs[b.next:], func(r rec) bool { return r.class == c }) {
		return 0, 0
	}
	at, to := b.done, b.done
	kept := b.recs[:b.next]
	for _, r := range b.recs[b.next:] {
		end := at + int(r.size)
		if r.class == c {
			stanzas, size = stanzas+1, size+int(r.size)
		} else {
			to += copy(b.b[to:], b.b[at:end])
			kept = append(kept, r)
		}
		at = end
	}
	b.b, b.recs, b.index = b.b[:to], kept, nil
	b.turns++
	return stanzas, size
}

// cutFront takes the stanzas that are proved out of a block that nobody writes.
func (b *block) cutFront() {
	b.b = b.b[:copy(b.b, b.b[b.passed:])]
	b.recs = b.recs[:copy(b.recs, b.recs[b.over:])]
	b.off, b.done, b.next = b.off-b.passed, b.done-b.passed, b.next-b.over
	b.over, b.passed, b.index = 0, 0, nil
	b.turns++
	b.stale = b.stale || b.kept || b.keeping
}

// left is how many stanzas of a block wait.
func (b *block) left() (n int) {
	if b.b == nil {
		return b.count
	}
	for _, r := range b.recs[b.next:] {
		if r.class != classMoved {
			n++
		}
	}
	return n
}

// age is how many milliseconds after the block's first stanza one comes now.
func (b *block) age(now int64) uint32 { return uint32(max(0, now-b.since) / 1e6) }

// when is the time at which a stanza of the block came.
func (b *block) when(r rec) time.Time {
	return time.Unix(0, b.since).Add(time.Duration(r.came) * time.Millisecond)
}

// each calls f with each unwritten stanza.
func (b *block) each(f func(raw []byte, r rec)) { b.from(b.next, b.done, f) }

// eachUnproved calls f with each stanza that is not proved, written or not.
func (b *block) eachUnproved(f func(raw []byte, r rec)) { b.from(b.over, b.passed, f) }

// from calls f with each stanza from one on, whose first byte is given.
func (b *block) from(i, at int, f func(raw []byte, r rec)) {
	for _, r := range b.recs[i:] {
		f(b.b[at:at+int(r.size)], r)
		at += int(r.size)
	}
}
