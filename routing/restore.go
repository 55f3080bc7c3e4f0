package routing

import "strings"

// instanceMark stands in the name of a target in the outbox between a domain and the number of the link that shares it. No
// domain has it (RFC 7622 3.2).
const instanceMark = "/"

// restore brings back what waited on disk at the start: it waits for its nodes. It gives the nodes for which something does.
func (r *Router) restore() []*Node {
	if r.cfg.Outbox == nil {
		return nil
	}
	seen := map[*Node]bool{}
	letters := newAdoption(&r.mail)
	var nodes []*Node
	err := r.cfg.Outbox.Walk(func(target string, number uint64, size int, head []byte) error {
		if target == overflowTarget || target == heldTarget {
			r.overflow.restore(target, number, size, head)
			return nil
		}
		domain, _, _ := strings.Cut(target, instanceMark)
		n := r.nodeOf(domain)
		b := n.queue.restore(target, number, size, head)
		if b == nil {
			r.cfg.Outbox.Delete(target, number)
			return nil
		}
		letters.block(n, b)
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
		q.mu.Lock()
		q.number = max(q.number, number) // so that nothing takes its name
		q.mu.Unlock()
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

// unpack calls f with each stanza of the block that take takes out of a queue, and gives what take gave. The stanzas' bytes are
// borrowed. On disk the block stays until they are safe elsewhere.
func (r *Router) unpack(q *Queue, take func() (*block, error), f func(*taking, waitingStanza)) (b *block, err error) {
	defer r.moving()()
	k := r.retired.begin(q)
	defer r.retired.end(k)
	left := none()
	if b, err = take(); b != nil {
		left.add(b)
	}
	r.retired.took(k, left)
	if b != nil {
		b.each(func(raw []byte, rc rec) { f(k, waitingStanza{raw, rc, b.when(rc)}) })
		b.b, b.recs, b.index = nil, nil, nil // the place may be needed for longer
	}
	return b, err
}

// last gives the number of the last stanza that was queued.
func (q *Queue) last() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.number
}
