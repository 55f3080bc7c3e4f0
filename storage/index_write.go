package storage

import "sync/atomic"

// key names a session: the hash of its bare JID, and the canonical bytes of both parts.
type key struct {
	h         uint64
	bare, res []byte
}

func (k key) shard() int { return int(k.h >> (64 - shardBits)) }

// place is where a key is, or where it would go, in a shard's slots.
type place struct {
	slot  int    // of the key, or the first free one of its probe
	addr  uint32 // of the key's record; 0: none
	alive int    // live sessions of the bare JID; counted in full only when addr is 0
}

// writer is a locked shard. Its methods are those that change the index; the holder of a writer takes
// no other lock and calls nobody outside this package's index.
type writer struct {
	x *index
	i int
	*shard
}

func (x *index) lock(i int) writer {
	x.sh[i].mu.Lock()
	return writer{x, i, &x.sh[i]}
}

func (w writer) unlock()       { w.mu.Unlock() }
func (w writer) table() *table { return w.x.tabs[w.i].Load() }

func (w writer) binding(r record) *binding { return (*w.x.bind.Load())[r.head().binding()] }

// locate probes for a key.
func (w writer) locate(k key) place {
	t := w.table()
	p := place{slot: -1}
	for i := t.home(k.h); ; {
		v := atomic.LoadUint64(&t.slots[i])
		switch {
		case v == slotEmpty:
			if p.slot < 0 {
				p.slot = i
			}
			return p
		case v == slotTomb:
			if p.slot < 0 {
				p.slot = i
			}
		case uint32(v>>32) == uint32(k.h):
			r := t.record(uint32(v))
			if h := r.head(); r.is(h, k.bare, nil) {
				if r.is(h, k.bare, k.res) {
					return place{slot: i, addr: uint32(v)}
				}
				if !w.binding(r).dead.Load() {
					p.alive++
				}
			}
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// fields are what a session's record says apart from its key.
type fields struct {
	bind    *binding
	prio    int8
	version uint64
	since   uint32
	mark    Mark
}

// insert puts a new record at the place that locate gave for its key.
func (w writer) insert(k key, p place, f fields) {
	if w.crowded(1) {
		w.resize(1)
		p = w.locate(k)
	}
	addr := w.record(makeHead(f.bind.num, f.prio, len(k.bare), len(k.res)), k, f)
	t := w.table()
	if t.slots[p.slot] == slotEmpty {
		w.used++
	}
	atomic.StoreUint64(&t.slots[p.slot], k.h<<32|uint64(addr))
}

// record makes a record that no slot names yet.
func (w writer) record(hd head, k key, f fields) (addr uint32) {
	addr = w.alloc(hd.words())
	t := w.table()
	r := t.record(addr)
	r.setHead(hd)
	copy(r.bytes(0, len(k.bare)), k.bare)
	copy(r.bytes(len(k.bare), len(k.bare)+len(k.res)), k.res)
	r.setVersion(f.version)
	r.setTouch(f.since, f.mark)
	w.link(t, addr, f.bind.node)
	f.bind.count.Add(1)
	w.live++
	return addr
}

// admit puts in all that the disk has of a user of whom the index has nothing. A reader sees all of it or nothing:
// the slots are empty ones, in the order of the probe, and the last is filled first; so whoever comes past the
// first comes past all, and whoever came before it ended there.
func (w writer) admit(u *user) {
	if w.crowded(len(u.had)) {
		w.resize(len(u.had))
	}
	for i := range u.had {
		st := &u.had[i]
		k := key{u.h, u.bare, u.slab[st.lo:st.hi]}
		hd := makeHead(st.bind.num, st.prio, len(k.bare), len(k.res)) | headRead
		st.addr = w.record(hd, k, fields{bind: st.bind, prio: st.prio, version: st.version, since: st.since})
	}
	t := w.table()
	i := t.home(u.h)
	for n := 0; n < len(u.had); {
		if t.slots[i] == slotEmpty {
			u.had[n].slot = i
			n++
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	for n := len(u.had) - 1; n >= 0; n-- {
		atomic.StoreUint64(&t.slots[u.had[n].slot], u.h<<32|uint64(u.had[n].addr))
	}
	w.used += len(u.had)
}

// knows tells whether the index has any record of a bare JID.
func (w writer) knows(h uint64, bare []byte) (yes bool) {
	w.each(h, func(addr uint32) {
		r := w.table().record(addr)
		yes = yes || r.is(r.head(), bare, nil)
	})
	return yes
}

// crowded tells whether the slots are too few for more sessions.
func (w writer) crowded(more int) bool { return w.used+more > len(w.table().slots)*slotLoad/100 }

// alloc reserves n words, and shows readers the chunk if that took a new one.
func (w writer) alloc(n int) uint32 {
	addr, grown := w.arena.alloc(n)
	if grown {
		t := w.table()
		w.x.tabs[w.i].Store(&table{slots: t.slots, chunks: w.arena.chunks, door: t.door})
	}
	return addr
}

// replace gives an existing record new contents, under its key.
func (w writer) replace(addr uint32, f fields) {
	t := w.table()
	r := t.record(addr)
	old := w.binding(r)
	if old.node != f.bind.node {
		w.unlink(t, addr, old.node)
		w.link(t, addr, f.bind.node)
	}
	old.count.Add(-1)
	f.bind.count.Add(1)
	r.setVersion(f.version)
	r.setTouch(f.since, f.mark)
	r.setHead(r.head().with(f.bind.num, f.prio))
}

// remove takes a record out. The arena is not compacted here, so addresses stay good until tidy.
func (w writer) remove(p place) {
	t := w.table()
	r := t.record(p.addr)
	b := w.binding(r)
	if t.door != nil {
		t.door.forbid(w, r)
	}
	w.unlink(t, p.addr, b.node)
	b.count.Add(-1)
	w.arena.dead += r.head().words()
	w.live--
	next := p.slot + 1
	if next == len(t.slots) {
		next = 0
	}
	if atomic.LoadUint64(&t.slots[next]) != slotEmpty {
		atomic.StoreUint64(&t.slots[p.slot], slotTomb)
		return
	}
	// Nothing lies behind: the slot, and the tombstones before it, can end probes again.
	for i := p.slot; ; {
		atomic.StoreUint64(&t.slots[i], slotEmpty)
		w.used--
		if i--; i < 0 {
			i = len(t.slots) - 1
		}
		if atomic.LoadUint64(&t.slots[i]) != slotTomb {
			return
		}
	}
}

// slotLoad is the share of used slots, in percent, at which a shard gets new ones; slotFill what is
// used after that.
const (
	slotLoad = 85
	slotFill = 66
)

func slotsFor(live int) int { return max(slotsMin, live*100/slotFill) }

// resize gives the shard new slots, without tombstones and with room for more; the records stay.
func (w writer) resize(more int) {
	old := w.table()
	t := &table{slots: make([]uint64, slotsFor(w.live+more)), chunks: old.chunks, door: old.door}
	for _, v := range old.slots {
		if v > slotTomb {
			r := t.record(uint32(v))
			t.put(w.x.hash(r.bare(r.head())), uint32(v))
		}
	}
	w.used = w.live
	w.x.tabs[w.i].Store(t)
}

// put fills the first empty slot of a table that no reader sees yet.
func (t *table) put(h uint64, addr uint32) {
	i := t.home(h)
	for t.slots[i] != slotEmpty {
		if i++; i == len(t.slots) {
			i = 0
		}
	}
	t.slots[i] = h<<32 | uint64(addr)
}

// tidy compacts the shard when more than half of its arena is dead. Addresses do not outlive it.
// The copy is built aside: readers keep the old table until the new one is whole.
func (w writer) tidy() {
	if w.arena.dead*8 <= w.x.min || w.arena.dead*2 <= w.arena.words {
		return
	}
	old := w.table()
	fresh := &table{slots: make([]uint64, slotsFor(w.live+1)), door: old.door}
	w.arena = newArena()
	clear(w.heads)
	for _, v := range old.slots {
		if v <= slotTomb {
			continue
		}
		r := old.record(uint32(v))
		n := r.head().words()
		addr, _ := w.arena.alloc(n)
		fresh.chunks = w.arena.chunks
		copy(fresh.record(addr)[:n], r[:n])
		fresh.put(w.x.hash(r.bare(r.head())), addr)
		w.link(fresh, addr, w.binding(r).node)
	}
	w.used = w.live
	w.x.tabs[w.i].Store(fresh)
}
