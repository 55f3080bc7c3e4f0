package routing

import (
	"slices"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// waitingStanza is a stanza taken out of a queue.
type waitingStanza struct {
	raw  []byte
	rec  rec
	came time.Time
}

// takeUser takes out what waits for a user in the queue of a node that is away: for the full address, and with bareToo for
// the bare one, which is all that was stored. The places stay in the blocks until they are written; what is on disk is
// brought back for it, and goes there again without them when they are safe (paid). What it gives is in bytes of its own.
func (q *Queue) takeUser(full stanza.Address, bareToo bool) (taken []waitingStanza, left remains) {
	user := userHash(full.Bare())
	left = none()
	q.mu.Lock()
	for i := 0; i < len(q.blocks); i++ {
		if q.out != nil || q.writing || q.acks.claimed {
			break // the node is back
		}
		b := q.blocks[i]
		if b.b == nil && b.mayHave(user) {
			if i, _ = q.fetch(i); i < 0 || q.out != nil || q.writing {
				continue // it came back meanwhile; or others may have gone too: look again from the start
			}
		}
		if b.b != nil && (b.users == nil || !b.closed || b.mayHave(user)) {
			before := len(taken)
			if taken = q.takeFrom(b, full, bareToo, taken); len(taken) > before {
				left.add(b)
			}
		}
		if q.memory > q.limit || q.env.tight.Load() {
			q.release(b)
		}
	}
	if q.out == nil && !q.writing {
		q.sweep()
	}
	if len(q.disk.todo)+len(q.disk.stale) > 0 {
		q.disk.due = true
	}
	q.unlock()
	return taken, left
}

// fetch brings the i-th block back from the disk. Called with mu held; it lets go of it meanwhile, and gives where the block is
// then, -1 if it has gone, and false if it cannot be read now.
func (q *Queue) fetch(i int) (at int, read bool) {
	b := q.blocks[i]
	place := placeOnDisk{q.targetOf(b), b.first}
	q.mu.Unlock()
	value, err := q.env.outbox.Get(place.target, place.number)
	q.mu.Lock()
	read = true
	if b.b == nil && !b.out {
		read = q.loaded(b, value, err)
	}
	return slices.Index(q.blocks, b), read
}

// takeFrom takes what waits for a user out of one block. Called with mu held, nobody writing.
func (q *Queue) takeFrom(b *block, full stanza.Address, bareToo bool, taken []waitingStanza) []waitingStanza {
	if b.index == nil {
		b.index = b.indexed()
	}
	bare := string(full.Bare())
	places := b.index[bare]
	kept := places[:0]
	for _, p := range places {
		r := &b.recs[p.rec]
		raw := b.b[p.at : p.at+r.size]
		to, ok := addressee(raw)
		if r.class == classMoved {
			continue
		}
		if !ok || !to.Equal(full) && !(bareToo && (to.IsBare() || r.class == classStored)) {
			kept = append(kept, p)
			continue
		}
		taken = append(taken, waitingStanza{append([]byte(nil), raw...), *r, b.when(*r)})
		if r.class == classStored {
			q.letters--
		}
		q.count.moved++
		q.waited(b, 1, int(r.size))
		q.letGo(b, r)
		q.stray(b)
	}
	b.index[bare] = kept
	if !b.closed {
		b.index = nil // it may grow
	}
	return taken
}

// stanzaAt is where a stanza lies in its block.
type stanzaAt struct {
	rec int
	at  uint32 // its first byte
}

// indexed finds the stanzas of a block by their user.
func (b *block) indexed() map[string][]stanzaAt {
	index := map[string][]stanzaAt{}
	at := uint32(b.done)
	for i := b.next; i < len(b.recs); i++ {
		r := b.recs[i]
		if to, ok := addressee(b.b[at : at+r.size]); ok && len(to.Local()) > 0 && r.class != classMoved {
			index[string(to.Bare())] = append(index[string(to.Bare())], stanzaAt{i, at})
		}
		at += r.size
	}
	return index
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

// compact closes the gaps that were left in a block. Called with mu held, nobody writing it.
func (q *Queue) compact(b *block) {
	if b.holes == 0 {
		return
	}
	b.remove(classMoved) // counted when they were taken
	b.holes = 0
}
