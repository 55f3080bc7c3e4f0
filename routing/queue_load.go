package routing

import (
	"errors"
	"time"

	"github.com/patchbay-im/patchbay/storage"
)

// errLater is said of a block that cannot be read from the disk now.
var errLater = errors.New("read a block: not now")

// later waits before what the disk did not give is asked for once more; false if the router stops.
func (r *Router) later() bool {
	select {
	case <-r.stop:
		return false
	case <-time.After(retryDisk):
		return true
	}
}

// ready reports whether the first block can be written; if not, somebody brings it. Called with mu held.
func (q *Queue) ready() bool {
	if q.blocks[0].prepared() {
		if !q.disk.preparing && len(q.blocks) > 1 && q.disk.blocks > 0 && q.unprepared() != nil {
			q.prepareSoon()
		}
		return true
	}
	if !q.disk.preparing {
		q.prepareSoon()
	}
	return false
}

// prepared reports whether a block can be written as it is.
func (b *block) prepared() bool { return b.b != nil && (!b.late || b.stamped) }

// unprepared gives the first block of those to be written soon that is not prepared. Called with mu held.
func (q *Queue) unprepared() *block {
	size := 0
	for _, b := range q.blocks {
		if !b.prepared() {
			return b
		}
		if size += cap(b.b); size >= q.readAhead() { // as release counts
			return nil
		}
	}
	return nil
}

func (q *Queue) prepareSoon() {
	if q.disk.unread > 0 && q.env.mono() < q.disk.unread {
		return // the beat comes back to it
	}
	q.disk.preparing = true
	q.env.wg.Go(q.prepare)
}

// prepare brings blocks back from the disk, and says in their stanzas since when they have waited. It ends when enough is
// prepared, or the link has gone.
func (q *Queue) prepare() {
	q.mu.Lock()
	for q.out != nil {
		b := q.unprepared()
		if b == nil {
			break
		}
		if b.b == nil {
			at := placeOnDisk{q.targetOf(b), b.first}
			q.mu.Unlock()
			value, err := q.env.outbox.Get(at.target, at.number)
			q.mu.Lock()
			if b.b != nil || b.out || q.out == nil {
				continue
			}
			if !q.loaded(b, value, err) {
				break
			}
		}
		if b.late && !b.stamped && b.b != nil {
			q.stamp(b)
		}
		q.mu.Unlock()
		q.flush()
		q.mu.Lock()
	}
	q.disk.preparing = false
	q.unlock()
}

// loaded puts into a block what the disk gave. What is not there, or damaged, is lost. false: the disk gave nothing, for another
// reason (no file handles are left), and is to be asked again. Called with mu held.
func (q *Queue) loaded(b *block, value []byte, err error) bool {
	count, was := b.count, b.size
	if err == nil {
		err = b.decode(value)
		b.plain()
	}
	lost := errors.Is(err, errBlock) || errors.Is(err, storage.ErrNoBlock) || errors.Is(err, storage.ErrDamaged)
	switch {
	case err != nil && !lost:
		if q.disk.unread == 0 {
			q.env.log(q, "read stanzas that wait: trying again", err)
		}
		q.disk.unread = q.env.mono() + int64(retryDisk)
		return false
	case q.disk.unread > 0:
		q.disk.unread = 0
		q.env.log(q, "stanzas that wait can be read again", nil)
	}
	if err != nil {
		q.env.log(q, "read stanzas that wait", err)
		q.waited(b, count, was)
		q.count.broken += uint64(count)
		b.dead = nil
		b.b, b.recs, b.count, b.size = make([]byte, 0), nil, 0, 0
		return true
	}
	b.bury()
	_, size := b.waiting()
	q.kept += size - was // it may have been stamped before it went
	q.grew(cap(b.b))
	if q.disk.presence != nil {
		q.locate(b) // for the same reason
	}
	if len(b.dead) > 0 {
		b.stale = true // else it stays in memory
		q.again(b)
	}
	return true
}

// stamp says in each stanza of a block that waited for a link since when it has (XEP-0203). Called with mu held.
func (q *Queue) stamp(b *block) {
	b.stamped, b.closed = true, true // what is new says nothing
	q.compact(b)
	was, before := cap(b.b), len(b.b)-b.done
	b.stampFrom(q.env.server)
	grown := len(b.b) - b.done - before
	q.grew(cap(b.b) - was)
	if b.kept {
		q.kept += grown
	} else {
		q.bytes += grown
	}
}
