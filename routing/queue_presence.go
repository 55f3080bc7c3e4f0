package routing

import (
	"bytes"

	"github.com/patchbay-im/patchbay/stanza"
)

// presenceAt is where the last presence of a pair lies.
type presenceAt struct {
	b     *block
	rec   int
	turns int // of b
}

// maxPairs bounds the pairs that replacePresence looks after while a node is away; of others all presence is kept.
const maxPairs = 1 << 16

// replacePresence takes out of what waits for a node without a link the presence that newer one of the same pair replaces: a
// state that has passed. Called with mu held, nobody writing.
func (q *Queue) replacePresence() {
	q.disk.presence = map[string]presenceAt{}
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
	if had && old.b.b != nil && !old.b.out && old.turns == old.b.turns {
		o := &old.b.recs[old.rec]
		q.count.replaced++
		q.env.lost(Superseded, o.origin)
		q.waited(old.b, 1, int(o.size))
		q.letGo(old.b, o)
		if old.b.kept || old.b.keeping {
			q.again(old.b)
		}
	}
	if had || len(q.disk.presence) < maxPairs {
		q.disk.presence[pair] = presenceAt{b, at, b.turns}
	}
}

// pairOf gives from and to of a presence that tells a state: available or unavailable.
func pairOf(raw []byte) (string, bool) {
	w := stanza.WalkBytes(raw)
	if !w.Next() {
		return "", false
	}
	if kind, _, typed := w.Attr("type"); typed && string(kind) != "unavailable" {
		return "", false
	}
	from, _, _ := w.Attr("from")
	to, _, ok := w.Attr("to")
	return string(from) + "\x00" + string(to), ok
}
