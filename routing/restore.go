package routing

import (
	"strings"
	"sync"
)

// instanceMark stands in the name of a target in the outbox between a domain and the number of the link that shares it. No
// domain has it (RFC 7622 3.2).
const instanceMark = "/"

// restore brings back what waited on disk at the start: it waits for its nodes. It gives the nodes for which something does.
func (r *Router) restore() []*Node {
	if r.cfg.Outbox == nil {
		return nil
	}
	seen := map[*Node]bool{}
	var nodes []*Node
	err := r.cfg.Outbox.Walk(func(target string, number uint64, size int, head []byte) error {
		if target == overflowTarget || target == heldTarget {
			r.overflow.restore(target, number, size, head)
			return nil
		}
		domain, _, _ := strings.Cut(target, instanceMark)
		n := r.nodeOf(domain)
		if n.queue.restore(target, number, size, head) == nil {
			r.retired.add(target, number, 0)
			return nil
		}
		if !seen[n] {
			seen[n] = true
			nodes = append(nodes, n)
		}
		return nil
	})
	if err != nil {
		r.cfg.Log.WithError(err).Error("read what waits for nodes")
	}
	return nodes
}

// restore takes a block that is on disk. nil: it cannot be read.
func (q *Queue) restore(target string, number uint64, size int, head []byte) *block {
	b := &block{first: number}
	if _, err := b.decodeHead(head, size); err != nil {
		q.env.log(q, "read stanzas that wait", err)
		return nil
	}
	b.spill, b.closed, b.kept, b.late = true, true, true, true
	if target != q.target {
		b.target = target
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.blocks = append(q.blocks, b)
	q.number = max(q.number, number+uint64(b.count))
	q.count.found += uint64(b.count)
	q.count.waiting += uint64(b.count)
	q.kept += b.size
	q.disk.stanzas += b.count
	q.disk.blocks++
	q.disk.spilling = true
	return b
}

// unpack calls f with each stanza of a block that was taken out of a queue; its bytes are borrowed. On disk the block stays
// until its stanzas are safe elsewhere.
func (r *Router) unpack(q *Queue, b *block, f func(waitingStanza)) {
	place := placeOnDisk{q.targetOf(b), b.first}
	if b.b == nil {
		value, err := q.env.outbox.Get(place.target, place.number)
		lost := uint64(b.count)
		if err == nil {
			err = b.decode(value)
		}
		if err == nil && b.bury() > 0 {
			b.remove(classMoved)
		}
		if err != nil {
			q.env.log(q, "read stanzas that wait", err)
			r.lost(Unreadable, r.nobody, lost)
			return
		}
	}
	b.each(func(raw []byte, rc rec) { f(waitingStanza{raw, rc, b.when(rc)}) })
	if b.retires {
		r.retired.add(place.target, place.number, r.ticks.Load())
	}
}

// retired are blocks that were decided again, and stay on disk until what came of them is not only in memory: who is killed
// before decides them once more, and sends some stanzas twice, but loses none.
type retired struct {
	mu   sync.Mutex
	list []retiredBlock // guarded by mu, oldest first
}

type retiredBlock struct {
	placeOnDisk
	at int64 // of Router.ticks
}

func (t *retired) add(target string, number uint64, at int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, retiredBlock{placeOnDisk{target, number}, at})
}

// before takes out those of before a time.
func (t *retired) before(at int64) []retiredBlock {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for n < len(t.list) && t.list[n].at < at {
		n++
	}
	old := t.list[:n:n]
	t.list = t.list[n:]
	return old
}

// forgetRetired takes from the disk what was decided again long enough ago: all that came of it is proved, written to links of
// the grade written, or on disk.
func (r *Router) forgetRetired() {
	r.retired.mu.Lock()
	some := len(r.retired.list) > 0
	r.retired.mu.Unlock()
	if !some {
		return
	}
	until := r.ticks.Load() - int64(againLate)
	for _, q := range r.queues() {
		if since := q.unsafe(); since > 0 {
			until = min(until, since-int64(againLate))
		}
	}
	for _, b := range r.retired.before(until) {
		r.cfg.Outbox.Delete(b.target, b.number)
	}
}

// unsafe gives when the first stanza came that is neither proved nor on disk, 0 if there is none.
func (q *Queue) unsafe() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, list := range [][]*block{q.ring, q.blocks} {
		for _, b := range list {
			isRing := b.b != nil && b.next > b.over && q.proof.grade != GradeWritten
			if !b.kept && (isRing || !b.empty()) {
				return max(b.born, 1)
			}
		}
	}
	return 0
}

// last gives the number of the last stanza that was queued.
func (q *Queue) last() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.number
}
