package storage

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"unsafe"
)

// The sizes of the index. A record's address is chunk<<chunkBits | word, so chunks may be smaller than
// the address space of one: the first are, to keep a small table small.
const (
	shardBits  = 8
	shardCount = 1 << shardBits
	chunkBits  = 12
	chunkMask  = 1<<chunkBits - 1
	chunkMax   = 1 << chunkBits // words: 32 KiB
	chunkMin   = 512            // words: 4 KiB, more than the longest record (388 words)
	slotsMin   = 16
	coldWords  = 3
	warmWords  = 5 // words of a record that never change but for the head: touch reads them without a lock

	slotEmpty = 0 // ends a probe
	slotTomb  = 1 // a removed slot: a probe goes on
	firstAddr = 2 // so that no slot in use equals slotEmpty or slotTomb
)

// index is the session table in memory: 256 shards by the hash of the bare JID, each an open-addressing
// array of slots and an arena of records without pointers (nothing for the garbage collector to scan).
// Readers take no lock: a slot is published after its record, a table after its contents.
type index struct {
	seed maphash.Seed                      // set once
	min  int                               // set once: dead bytes below which a shard is not compacted
	tabs [shardCount]atomic.Pointer[table] // changed under the shard's mutex, read by anybody
	bind atomic.Pointer[bindings]          // changed by the node table, read by anybody
	sh   [shardCount]shard
}

// table is what a reader of a shard sees.
type table struct {
	slots  []uint64 // tag<<32 | address; atomic
	chunks [][]uint64
	door   *door // nil: all sessions of the disk are in memory; else a user who is missed here may be on disk
}

// shard is the writers' side of a shard.
type shard struct {
	mu sync.Mutex

	// guarded by mu
	used  int // slots that are not empty: sessions and tombstones
	live  int // sessions, dead ones that wait for the sweep included
	arena arena
	heads []uint32 // by NodeID: address of the first record of the node's list, 0 for none

	_ [40]byte // keeps the mutexes of two shards off one cache line
}

// head is the first word of a record: binding | priority | length of the bare JID | of the resource.
// The lengths never change; the rest is replaced as a whole by one atomic store.
type head uint64

// headRead marks the record of a session that was read from the disk of the last run (see door.gone). It stays for
// the record's life.
const headRead = head(1 << 61)

func makeHead(binding uint32, prio int8, bare, res int) head {
	return head(binding) | head(uint8(prio))<<32 | head(bare)<<40 | head(res)<<51
}

func (w head) binding() uint32 { return uint32(w) }
func (w head) priority() int8  { return int8(uint8(w >> 32)) }
func (w head) bareLen() int    { return int(w >> 40 & 0x7ff) }
func (w head) resLen() int     { return int(w >> 51 & 0x3ff) }
func (w head) cold() int       { return max(warmWords, 1+(w.bareLen()+w.resLen()+7)>>3) }
func (w head) words() int      { return w.cold() + coldWords }

// with is w under another binding and priority.
func (w head) with(binding uint32, prio int8) head {
	return w&^(1<<40-1) | head(binding) | head(uint8(prio))<<32
}

// record is a record's words: head, key bytes (bare JID, resource), version, since|mark, prev|next.
type record []uint64

func (r record) head() head     { return head(atomic.LoadUint64(&r[0])) }
func (r record) setHead(w head) { atomic.StoreUint64(&r[0], uint64(w)) }

// bytes is the key's memory from lo to hi. It is written before the record is published and never after.
func (r record) bytes(lo, hi int) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&r[1])), hi)[lo:]
}

func (r record) bare(w head) []byte { return r.bytes(0, w.bareLen()) }
func (r record) res(w head) []byte  { return r.bytes(w.bareLen(), w.bareLen()+w.resLen()) }

// The cold words are read and written under the shard's mutex only.
func (r record) version() uint64 { return r[r.head().cold()] }
func (r record) since() uint32   { return uint32(r[r.head().cold()+1]) }
func (r record) mark() Mark      { return Mark(r[r.head().cold()+1] >> 32) }
func (r record) prev() uint32    { return uint32(r[r.head().cold()+2]) }
func (r record) next() uint32    { return uint32(r[r.head().cold()+2] >> 32) }

func (r record) setVersion(v uint64) { r[r.head().cold()] = v }
func (r record) setTouch(since uint32, m Mark) {
	r[r.head().cold()+1] = uint64(since) | uint64(m)<<32
}
func (r record) setLinks(prev, next uint32) {
	r[r.head().cold()+2] = uint64(prev) | uint64(next)<<32
}

func (t *table) record(addr uint32) record {
	return record(t.chunks[addr>>chunkBits][addr&chunkMask:])
}

// home is where the probe of a hash begins: fastrange over the 32 bits below the shard's.
func (t *table) home(h uint64) int {
	return int(h >> (64 - shardBits - 32) & 0xffffffff * uint64(len(t.slots)) >> 32)
}

// is tells whether the record is of this bare JID and, unless res is nil, of this resource.
func (r record) is(w head, bare, res []byte) bool {
	if w.bareLen() != len(bare) || res != nil && w.resLen() != len(res) {
		return false
	}
	if res == nil {
		return string(r.bare(w)) == string(bare)
	}
	return string(r.res(w)) == string(res) && string(r.bare(w)) == string(bare)
}

func newIndex(k knobs) *index {
	x := &index{seed: k.seed, min: k.compact}
	for i := range x.tabs {
		x.tabs[i].Store(&table{slots: make([]uint64, slotsMin)})
		x.sh[i].arena = newArena()
	}
	return x
}

// knobs are what tests turn to bring about in a small table what else takes a large one.
type knobs struct {
	compact int                        // dead bytes below which a shard is not compacted
	seed    maphash.Seed               // of the hash of bare JIDs
	pace    func(stop <-chan struct{}) // called by the load before each user; nil: not
	space   spaceFunc
}

func defaultKnobs() knobs { return knobs{compact: 64 << 10, seed: maphash.MakeSeed(), space: space} }

func (x *index) hash(bare []byte) uint64 { return maphash.Bytes(x.seed, bare) }

// find appends the live sessions of a bare JID, or the one of a resource, to dst. No lock, no allocation
// beyond dst's growth, but for a miss in a table with a door. A session that ends and begins again during the call may be given twice.
func (x *index) find(h uint64, bare, res []byte, dst []Match) []Match {
	t := x.tabs[h>>(64-shardBits)].Load()
	had := len(dst)
	for i := t.home(h); ; {
		v := atomic.LoadUint64(&t.slots[i])
		if v == slotEmpty {
			if t.door == nil || len(dst) > had { // all of a user come in together
				return dst
			}
			t = t.door.table(h, bare)
			i = t.home(h)
			continue
		}
		if uint32(v>>32) == uint32(h) && v != slotTomb {
			if t.older(v) {
				return x.find(h, bare, res, dst[:had])
			}
			r := t.record(uint32(v))
			if w := r.head(); r.is(w, bare, res) {
				// Loaded after the head: the bindings are published before a head that names a new one.
				if b := (*x.bind.Load())[w.binding()]; !b.dead.Load() {
					dst = append(dst, Match{Node: b.node, Priority: w.priority()})
				}
				if res != nil {
					return dst
				}
			}
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// older tells that a slot names a chunk newer than the table. Tables share slots while only chunks are
// added, so a reader may see a slot of the next table; that one is published already.
func (t *table) older(v uint64) bool { return int(uint32(v)>>chunkBits) >= len(t.chunks) }

// touch loads the cache line of the slots where find will begin.
func (x *index) touch(h uint64) uint64 {
	t := x.tabs[h>>(64-shardBits)].Load()
	return atomic.LoadUint64(&t.slots[t.home(h)])
}

// touchRecord loads the head of the first record whose tag is the hash's. The slots should be in the
// cache by then: the branches depend on them.
func (x *index) touchRecord(h uint64) uint64 {
	t := x.tabs[h>>(64-shardBits)].Load()
	for i, n := t.home(h), 0; n < 8; n++ {
		v := atomic.LoadUint64(&t.slots[i])
		if uint32(v>>32) == uint32(h) && v > slotTomb && !t.older(v) {
			r := t.record(uint32(v))
			return uint64(r.head()) + r[warmWords-1] // the key may go on in the next line
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	return 0
}

// heldBy tells whether the index has a session of the bare JID under the node, dead ones included.
func (x *index) heldBy(h uint64, bare []byte, node NodeID) bool {
	t := x.tabs[h>>(64-shardBits)].Load()
	for i := t.home(h); ; {
		v := atomic.LoadUint64(&t.slots[i])
		if v == slotEmpty {
			if t.door == nil {
				return false
			}
			t = t.door.table(h, bare)
			i = t.home(h)
			continue
		}
		if uint32(v>>32) == uint32(h) && v != slotTomb {
			if t.older(v) {
				return x.heldBy(h, bare, node)
			}
			r := t.record(uint32(v))
			if w := r.head(); r.is(w, bare, nil) && (*x.bind.Load())[w.binding()].node == node {
				return true
			}
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}
