package routing

import "github.com/patchbay-im/patchbay/stanza"

// userIndex finds what waits for one user in the queue of a node that is away. It is made when the first of the
// node's users moves to another node, and follows the queue: each stanza is looked at once, however many move.
type userIndex struct {
	byUser map[string][]stanzaAt // by bare JID
	block  int                   // the first block that is not wholly indexed
	rec    int                   // and how far it is
	at     int
}

// stanzaAt is where a stanza lies.
type stanzaAt struct {
	b   *block
	rec int // its index
	at  int // its first byte
}

// waitingStanza is a stanza taken out of a queue, in bytes of its own.
type waitingStanza struct {
	raw []byte
	rec rec
}

// takeUser takes out what waits for a user: for the full address, and with bareToo for the bare one, which is all that
// was stored. The places
// stay in the block until a link attaches; nobody writes meanwhile.
func (q *Queue) takeUser(full stanza.Address, bareToo bool) []waitingStanza {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil || q.writing || q.bytes == 0 {
		return nil
	}
	if q.index == nil {
		q.index = newUserIndex(q.blocks)
	}
	q.index.follow(q.blocks)
	bare := string(full.Bare())
	var taken []waitingStanza
	kept := q.index.byUser[bare][:0]
	for _, p := range q.index.byUser[bare] {
		r := &p.b.recs[p.rec]
		raw := p.b.b[p.at : p.at+int(r.size)]
		to, ok := addressee(raw)
		if !ok || !to.Equal(full) && !(bareToo && (to.IsBare() || r.class == classStored)) {
			kept = append(kept, p)
			continue
		}
		taken = append(taken, waitingStanza{raw: append([]byte(nil), raw...), rec: *r})
		if r.class == classStored {
			q.letters--
		}
		r.class = classMoved
		q.moved++
		q.bytes -= int(r.size)
		q.holes += int(r.size)
	}
	if q.index.byUser[bare] = kept; len(kept) == 0 {
		delete(q.index.byUser, bare)
	}
	if q.holes > q.limit/2 {
		q.removeMoved()
	}
	return taken
}

func newUserIndex(blocks []*block) *userIndex {
	x := &userIndex{byUser: map[string][]stanzaAt{}}
	if len(blocks) > 0 {
		x.rec, x.at = blocks[0].next, blocks[0].done // the first may be written in part
	}
	return x
}

// follow indexes what the queue has got since the last time.
func (x *userIndex) follow(blocks []*block) {
	for {
		b := blocks[x.block]
		for ; x.rec < len(b.recs); x.rec++ {
			size := int(b.recs[x.rec].size)
			if to, ok := addressee(b.b[x.at : x.at+size]); ok && len(to.Local()) > 0 {
				x.byUser[string(to.Bare())] = append(x.byUser[string(to.Bare())], stanzaAt{b: b, rec: x.rec, at: x.at})
			}
			x.at += size
		}
		if x.block+1 == len(blocks) {
			return
		}
		x.block, x.rec, x.at = x.block+1, 0, 0
	}
}

// addressee reads the to of a queued stanza.
func addressee(raw []byte) (stanza.Address, bool) {
	w := stanza.WalkBytes(raw)
	if !w.Next() {
		return stanza.Address{}, false
	}
	value, escaped, ok := w.Attr("to")
	if !ok {
		return stanza.Address{}, false
	}
	to, _, err := stanza.ParseAddress(value, escaped, nil)
	return to, err == nil
}

// removeMoved closes the gaps that takeUser left. Called with mu held, nobody writing.
func (q *Queue) removeMoved() {
	q.index, q.holes = nil, 0
	for _, b := range q.blocks {
		b.remove(classMoved) // counted when they were taken
	}
}
