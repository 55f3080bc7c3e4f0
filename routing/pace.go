package routing

import (
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// A node that sends what must be answered in errors, faster than the disk takes the errors that it has not read yet, is not
// read from meanwhile: its reader is the only one that makes them, and TCP makes the node wait.
//
// The reader waits for the disk, and for nothing else:
//
//	reader -> a block of the node's queue is on disk (Queue.keptNow) -> the committer of the outbox -> the disk
//
// Nothing of that waits for a reader, so there is no circle. Above all it does not wait until the node reads, nor until it has
// proved what it read: the replies that prove it lie in the very bytes that the reader leaves alone, and a node that writes and
// reads in turn reads no more until all it writes is taken. Where no disk helps (there is none, it is full, limits.outbox is
// reached, the answer may not go there) nobody waits.
//
// The committer takes blocks in the order in which they came, and there are no more before this queue's than memory has room for:
// a disk that goes on ends the wait. One that hangs costs a link paceMost, once, and then errors are lost as where there is no disk
// (Ledger.Untold), until it goes on. Others cannot take the room that comes free: theirs ends reserve before that of answers (fit).
const (
	paceMost = 10 * time.Second // for one answer
	paceLast = time.Second      // for all that a link makes from when it is to end: others wait for its reader then
)

// Halt tells the link's reader that the link is to end, so that it soon waits for the disk no more. Any goroutine may call it, and
// more than once.
func (s *Source) Halt() {
	if s.halting.CompareAndSwap(false, true) {
		close(s.halt)
	}
}

// Paused reports whether the reader waits for the disk: then nothing is read from the link, whatever its peer sends.
func (s *Source) Paused() bool { return s.paused.Load() }

// pace queues an answer for which there is no room while the disk does not follow, as soon as there is. putBehind: there was none in
// time. What the link has queued before must be promised to nobody any more: w has to have been written.
func (s *Source) pace(q *Queue, h *stanza.Header) (res putResult, flush bool) {
	s.paused.Store(true)
	defer s.paused.Store(false)
	halt, wait := s.halt, time.NewTimer(paceMost)
	defer wait.Stop()
	for {
		var room <-chan struct{}
		if res, flush, room = q.putOrWait(h); room == nil {
			return res, flush
		}
		if flush {
			q.flush() // what is due goes to the disk: nobody else does it
		}
		select {
		case <-room:
		case <-halt:
			halt = nil
			if s.until.IsZero() {
				s.until = time.Now().Add(paceLast)
			}
			wait.Reset(time.Until(s.until))
		case <-wait.C:
			if halt != nil {
				q.hangs()
			}
			return putBehind, false
		}
	}
}

// putOrWait is put for an answer of the server's. If the disk does not follow, but has something of the queue to write, it gives a
// channel that is closed when there is more room, too.
func (q *Queue) putOrWait(h *stanza.Header) (res putResult, flush bool, room <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	res = q.take(h, nil, rec{})
	if res == putBehind && q.follows() {
		if q.disk.room == nil {
			q.disk.room = make(chan struct{})
		}
		room = q.disk.room
	}
	return res, q.promise(), room
}

// follows reports whether the disk can be expected to take something of the queue. Called with mu held.
func (q *Queue) follows() bool {
	d := &q.disk
	return !d.hangs && d.full == None && (d.writing > 0 || len(d.todo) > 0 || q.filling() != nil)
}

// hangs notes that nothing of the queue came to the disk for long. Who waits for that waits in vain.
func (q *Queue) hangs() {
	q.mu.Lock()
	q.disk.hangs = true
	q.roomCame()
	q.mu.Unlock()
}

// roomCame tells who waits for room that there may be some. Called with mu held.
func (q *Queue) roomCame() {
	if q.disk.room != nil {
		close(q.disk.room)
		q.disk.room = nil
	}
}
