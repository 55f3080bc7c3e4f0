package routing

import (
	"hash/maphash"
	"slices"

	"github.com/patchbay-im/patchbay/storage"
)

// adoption finds, at the start, the letters in outboxes that are stored still. They are on their way again, in the place that they had:
// replays pass them over, and what is newer for their users waits behind them. The others have arrived, and nobody knows how many of those
// that took them had handled them: they are ordinary stanzas.
//
// A letter on disk is known by the lower half of its number in the store, as came, and by its bytes.
type adoption struct {
	m     *mail
	seed  maphash.Seed
	boxes map[string]map[uint32]*storedLetter // by bare JID: what is stored
}

// storedLetter is a message in the store.
type storedLetter struct {
	number uint64
	bytes  uint64 // a hash of them
	token  uint32 // 0: it has not been found in an outbox
}

func newAdoption(m *mail) *adoption {
	return &adoption{m: m, seed: maphash.MakeSeed(), boxes: map[string]map[uint32]*storedLetter{}}
}

// block looks for letters in a block that was found on disk, and brings it into memory if there are any: the tokens are not on disk.
func (a *adoption) block(n *Node, b *block) {
	if !b.letters || a.m.store == nil {
		return
	}
	value, err := n.queue.env.outbox.Get(n.queue.targetOf(b), b.first)
	read := &block{}
	if err != nil || read.decode(value) != nil {
		return // whoever wants to write it tells of that
	}
	i, found := 0, 0
	read.each(func(raw []byte, r rec) {
		if r.class == classStored && !a.letter(n, raw, &read.recs[i]) {
			read.recs[i].plain()
		} else if r.class == classStored {
			found++
		}
		i++
	})
	if found > 0 {
		n.queue.adopt(b, read, found)
	}
}

// letter gives a letter of a node's outbox its token, and reports false if it is not stored any more.
func (a *adoption) letter(n *Node, raw []byte, r *rec) bool {
	to, ok := addressee(raw)
	if !ok {
		return false
	}
	s := a.box(to.Bare())[r.came]
	if s == nil || s.bytes != maphash.Bytes(a.seed, raw) {
		return false
	}
	s.token = a.m.adopt(n, s.token, letterOf{string(to.Bare()), storage.Stored{Number: s.number, Origin: r.origin}})
	r.at = s.token
	return true
}

// box gives what is stored for a user, by the lower half of its number.
func (a *adoption) box(bare []byte) map[uint32]*storedLetter {
	if box, read := a.boxes[string(bare)]; read {
		return box
	}
	box := map[uint32]*storedLetter{}
	a.boxes[string(bare)] = box
	for after := uint64(0); ; {
		list, err := a.m.store.Read(bare, after, inFlight)
		if err != nil {
			a.m.r.cfg.Log.WithError(err).WithField("jid", string(bare)).Error("read what is stored for a user")
		}
		if len(list) == 0 {
			return box
		}
		for _, s := range list {
			after = s.Number
			box[uint32(s.Number)] = &storedLetter{number: s.Number, bytes: maphash.Bytes(a.seed, s.Raw)}
		}
	}
}

// adopt makes a letter of a copy that was found in the outbox of a node, and gives its token. token is that of another copy of the same
// message, 0 if there was none.
func (m *mail) adopt(n *Node, token uint32, l letterOf) uint32 {
	m.mu.Lock()
	if token > 0 {
		m.letters[token].left++
		m.mu.Unlock()
		return token
	}
	m.adopted++
	rd := m.roundOf(n)
	m.mu.Unlock()
	return m.post(rd, l, 1)
}

// settleLetters ends, at a stop, the letters of which a copy has arrived while others wait in outboxes: those are copies like any others
// from now on, and are nobody's if their node does not come back.
func (r *Router) settleLetters() {
	r.mail.counting.Wait() // nothing is written any more
	had := r.mail.halfArrived()
	if len(had) == 0 {
		return
	}
	for _, n := range r.Nodes() {
		n.queue.settleLetters(had, uint32(r.sessions.Version()))
	}
	r.mail.end(had)
}

// halfArrived gives the letters of which a copy has arrived.
func (m *mail) halfArrived() (tokens []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for t, l := range m.letters {
		if l.written > 0 {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// settleLetters makes copies of what it has of some letters. at is as in rec.
func (q *Queue) settleLetters(tokens []uint32, at uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.letters == 0 || q.out != nil || q.writing {
		return
	}
	for _, b := range q.blocks {
		for i := b.next; i < len(b.recs); i++ {
			if r := &b.recs[i]; r.class == classStored && slices.Contains(tokens, r.at) {
				r.class, r.came, r.at = classShared, 0, at
				q.letters--
				b.stale = b.kept || b.keeping
			}
		}
	}
}

// adopt puts a block with so many letters into memory, as it was read.
func (q *Queue) adopt(b, read *block, letters int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b.b, b.recs = read.b, read.recs
	q.letters += letters
	q.grew(cap(b.b))
}
