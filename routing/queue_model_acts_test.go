package routing

import (
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

func (m *queueModel) attach(t *rapid.T) {
	if m.link != nil {
		return
	}
	if m.closed {
		m.q.reopen()
		m.closed = false
	}
	m.takeBack()
	kind := answers(rapid.IntRange(0, int(answerKinds)-1).Draw(t, "kind"))
	room := 200 + rapid.SampledFrom([]int{0, 3, 5000, 1 << 30}).Draw(t, "room") // the first ping waits for nothing
	p := m.newPeer(kind, room)
	p.async = kind <= later && rapid.Bool().Draw(t, "async")
	p.drops = rapid.IntRange(0, 3).Draw(t, "drops") == 0
	if kind <= later && rapid.Bool().Draw(t, "counts") {
		m.joinCounting(t, p)
		return
	}
	m.join(p)
}

// join makes a peer the link.
func (m *queueModel) join(p *modelPeer) {
	p.since, p.grade = len(m.all), GradeProbing
	m.link = p
	m.q.attach(p, p.drops)
	m.must(m.q.begin(p, nil))
	m.settle()
	if !m.off && (len(p.wire) == 0 || p.wire[0].ping == "") {
		m.t.Fatalf("no ping is first on the link")
	}
}

// breakLink is a reset that the reader has not seen yet.
func (m *queueModel) breakLink(t *rapid.T) {
	if m.link != nil && rapid.Bool().Draw(t, "break") {
		m.link.Interrupt()
	}
}

func (m *queueModel) drop(t *rapid.T) {
	if m.link == nil {
		return
	}
	if m.link.grade == GradeWritten && rapid.Bool().Draw(t, "closed") {
		m.q.closed()
		m.link.drops = m.q.stats().Waiting == 0 // it is done with
		m.settle()
	}
	if m.link.resumable() && rapid.IntRange(0, 3).Draw(t, "ended") == 0 {
		m.q.closed()
		m.link.stream.id = ""
	}
	held := m.link.resumable()
	if m.lose(); held {
		m.held = m.link.stream
	}
	clean, was := m.q.detach(m.link)
	m.settle() // what was taken at the last moment is there too
	if whole := len(m.link.rest) == 0; clean != whole {
		m.t.Fatalf("the link took %d bytes of a stanza or a ping, and its end is said to be clean: %v", len(m.link.rest), clean)
	}
	if was != held {
		m.t.Fatalf("the link may be resumed: %v", was)
	}
	m.link = nil
}

// lose breaks the link.
func (m *queueModel) lose() {
	m.link.Interrupt()
	if m.settle(); !m.link.resumable() {
		m.lost()
	}
}

// lost notes that a link has gone for good: what is unproved may come again, and requests are done with.
func (m *queueModel) lost() {
	for k := range m.walk() {
		m.parts[k].repeats = true
	}
	for n, s := range m.all {
		if n > 0 && (s.class == classRequest || s.class == classAnswer) {
			m.parts[modelKey{n: n}].gone = true
		}
	}
}

func (m *queueModel) room(t *rapid.T) {
	if m.link != nil {
		m.link.give(rapid.SampledFrom([]int{1, 60, 4000, 100_000, 1 << 20}).Draw(t, "room"))
	}
}

func (m *queueModel) turn(t *rapid.T) {
	if m.link != nil && !m.link.dead() {
		m.link.turn(rapid.SampledFrom([]int{1, 500, 10_000, 300_000, 1 << 30}).Draw(t, "chunk"))
	}
}

func (m *queueModel) answer(t *rapid.T) {
	if m.link != nil && !m.link.dead() {
		m.link.answer(rapid.IntRange(1, 10).Draw(t, "answers"))
	}
}

// pass lets time pass: the beat comes while the queue asks for it.
func (m *queueModel) pass(t *rapid.T) {
	m.advance(rapid.SampledFrom([]time.Duration{25, 50, 110, 1100, 5000, 20_000, 60_000}).Draw(t, "ms") * time.Millisecond)
}

func (m *queueModel) advance(d time.Duration) {
	n := min(20, d/beatEach)
	for range n {
		m.mono.Add(int64(d / n))
		m.clock.Add(int64(d / n))
		if m.armed.Swap(false) && m.q.tick() {
			m.armed.Store(true)
		}
		if m.q.probeDue() {
			m.q.flush()
		}
		m.settle()
	}
	if d > tellAfter+beatEach {
		m.heard()
	}
}

// forge sends replies to pings that are not outstanding.
func (m *queueModel) forge(t *rapid.T) {
	if m.link == nil {
		return
	}
	head := m.q.proof.head
	id := rapid.SampledFrom([]string{"", head, "pb-0123456789abcdef-1", head + "0", head + "99999", head + "-1", head + "1x", head + "18446744073709551616",
		"x" + head + "1", "1"}).Draw(t, "id")
	if is, _ := m.q.answered([]byte(id)); is {
		m.t.Fatalf("%q answers a ping", id)
	}
}

func (m *queueModel) probe(t *rapid.T) {
	if rapid.Bool().Draw(t, "close") {
		m.q.close()
		return
	}
	m.q.probe()
}

// takeUser takes what waits for a user who is somewhere else now.
func (m *queueModel) takeUser(t *rapid.T) {
	to := rapid.SampledFrom(modelQueueUsers).Draw(t, "user")
	bareToo := rapid.Bool().Draw(t, "bare too")
	if m.link != nil {
		return
	}
	m.unslow()
	full, _, err := stanza.ParseAddress([]byte(to), false, nil)
	m.must(err)
	if m.q.holdsFor(userHash(full.Bare())) { // as Router.Move
		m.takeBack()
	}
	taken, left := m.q.takeUser(full, bareToo)
	for _, w := range taken {
		if w.rec.class == classRequest || w.rec.class == classGroup {
			m.t.Fatalf("a request was taken out, and whoever asked is answered, too: %.300s", w.raw)
		}
		m.gone(m.keyOf(w.raw))
	}
	m.retired = append(m.retired, left.blocks...)
	if !m.disk || rapid.Bool().Draw(t, "safe") {
		m.retire(t)
	}
	for k := range m.walk() {
		if s := m.all[k.n]; k.to == to || k.to == "" && s.to == to && (s.class != classGroup) {
			m.t.Fatalf("stanza %v for %s was left", k, to)
		}
	}
}

// gone notes that a stanza is somewhere else.
func (m *queueModel) gone(k modelKey) {
	p := m.parts[k]
	if p.gone {
		m.t.Fatalf("stanza %v was taken out twice", k)
	}
	p.gone = true
}

// unslow makes the disk give what it is asked for.
func (m *queueModel) unslow() {
	if m.disk {
		m.box.let(false)
	}
	m.settle()
}

// expire ends the grace, or a part of it.
func (m *queueModel) expire(t *rapid.T) {
	blocks := rapid.IntRange(1, 4).Draw(t, "blocks")
	if m.link != nil || m.closed {
		return
	}
	m.unslow()
	m.takeBack()
	for range blocks {
		b, err := m.q.takeOrClose(func() {})
		m.must(err)
		if b == nil {
			m.closed = true
			m.q.settle()
			m.q.wait()
			return
		}
		b.each(func(raw []byte, _ rec) { m.gone(m.keyOf(raw)) })
		left := none()
		left.add(b)
		m.retired = append(m.retired, left.blocks...)
	}
}

// retire takes from the disk what was taken out.
func (m *queueModel) retire(*rapid.T) {
	m.q.paid(m.retired)
	m.retired = nil
}

// isRetired reports whether something was taken out of the block at a place.
func (m *queueModel) isRetired(at placeOnDisk) bool {
	return slices.ContainsFunc(m.retired, func(b *block) bool { return at == placeOnDisk{m.q.targetOf(b), b.first} })
}

func (m *queueModel) spill(*rapid.T) { m.q.spillWaiting() }

func (m *queueModel) slow(t *rapid.T) { m.box.let(rapid.Bool().Draw(t, "slow")) }

func (m *queueModel) commit(t *rapid.T) {
	var err error
	if rapid.IntRange(0, 7).Draw(t, "fails") == 0 {
		err = errors.New("the disk is broken")
	}
	m.box.commit(rapid.IntRange(1, 6).Draw(t, "commits"), err)
}

func (m *queueModel) refuse(t *rapid.T) {
	m.box.refuse = rapid.SampledFrom([]error{nil, nil, storage.ErrNoSpace, storage.ErrDiskFull}).Draw(t, "refuse")
}

// crash kills the server, and starts it again.
func (m *queueModel) crash(*rapid.T) {
	m.settle()
	kept := m.walk()
	blocks := map[placeOnDisk]bool{}
	for k, at := range m.durable() {
		if p := m.parts[k]; !kept[k] && !kept[modelKey{n: k.n}] && !p.gone && p.handled > 0 && !m.isRetired(at) {
			blocks[at] = true
		}
	}
	if len(blocks) > 1 {
		m.t.Fatalf("blocks are on disk of which all, or much, is proved: %v", blocks)
	}
	m.restart()
}

// restart goes on with what is durable.
func (m *queueModel) restart() {
	if m.link != nil {
		m.link.Interrupt()
		m.q.detachQuick(m.link)
	}
	m.unslow()
	durable := m.durable()
	m.keepsPromise(durable)
	m.safe = 0
	for _, s := range m.all[1:] {
		s.number = 0
	}
	m.box = m.box.crashed()
	for k, p := range m.parts {
		_, is := durable[k]
		p.gone, p.repeats, p.counted = !is, p.repeats || is, false
	}
	m.open()
	synctest.Wait()
}

// stop ends the server in orderly fashion, and starts it again: all that was accepted is on disk, as far as that has room.
func (m *queueModel) stop(*rapid.T) {
	if m.link != nil {
		if m.lose(); m.link.resumable() {
			m.lost()
			m.link.stream.id = ""
		}
	}
	m.q.cut()
	m.forget()
	m.settle()
	for range 2 { // as Router.drainToDisk
		m.q.keepAll()
		m.box.commit(1<<20, nil)
		if m.box.refuse == nil {
			m.retire(nil)
		}
	}
	durable := m.durable()
	for k := range m.walk() {
		if _, is := durable[k]; !is && m.box.refuse == nil {
			m.t.Fatalf("stanza %v is only in memory when the server stops: %+v, %+v", k, m.q.disk, m.q.blocks[0].onDisk)
		}
	}
	if m.link != nil {
		m.box.refuse = storage.ErrClosed
		m.q.detach(m.link)
		m.link = nil
	}
	m.restart()
}

// durable gives the stanzas that a kill of the server leaves, and where they are.
func (m *queueModel) durable() map[modelKey]placeOnDisk {
	all := map[modelKey]placeOnDisk{}
	for _, at := range m.box.places() {
		value := m.box.value(at, true)
		if value == nil {
			continue // on its way
		}
		b := &block{}
		m.must(b.decode(value))
		b.each(func(raw []byte, r rec) {
			k := m.keyOf(raw)
			if was, twice := all[k]; twice || m.all[k.n].class == classRequest || m.all[k.n].class == classAnswer {
				panic(fmt.Sprintf("stanza %v is on disk at %v and %v, of class %d", k, was, at, r.class))
			}
			all[k] = at
		})
	}
	return all
}
