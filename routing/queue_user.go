package routing

import "github.com/patchbay-im/patchbay/stanza"

// userIndex finds what waits for one user in the queue of a node that is away. It is made when the first of the
// node's users moves to another node, and follows the queue: each stanza is looked at once, however many move.
type userIndex struct {
	byUser map[string][]stanzaAt // by bare JID
	cur    progress
	pend   progress
}

// stanzaAt is where a stanza lies.
type stanzaAt struct {
	b   *block
	rec int // its index
	at  int // its first byte
}

// progress is how far a block is indexed.
type progress struct {
	b   *block
	rec int
	at  int
}

// waitingStanza is a stanza taken out of a queue, in bytes of its own.
type waitingStanza struct {
	raw []byte
	rec rec
}

// takeUser takes out what waits for a user: for the full address, and with bareToo for the bare one. The places
// stay in the block until a link attaches; nobody writes meanwhile.
func (q *Queue) takeUser(full stanza.Address, bareToo bool) []waitingStanza {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil || q.writing || q.bytes == 0 {
		return nil
	}
	if q.index == nil {
		q.index = &userIndex{byUser: map[string][]stanzaAt{}}
	}
	q.index.follow(&q.index.cur, q.cur)
	q.index.follow(&q.index.pend, q.pend)
	bare := string(full.Bare())
	var taken []waitingStanza
	kept := q.index.byUser[bare][:0]
	for _, p := range q.index.byUser[bare] {
		r := &p.b.recs[p.rec]
		raw := p.b.b[p.at : p.at+int(r.size)]
		to, ok := addressee(raw)
		if !ok || !to.Equal(full) && !(bareToo && to.IsBare()) {
			kept = append(kept, p)
			continue
		}
		taken = append(taken, waitingStanza{raw: append([]byte(nil), raw...), rec: *r})
		r.class = classMoved
		q.moved++
		q.bytes -= int(r.size)
	}
	q.index.byUser[bare] = kept
	return taken
}

// follow indexes what a block has got since the last time.
func (x *userIndex) follow(p *progress, b *block) {
	if b == nil {
		return
	}
	if p.b != b {
		*p = progress{b: b, rec: b.next, at: b.done}
	}
	for ; p.rec < len(b.recs); p.rec++ {
		size := int(b.recs[p.rec].size)
		if to, ok := addressee(b.b[p.at : p.at+size]); ok && len(to.Local()) > 0 {
			x.byUser[string(to.Bare())] = append(x.byUser[string(to.Bare())], stanzaAt{b: b, rec: p.rec, at: p.at})
		}
		p.at += size
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
	q.index = nil
	for _, b := range []*block{q.cur, q.pend} {
		if b != nil {
			b.remove(classMoved) // counted when they were taken
		}
	}
}
