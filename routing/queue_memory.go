package routing

import (
	"cmp"
	"slices"
)

// What all queues take of memory is bounded (limits.memory), and counted block by block as they are made and given up:
//
//	7/10   tight: a queue that has more than an eighth of its own limit sends to the disk what is new
//	8/10   the largest queues send what waits, down to 6/10, as fast as the disk follows
//	9/10   short: a queue that has more than that eighth takes nothing more
//
// A queue below that is of a node that reads: it notices nothing of others that are stuck.
//
// What is left below 7/10 bridges the seconds in which the disk does not follow (onTheWay).

// used gives the bytes of memory that all queues take.
func (e *queueEnv) used() int64 { return e.blocks.Load() + e.coming.Load() }

// short reports whether no queue may grow any more that is not small.
func (e *queueEnv) short() bool {
	most := e.memory.Load()
	return most > 0 && e.used() > most/10*9
}

// small is how many bytes may wait whatever others need.
func (q *Queue) small() int { return q.limit/8 + reserve }

// onTheWay is what may be on its way to the disk beyond the limit: as much again, or as much as is free before memory is tight. Such
// bytes are there twice, in their block and as the disk gets them, so a queue by itself takes two thirds of what is free, and leaves one
// to others. When memory is tight it is little.
func (q *Queue) onTheWay(limit int) int {
	if q.env.tight.Load() {
		return max(limit/8, 2*spillBlock)
	}
	return max(limit, int(q.env.memory.Load()/10*7-q.env.used()))
}

// readAhead is how many bytes are in memory that the disk has, so that they can be written without a pause.
func (q *Queue) readAhead() int {
	if q.env.tight.Load() {
		return spillBlock
	}
	return readAhead
}

// grew counts bytes of memory that blocks take, or give back. Called with mu held.
func (q *Queue) grew(n int) {
	q.memory += n
	q.env.blocks.Add(int64(n))
}

// relievePressure sends to the disk what waits in the largest queues, when all together take nearly all the memory that they may.
func (r *Router) relievePressure() {
	limit, used := r.env.memory.Load(), r.env.used()
	if limit <= 0 || r.cfg.Outbox == nil {
		return
	}
	r.tight.Store(used > limit/10*7)
	if used < limit/10*8 {
		return
	}
	type load struct {
		q    *Queue
		size int
	}
	var loads []load
	for _, q := range r.queues() {
		st := q.stats()
		loads = append(loads, load{q, st.Memory - st.UnprovedBytes})
	}
	slices.SortFunc(loads, func(a, b load) int { return cmp.Compare(b.size, a.size) })
	// What goes to the disk takes its memory twice until it is there.
	most := min(used-limit/10*6, limit/16-r.env.coming.Load())
	for _, l := range loads {
		if most <= 0 || l.size < spillBlock {
			return
		}
		most -= int64(l.q.spillWaiting())
	}
}

// spillWaiting sends to the disk what waits and is not being written, and gives the bytes of that.
func (q *Queue) spillWaiting() (size int) {
	q.mu.Lock()
	for i, b := range q.blocks {
		switch {
		case i == 0 && (q.out != nil || q.writing) || b.next > 0:
		case b.kept:
			q.release(b)
		case q.out != nil && !b.keeping:
			q.spillOne(b)
			size += len(b.b)
		}
	}
	q.disk.spilling = q.disk.spilling || q.out != nil && q.disk.blocks > 0
	q.keep()
	q.unlock()
	return size
}
