package routing

import (
	"bytes"
	"hash/maphash"

	"github.com/patchbay-im/patchbay/stanza"
)

// presenceAt is where the last presence of a pair lies.
type presenceAt struct {
	b     *block
	turns int // the block's, when rec was the stanza's place
	rec   int
	rc    rec
}

// maxPairs bounds the pairs that replacePresence looks after while a node is away; of others all presence is kept.
const maxPairs = 1 << 16

// replacePresence takes out of what waits for a node without a link the presence that newer one of the same pair replaces: a
// state that has passed. Called with mu held, nobody writing.
func (q *Queue) replacePresence() {
	q.disk.presence = map[uint64]presenceAt{}
	for _, b := range q.blocks {
		i := b.next
		b.each(func(raw []byte, r rec) {
			q.presence(b, i, raw, r)
			i++
		})
	}
}

// presence notes one more stanza that waits. Called with mu held, without a link.
func (q *Queue) presence(b *block, at int, raw []byte, r rec) {
	if !bytes.HasPrefix(raw, []byte("<presence")) || !r.class.keeps() {
		return
	}
	pair, ok := pairOf(raw)
	if !ok {
		return
	}
	old, had := q.disk.presence[pair]
	if had && old.waits() {
		q.count.replaced++
		q.env.lost(Superseded, old.rc.origin)
		q.waited(old.b, 1, int(old.rc.size))
		q.forget(old)
	}
	if had || len(q.disk.presence) < maxPairs {
		q.disk.presence[pair] = presenceAt{b, b.turns, at, r}
	}
}

// locate notes the places of the presence in a block anew: others were taken out of it. Called with mu held.
func (q *Queue) locate(b *block) {
	i := b.next
	b.each(func(raw []byte, r rec) {
		if bytes.HasPrefix(raw, []byte("<presence")) && q.disk.presence != nil {
			if pair, ok := pairOf(raw); ok && q.disk.presence[pair].b == b {
				q.disk.presence[pair] = presenceAt{b, b.turns, i, r}
			}
		}
		i++
	})
}

// waits reports whether presence still is where it was.
func (p *presenceAt) waits() bool {
	return !p.b.out && p.b.turns == p.turns && (p.b.b == nil || p.b.recs[p.rec].class != classMoved)
}

// forget takes presence out that newer one replaces. Called with mu held.
func (q *Queue) forget(old presenceAt) {
	b := old.b
	if b.b == nil {
		b.dead = append(b.dead, old.rec) // on disk it stays until the block is brought back
		b.count, b.size = b.count-1, b.size-int(old.rc.size)
		return
	}
	q.letGo(b, &b.recs[old.rec])
	if b.kept || b.keeping {
		q.again(b)
	}
}

// bury makes holes of the stanzas that were taken out while a block was on disk only.
func (b *block) bury() {
	b.holes = len(b.dead)
	for _, i := range b.dead {
		b.recs[i].class = classMoved
	}
}

// pairs is the seed of pairOf.
var pairs = maphash.MakeSeed()

// pairOf gives a hash of from and to of a presence that tells a state: available or unavailable.
func pairOf(raw []byte) (uint64, bool) {
	w := stanza.WalkBytes(raw)
	if !w.Next() {
		return 0, false
	}
	if kind, _, typed := w.Attr("type"); typed && string(kind) != "unavailable" {
		return 0, false
	}
	from, _, _ := w.Attr("from")
	to, _, ok := w.Attr("to")
	var h maphash.Hash
	h.SetSeed(pairs)
	_, _ = h.Write(from)
	_ = h.WriteByte(0)
	_, _ = h.Write(to)
	return h.Sum64(), ok
}
