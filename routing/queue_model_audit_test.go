package routing

import (
	"errors"
	"fmt"
	"slices"
)

// books is what a walk over the blocks of a queue finds.
type books struct {
	waiting, unproved, stanzas uint64
	unprovedBytes, bytes, kept int
	memory, letters            int
	blocks                     int
}

// audit compares what a queue has counted with what its blocks hold. It may be called at any moment.
func (q *Queue) audit() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var have books
	var wrong []error
	seen := map[*block]bool{}
	for i, b := range slices.Concat(q.ring, q.blocks) {
		if seen[b] || b.out {
			wrong = append(wrong, fmt.Errorf("block %d is in the queue twice, or out of it", b.first))
		}
		seen[b] = true
		if err := have.add(b, i < len(q.ring)); err != nil {
			wrong = append(wrong, fmt.Errorf("block %d, the %dth of %d in the ring and %d: %w", b.first, i, len(q.ring), len(q.blocks), err))
		}
	}
	for _, b := range slices.Concat(q.disk.todo, q.disk.stale) {
		if !seen[b] && !b.out {
			wrong = append(wrong, errors.New("a block is to go to the disk that is not the queue's any more"))
		}
	}
	for _, p := range q.disk.presence {
		if !seen[p.b] && !p.b.out {
			wrong = append(wrong, errors.New("a presence lies in a block that is not the queue's any more"))
		}
	}
	told := books{waiting: q.count.waiting, unproved: q.sent - q.proved, stanzas: uint64(q.disk.stanzas),
		unprovedBytes: q.unproved, bytes: q.bytes, kept: q.kept, memory: q.memory, letters: q.letters,
		blocks: q.disk.blocks}
	if told != have {
		wrong = append(wrong, fmt.Errorf("counted %+v, and there is %+v", told, have))
	}
	return errors.Join(append(wrong, q.auditAccount())...)
}

// auditAccount adds up what became of the stanzas. Called with mu held.
func (q *Queue) auditAccount() error {
	c := &q.count
	in := c.queued + c.found + c.copies + c.repeats
	pending := q.sent - max(q.ended, q.proved)
	out := c.delivered + c.written + c.dropped + c.unsaid + c.moved + c.replaced + c.broken + c.waiting + pending
	if in != out || q.ended > q.sent || q.proved > q.sent {
		return fmt.Errorf("the account is off by %d: %+v, sent %d, ended %d, proved %d", int64(in-out), *c, q.sent, q.ended, q.proved)
	}
	if q.bytes < 0 || q.kept < 0 || q.memory < 0 || q.disk.blocks < 0 || q.disk.stanzas < 0 {
		return errors.New("something is less than nothing")
	}
	return nil
}

// add counts a block.
func (s *books) add(b *block, ring bool) error {
	if !ring && b.spill {
		s.blocks++
	}
	if b.b == nil {
		s.count(b, b.count, b.size)
		if ring || !b.kept || b.stale || b.next > 0 {
			return errors.New("it is not in memory, and should be")
		}
		return nil
	}
	s.memory += cap(b.b)
	n, size, holes := 0, 0, 0
	at, done, passed := 0, 0, 0
	for i, r := range b.recs {
		switch {
		case i < b.over:
			passed += int(r.size)
		case i < b.next:
			s.unproved++
			s.unprovedBytes += int(r.size)
		case r.class == classMoved:
			holes++
		default:
			n, size = n+1, size+int(r.size)
		}
		if i < b.next {
			done += int(r.size)
		}
		if r.class == classStored && i >= b.over {
			s.letters++
		}
		at += int(r.size)
	}
	s.count(b, n, size)
	switch {
	case at != len(b.b) || b.done != done || b.off < done || b.off > at || b.over > b.next || b.passed != passed:
		return fmt.Errorf("%d bytes of stanzas in %d, %d of %d written, %d of %d proved", at, len(b.b), done, b.done, passed, b.passed)
	case ring && (b.next < len(b.recs) || b.over == b.next):
		return errors.New("it is in the ring, and not written and unproved")
	case holes != b.holes:
		return fmt.Errorf("%d holes, and %d counted", holes, b.holes)
	}
	return nil
}

// count counts stanzas of a block that wait.
func (s *books) count(b *block, n, size int) {
	s.waiting += uint64(n)
	if b.kept {
		s.stanzas += uint64(n)
		s.kept += size
	} else {
		s.bytes += size
	}
}

// auditAll looks at the queues of all nodes.
func (r *Router) auditAll() error {
	var wrong []error
	memory := int64(0)
	for _, q := range r.queues() {
		memory += int64(q.stats().Memory)
		if err := q.audit(); err != nil {
			wrong = append(wrong, fmt.Errorf("queue of %s: %w", q.target, err))
		}
	}
	if all := r.env.blocks.Load(); all != memory {
		wrong = append(wrong, fmt.Errorf("all queues take %d bytes of memory, and %d are counted", memory, all))
	}
	return errors.Join(wrong...)
}
