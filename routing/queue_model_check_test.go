package routing

import (
	"bytes"
	"slices"
	"time"
)

// taken looks at a stanza that a link took whole.
func (m *queueModel) taken(p *modelPeer, k modelKey, raw []byte) {
	part := m.parts[k]
	for _, other := range slices.Backward(p.whole) {
		if !m.before(other, k) && !m.mayPass(other, k) {
			m.t.Fatalf("stanza %v comes after %v", k, other)
		}
		if !m.all[other.n].answers {
			break // and what came before that did
		}
	}
	if class := m.all[k.n].class; part.counted || part.taken > 0 && (!part.repeats || class == classRequest || class == classAnswer) {
		m.t.Fatalf("stanza %v comes again: %+v", k, *part)
	}
	if late, said := k.n < p.since && !bytes.HasPrefix(raw, []byte("<iq")), bytes.Count(raw, []byte("<delay ")); late != (said == 1) {
		m.t.Fatalf("stanza %v has %d delays, and was taken before the link came: %v, %s", k, said, late, raw[:min(len(raw), 300)])
	}
	part.taken++
	p.whole, p.sizes = append(p.whole, k), append(p.sizes, len(raw))
}

// before reports whether a stanza goes before another.
func (m *queueModel) before(a, b modelKey) bool {
	if a.n == b.n {
		users := m.all[a.n].users
		return slices.Index(users, a.to) < slices.Index(users, b.to)
	}
	return a.n < b.n
}

// mayPass reports whether a stanza may come before an older one: an answer may, but of the server's not what it says itself of
// sessions, and of a node's not what that has sent to the same address.
func (m *queueModel) mayPass(a, older modelKey) bool {
	s, o := m.all[a.n], m.all[older.n]
	switch {
	case !s.answers:
		return false
	case s.origin != o.origin:
		return true
	case s.origin == 0:
		return o.answers && s.to != o.to || o.class == classRequest
	}
	return s.to != o.to
}

// handled notes that an application has a stanza.
func (m *queueModel) handled(k modelKey) {
	m.parts[k].handled++
	if k.to == "" {
		for _, u := range m.all[k.n].users {
			m.parts[modelKey{k.n, u}].handled++
		}
	}
}

// arrived is told of letters.
func (m *queueModel) arrived(tokens []uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tokens {
		m.told[int(t)]++
	}
}

// passWritten notes what a link of grade written need not keep: all but the last bytes of a window.
func (m *queueModel) passWritten() {
	p := m.link
	m.q.mu.Lock()
	p.grade = m.q.proof.grade
	m.q.mu.Unlock()
	if p.grade != GradeWritten {
		return
	}
	most := windowStart
	if m.off || p.drops {
		most = 0
	}
	size := 0
	for i, k := range slices.Backward(p.whole) {
		size += p.sizes[i]
		m.parts[k].ended, m.parts[k].free = true, m.parts[k].free || size > most
	}
}

// walk gives the stanzas of the queue, and sees that each is there once, and that what is said to be on disk is there.
func (m *queueModel) walk() map[modelKey]bool {
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	all := map[modelKey]bool{}
	for _, b := range slices.Concat(m.q.ring, m.q.blocks) {
		m.walkBlock(b, all)
	}
	return all
}

func (m *queueModel) walkBlock(b *block, all map[modelKey]bool) {
	read := b
	at := placeOnDisk{m.q.targetOf(b), b.first}
	if b.b == nil {
		read = &block{}
		m.must(read.decode(m.box.value(at, false)))
	}
	from := 0
	mine, must := map[modelKey]bool{}, map[modelKey]bool{}
	for i, r := range read.recs {
		raw := read.b[from : from+int(r.size)]
		from += int(r.size)
		if r.class == classMoved {
			continue
		}
		k := m.keyOf(raw)
		if mine[k] = true; b.b == nil && slices.Contains(b.dead, i) {
			continue // replaced, while it was on disk only
		}
		must[k] = r.class.keeps() && i >= read.over
		if r.class == classGroup {
			for _, u := range m.all[k.n].users {
				mine[modelKey{k.n, u}], must[modelKey{k.n, u}] = true, i >= read.over
			}
		}
		if i < read.over {
			continue
		}
		if all[k] || k.to != "" && all[modelKey{n: k.n}] {
			m.t.Fatalf("stanza %v is in the queue twice", k)
		}
		all[k] = true
	}
	if b.kept && !b.keeping && !b.stale {
		m.walkDisk(at, mine, must)
	}
}

// walkDisk compares a block with what the disk has of it.
func (m *queueModel) walkDisk(at placeOnDisk, mine, must map[modelKey]bool) {
	value := m.box.value(at, true)
	if value == nil {
		m.t.Fatalf("block %v is not on disk", at)
	}
	b := &block{}
	m.must(b.decode(value))
	b.each(func(raw []byte, _ rec) {
		k := m.keyOf(raw)
		if m.all[k.n].class == classRequest {
			m.t.Fatalf("request %v is on disk at %v", k, at)
		}
		if !mine[k] {
			m.t.Fatalf("stanza %v is on disk at %v, and was taken out of the block", k, at)
		}
		must[k] = false
	})
	for k, is := range must {
		if is {
			m.t.Fatalf("stanza %v is not on disk at %v", k, at)
		}
	}
}

// check is what holds at every moment at which nothing moves.
func (m *queueModel) check() {
	m.settle()
	m.must(m.q.audit())
	if all := m.q.env.blocks.Load(); all != int64(m.q.memory) {
		m.t.Fatalf("the queue takes %d bytes of memory, and %d are counted", m.q.memory, all)
	}
	all := m.walk()
	vanished := 0
	for n, s := range m.all {
		if n == 0 {
			continue
		}
		main := modelKey{n: n}
		switch {
		case m.has(main, all):
		case s.users != nil && !slices.ContainsFunc(s.users, func(u string) bool { return !m.has(modelKey{n, u}, all) }):
		case s.pair != "" && m.newer(n):
			m.parts[main].gone = true
			vanished++
		case (s.class == classRequest || s.class == classAnswer) && m.link != nil && m.link.dead() && !m.link.resumable():
		default:
			m.t.Fatalf("stanza %d, of class %d, is nowhere, and nobody has handled it: %+v", n, s.class, *m.parts[main])
		}
	}
	m.checkGone(all)
	m.promise()
	m.mu.Lock()
	defer m.mu.Unlock()
	for n, times := range m.told {
		if p := m.parts[modelKey{n: n}]; times > 1 || p.handled == 0 && !p.ended {
			m.t.Fatalf("letter %d was told %d times, and is %+v", n, times, *p)
		}
	}
	if m.replaced < vanished {
		m.t.Fatalf("%d presences were replaced, and said were %d", vanished, m.replaced)
	}
	m.replaced = 0
}

// has reports whether a stanza is where it has to be.
func (m *queueModel) has(k modelKey, all map[modelKey]bool) bool {
	p := m.parts[k]
	return p.handled > 0 || p.gone || p.free || all[k]
}

// newer reports whether a presence was followed by another of its pair.
func (m *queueModel) newer(n int) bool {
	return slices.ContainsFunc(m.all[n+1:], func(s *modelStanza) bool { return s.pair == m.all[n].pair })
}

// checkGone sees that what is somewhere else is not here, that nothing is left untold, and the bounds.
func (m *queueModel) checkGone(all map[modelKey]bool) {
	for k := range all {
		if m.parts[k].gone {
			m.t.Fatalf("stanza %v is in two places: %+v", k, *m.parts[k])
		}
	}
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	if len(m.q.tokens) > 0 || len(m.q.disk.deletes) > 0 {
		m.t.Fatalf("nobody was told of %d letters, %d blocks are to be deleted", len(m.q.tokens), len(m.q.disk.deletes))
	}
	mine := map[placeOnDisk]bool{}
	for _, b := range slices.Concat(m.q.ring, m.q.blocks) {
		if b.kept || b.keeping {
			mine[placeOnDisk{m.q.targetOf(b), b.first}] = true
		}
	}
	if m.disk {
		for _, at := range m.box.places() {
			if !mine[at] && !m.isRetired(at) {
				m.t.Fatalf("block %v is nobody's", at)
			}
		}
	}
	m.checkProof()
	if !m.q.writing && m.q.more() {
		m.t.Fatalf("there is something to write, and nobody writes it: %d wait, %d bytes are unproved of %d", m.q.count.waiting, m.q.unproved, m.q.proof.window)
	}
	if m.q.disk.blocks > 0 && !m.q.spills() {
		m.t.Fatalf("%d blocks are spilled, and what is new is not", m.q.disk.blocks)
	}
}

// checkProof sees that the peer's grade is what its answers say, and that the window holds. Called with the queue's lock.
func (m *queueModel) checkProof() {
	p, b := m.link, &m.q.proof
	if p == nil || p.dead() {
		return
	}
	if p.kind == never && b.grade == GradeProved || len(b.open) > pingsOpen {
		m.t.Fatalf("grade %s, %d open pings", b.grade, len(b.open))
	}
	if (p.stream != nil) != (b.grade == GradeAcked) {
		m.t.Fatalf("grade %s", b.grade)
	}
	if !b.proves() {
		p.most = max(windowMost, m.q.unproved)
		if b.grade == GradeWritten {
			p.most = windowMost
		}
	} else {
		p.most = max(min(p.most, m.q.unproved+m.q.before+m.q.cutOff()), b.window, 151_000) // what is being written goes on
		if m.q.sent < m.q.acks.again {
			p.most = 1 << 30 // it is what was written before
		}
	}
	answers := 0 // go past the window
	for _, k := range p.whole {
		if m.all[k.n].answers {
			answers += m.all[k.n].size
		}
	}
	if m.q.unproved > p.most+answers {
		m.t.Fatalf("%d bytes are unproved, and %d may be", m.q.unproved, p.most)
	}
}

// cutOff gives the bytes of a stanza of which the rest is to be written. Called with mu held.
func (q *Queue) cutOff() int {
	if len(q.blocks) == 0 {
		return 0
	}
	return q.blocks[0].off - q.blocks[0].done
}

// quiet lets all that can go on do so: the disk works, the peer reads and answers, and time passes.
func (m *queueModel) quiet() {
	if m.link != nil && m.link.dead() {
		m.drop(m.t)
	}
	if m.disk {
		m.box.refuse = nil
	}
	m.unslow()
	m.retire(m.t)
	for range 30 {
		if m.disk {
			m.box.commit(1<<20, nil)
		}
		m.advance(4 * beatEach)
		if m.link != nil {
			m.link.give(1 << 30)
			m.link.turn(1 << 30)
			m.link.answer(1 << 30)
		}
		m.settle()
	}
	m.check()
	m.q.mu.Lock()
	defer m.q.mu.Unlock()
	if m.link == nil {
		m.quietAway()
		return
	}
	q := m.q
	if m.link.kind == sometimes {
		return // it answers as no library does
	}
	if q.count.waiting > 0 || q.proof.proves() && q.sent > q.proved || q.disk.spilling || len(q.disk.todo) > 0 {
		m.t.Fatalf("the peer has read all, and %d wait, %d of %d are proved, on disk %+v", q.count.waiting, q.proved, q.sent, q.disk)
	}
}

// quietAway sees that all that can be is on disk, and takes no memory. Called with the queue's lock.
func (m *queueModel) quietAway() {
	if !m.disk {
		return
	}
	memory := 0 // it may be brought back for a user, and nothing was there
	for _, b := range m.q.blocks {
		if m.held != nil && b.next > 0 {
			continue // it is to go on where it was
		}
		holds := slices.ContainsFunc(b.recs, func(r rec) bool {
			return r.class == classStored || m.held != nil && !r.class.keeps() && r.class != classMoved
		})
		if keeps := slices.ContainsFunc(b.recs, func(r rec) bool { return r.class.keeps() }); keeps && (!b.kept || b.keeping || b.stale) {
			m.t.Fatalf("block %d could be on disk, and is not: %+v", b.first, b.onDisk)
		}
		if !holds {
			memory += cap(b.b)
		}
	}
	if memory > m.limit+largeBlock {
		m.t.Fatalf("%d bytes of memory are taken by what is on disk", memory)
	}
}

// finish attaches a peer that takes all, and sees that each stanza has come.
func (m *queueModel) finish() {
	m.drop(m.t)
	m.takeBack()
	if m.closed {
		m.q.reopen()
		m.closed = false
	}
	m.join(m.newPeer(atOnce, 1<<30))
	m.quiet()
	m.advance(time.Minute)
	all := map[modelKey]bool{}
	for n, s := range m.all {
		if n > 0 && !m.has(modelKey{n: n}, all) && (s.users == nil || slices.ContainsFunc(s.users, func(u string) bool { return !m.has(modelKey{n, u}, all) })) {
			m.t.Fatalf("stanza %d never came", n)
		}
	}
	if st := m.q.stats(); st.Memory > 4*largeBlock || st.Waiting > 0 || st.Bytes > 0 || st.Kept > 0 || st.UnprovedBytes > 0 || st.Spilling {
		m.t.Fatalf("left lying: %+v", st)
	}
	if m.disk {
		m.retire(nil)
		if left := m.box.places(); len(left) > 0 {
			m.t.Fatalf("on disk are still %v", left)
		}
	}
}
