package routing

import (
	"sync"
	"time"
)

// beatEach is how often the beat looks at the queues that it looks after.
const beatEach = 25 * time.Millisecond

const (
	keepEach  = 100 * time.Millisecond // a block that goes to the disk is not filled for longer
	againLate = time.Second            // after a change: more may follow
)

// beat lets time pass for the queues for which it matters: pings of the barrier that are due, blocks that wait to be filled
// before they go to the disk. While there are none it sleeps.
type beat struct {
	wake chan struct{} // one token: there is a queue

	mu     sync.Mutex
	queues []*Queue   // guarded by mu: each once (Queue.armed)
	links  []*custody // guarded by mu: that are new (custody.armed)
}

// add makes the beat look after a queue.
func (t *beat) add(q *Queue) {
	t.mu.Lock()
	t.queues = append(t.queues, q)
	t.mu.Unlock()
	t.rouse()
}

// rouse wakes the beat, if it sleeps.
func (t *beat) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take gives all queues.
func (t *beat) take(spare []*Queue) []*Queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.queues
	t.queues = spare[:0]
	return all
}

// runBeat runs until the router stops.
func (r *Router) runBeat() {
	defer close(r.beaten)
	tick := time.NewTicker(beatEach)
	defer tick.Stop()
	var spare []*Queue
	counts := custodian{r: r}
	for {
		select {
		case <-r.stop:
			return
		case <-r.beat.wake:
		}
		for idle := false; !idle; {
			select {
			case <-r.stop:
				return
			case <-tick.C:
			}
			all := r.beat.take(spare)
			more := counts.tick()
			idle = len(all) == 0 && !more
			for i, q := range all {
				if q.tick() {
					r.beat.add(q)
				}
				all[i] = nil
			}
			spare = all
		}
	}
}

// beats reports whether time matters to the queue. Called with mu held.
func (q *Queue) beats() bool {
	switch {
	case len(q.disk.stale) > 0 || len(q.disk.todo) > 0:
		return true
	case q.disk.blocks > 0 && q.filling() != nil, q.disk.unread > 0 && q.out != nil:
		return true
	case q.out == nil || q.proof.off:
		return false
	case q.acks.since > 0:
		return true
	}
	return q.proof.grade == GradeProbing || q.proof.proves() && q.sent > q.proved
}

// filling gives the block that is being filled for the disk, or nil. Called with mu held.
func (q *Queue) filling() *block {
	if len(q.blocks) == 0 {
		return nil
	}
	if b := q.blocks[len(q.blocks)-1]; b.spill && !b.closed && len(b.recs) > 0 {
		return b
	}
	return nil
}

// tick lets time pass, and reports whether it still matters.
func (q *Queue) tick() bool {
	q.mu.Lock()
	now := q.env.mono()
	was := q.proof.grade
	q.acks.late(now)
	if q.out != nil {
		q.proof.tick(now, q.sent, q.proved, q.waits || q.node.busy.Load())
	}
	if q.proof.grade != was {
		q.node.grade.Store(uint32(q.proof.grade))
		q.downgraded()
	}
	switch b := q.filling(); {
	case b != q.disk.filled:
		q.disk.filled, q.disk.since = b, now
	case b != nil && now-q.disk.since >= int64(keepEach):
		b.closed = true
		q.disk.todo = append(q.disk.todo, b)
	}
	if len(q.disk.stale) > 0 && now-q.disk.changed >= int64(againLate) {
		q.disk.todo = append(q.disk.todo, q.disk.stale...)
		q.disk.stale = nil
	}
	q.disk.due = q.disk.due || len(q.disk.todo) > 0 && (q.disk.full == None || now >= q.disk.retry)
	goes := q.disk.due || !q.writing && q.more()
	stays := q.beats()
	q.armed = stays
	q.unlock() // letters may have arrived
	if goes {
		q.flush()
	}
	return stays
}

// probeWritten asks the peers that have not answered once more, each minute: the beat looks after none of them.
func (r *Router) probeWritten() {
	for _, q := range r.queues() {
		if q.probeDue() {
			q.flush()
		}
	}
}

func (q *Queue) probeDue() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out == nil || q.proof.off || q.proof.grade != GradeWritten {
		return false
	}
	q.proof.tick(q.env.mono(), q.sent, q.proved, q.waits)
	return q.proof.want && !q.writing
}

// downgraded counts what was written to a peer that never answered. Called with mu held.
func (q *Queue) downgraded() {
	if q.proof.grade != GradeWritten {
		return
	}
	i := 0
	if q.ended > q.proved {
		i = int(q.ended - q.proved)
	}
	for r := q.written(i); r != nil; r = q.written(i) {
		q.end1(r)
		i++
	}
	q.ended = q.sent
	q.keepWindow()
}
