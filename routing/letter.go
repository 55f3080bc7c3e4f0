package routing

import (
	"maps"

	"github.com/patchbay-im/patchbay/storage"
)

// letter is a stored message with copies in queues.
type letter struct {
	bare    string
	number  uint64
	origin  storage.NodeID
	round   *round
	left    int // copies on their way
	written int
	lost    int // copies that left their queue unwritten
}

// post makes a letter of so many copies, and gives its token.
func (m *mail) post(rd *round, l letterOf, copies int) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.token++; m.letters[m.token] != nil; m.token++ { // it goes round
	}
	m.letters[m.token] = &letter{bare: l.bare, number: l.Number, origin: l.Origin, round: rd, left: copies}
	if m.flights[l.bare] == nil {
		m.flights[l.bare] = map[uint64]struct{}{}
	}
	m.flights[l.bare][l.Number] = struct{}{}
	rd.inflight++
	return m.token
}

// written tells that copies were written. It is called by whoever wrote them, with no lock held: maybe by one who must not
// wait for the disk, so somebody else counts them.
func (m *mail) written(tokens []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrived = append(m.arrived, tokens...)
	if !m.counter {
		m.counter = true
		m.counting.Go(m.countAll)
	}
}

// countAll counts what has arrived, and ends.
func (m *mail) countAll() {
	for {
		m.mu.Lock()
		tokens := m.arrived
		m.arrived = nil
		m.counter = len(tokens) > 0
		m.mu.Unlock()
		if len(tokens) == 0 {
			return
		}
		m.count(tokens, true)
	}
}

// lose tells that a copy left its queue unwritten.
func (m *mail) lose(token uint32) { m.count([]uint32{token}, false) }

// count counts copies down, and ends the letters of which none is left.
func (m *mail) count(tokens []uint32, written bool) {
	var last []uint32
	m.mu.Lock()
	for _, t := range tokens {
		l := m.letters[t]
		if l == nil {
			continue
		}
		if !written {
			l.lost++
			m.limbo++
		} else if l.written++; l.written == 1 {
			l.round.landed() // another node that does not take its copy is no reason to wait
		}
		if l.left--; l.left == 0 {
			last = append(last, t)
		}
	}
	m.mu.Unlock()
	m.end(last)
}

// end ends letters: what was written to somebody is taken from the disk first, and only then it is on its way no more, so that no
// replay finds it in between.
func (m *mail) end(tokens []uint32) {
	if len(tokens) == 0 {
		return
	}
	m.unstore(tokens)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tokens {
		m.ended(t)
	}
}

// unstore takes what was written to somebody from the disk.
func (m *mail) unstore(tokens []uint32) {
	var bare string
	var numbers []uint64
	for _, t := range tokens {
		m.mu.Lock()
		l := *m.letters[t]
		m.mu.Unlock()
		if l.written == 0 {
			continue
		}
		if l.bare != bare && len(numbers) > 0 {
			m.store.Delete([]byte(bare), numbers)
			numbers = numbers[:0]
		}
		bare, numbers = l.bare, append(numbers, l.number)
	}
	if len(numbers) > 0 {
		m.store.Delete([]byte(bare), numbers)
	}
}

// ended forgets a letter. Called with mu held.
func (m *mail) ended(token uint32) {
	l := m.letters[token]
	delete(m.letters, token)
	if delete(m.flights[l.bare], l.number); len(m.flights[l.bare]) == 0 {
		delete(m.flights, l.bare)
	}
	m.limbo -= l.lost
	others := l.lost
	if l.written == 0 {
		others-- // one of them is what is still stored
		m.backs++
		l.round.landed()
	}
	m.r.lost(OtherCopy, m.r.from(l.origin), uint64(others))
}

// landed counts a letter out of its round. Called with mail's mu held.
func (rd *round) landed() {
	rd.inflight--
	rd.cond.Broadcast()
}

// userOf gives the user of a letter.
func (m *mail) userOf(token uint32) (bare string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.letters[token]
	if l == nil {
		return "", false
	}
	return l.bare, true
}

// flying gives the numbers of a user's messages that are on their way.
func (m *mail) flying(bare string) map[uint64]struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.flights[bare])
}

// returned counts the letters that ended unwritten.
func (m *mail) returned() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.backs
}

// ends reports whether the rounds have to end.
func (m *mail) ends() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopped
}
