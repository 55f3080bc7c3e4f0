package storage

// arena gives out the words of records, chunk by chunk. Nothing is given back: tidy copies what lives.
type arena struct {
	chunks [][]uint64 // never changed in place beyond their words: a published table shares it
	next   uint32     // address of the next record
	end    uint32     // address after the last word of the last chunk
	words  int        // words of all chunks
	dead   int        // words of removed records and of unused chunk ends
}

func newArena() arena { return arena{next: firstAddr, end: firstAddr} }

// alloc reserves n words for a record; grown says that chunks was replaced. A record never straddles
// chunks.
func (a *arena) alloc(n int) (addr uint32, grown bool) {
	if uint32(n) > a.end-a.next {
		a.dead += int(a.end - a.next)
		c := make([]uint64, min(chunkMax, chunkMin<<min(len(a.chunks), chunkBits)))
		start := uint32(len(a.chunks)) << chunkBits
		a.chunks = append(a.chunks[:len(a.chunks):len(a.chunks)], c)
		a.next, a.end = max(start, firstAddr), start+uint32(len(c))
		a.words += len(c)
		grown = true
	}
	addr = a.next
	a.next += uint32(n)
	return addr, grown
}

// The list of all sessions of one node in a shard: what sync's end and the loss of a node walk.

func (w writer) link(t *table, addr uint32, node NodeID) {
	for int(node) >= len(w.heads) {
		w.heads = append(w.heads, 0)
	}
	first := w.heads[node]
	t.record(addr).setLinks(0, first)
	if first != 0 {
		r := t.record(first)
		r.setLinks(addr, r.next())
	}
	w.heads[node] = addr
}

func (w writer) unlink(t *table, addr uint32, node NodeID) {
	r := t.record(addr)
	prev, next := r.prev(), r.next()
	if prev == 0 {
		w.heads[node] = next
	} else {
		p := t.record(prev)
		p.setLinks(p.prev(), next)
	}
	if next != 0 {
		n := t.record(next)
		n.setLinks(prev, n.next())
	}
}

// first is the head of a node's list, 0 for none.
func (w writer) first(node NodeID) uint32 {
	if int(node) >= len(w.heads) {
		return 0
	}
	return w.heads[node]
}
