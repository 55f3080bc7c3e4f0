package storage

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// deleteChunk is how many numbers Delete looks up at once.
const deleteChunk = 64

// Delete takes messages of a bare JID out, at once for Has, Read and the quotas; the disk follows. Numbers that are
// not stored are nothing. Numbers that are on disk are looked up there, and while too much waits for the
// disk Delete waits, as Put does.
func (f *Offline) Delete(bare []byte, numbers []uint64) {
	if f.gate.enter() != nil {
		return // closed
	}
	defer f.gate.leave()
	for chunk := range slices.Chunk(numbers, deleteChunk) {
		if _, err := f.gate.take(len(chunk), 0); err != nil {
			return // closed, or failed, which OnFail was told
		}
		n, err := f.delete(bare, chunk)
		f.gate.give(len(chunk)-n, 0)
		f.commits.nudge()
		if err != nil {
			f.fail(fmt.Errorf("look up messages of %s: %w", bare, err))
			return
		}
	}
}

// delete gives how many deletions it queued.
func (f *Offline) delete(bare []byte, numbers []uint64) (queued int, err error) {
	var on lookup
	for {
		queued, ask := f.drop(bare, numbers, &on)
		if len(ask) == 0 {
			return queued, nil
		}
		if err := f.lookUp(bare, ask, &on); err != nil {
			return 0, err
		}
	}
}

// lookup is what the disk has of some messages.
type lookup struct {
	sizes   map[uint64]int // bytes of the stanza; absent for those that are not there
	dropped uint64         // deletions that had reached the disk before: after another the sizes may be wrong
}

const absent = -1

// lookUp asks the disk for messages.
func (f *Offline) lookUp(bare []byte, numbers []uint64, on *lookup) error {
	return f.db.View(func(txn *badger.Txn) error {
		var key []byte
		for _, n := range numbers {
			key = appendMessageKey(key[:0], bare, n, 0)
			on.sizes[n] = absent
			item, err := txn.Get(key)
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			err = item.Value(func(b []byte) (err error) {
				_, on.sizes[n], _, err = parseMessage(b)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// drop takes messages out of memory and queues their deletion; or it does nothing and gives those that are not in memory, and
// are not looked up, or were before another call may have deleted them.
func (f *Offline) drop(bare []byte, numbers []uint64, on *lookup) (queued int, ask []uint64) {
	s := f.shard(bare)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.users[string(bare)]
	if b == nil {
		return 0, nil
	}
	if on.sizes == nil || on.dropped != s.dropped {
		on.sizes, on.dropped = map[uint64]int{}, s.dropped
	}
	if ask = b.unknown(numbers, on); len(ask) > 0 {
		return 0, ask
	}
	for _, n := range numbers {
		size, queue, is := b.take(n, on)
		if !is {
			continue
		}
		f.uncount(b, n, size)
		if queue {
			queued++
			w := s.begin(bare, b)
			if w.gone == nil {
				w.gone = map[uint64]struct{}{}
			}
			w.gone[n] = struct{}{}
			s.queue(&change{w: w, number: n, size: size})
		}
	}
	return queued, nil
}

// uncount takes a message out of the counts. The shard is locked.
func (f *Offline) uncount(b *mailbox, number uint64, size int) {
	b.count--
	b.bytes -= int64(size)
	f.messages.Add(-1)
	f.bytes.Add(-int64(size))
	f.room.disk.held.Add(-int64(size))
	if number == b.oldest {
		b.oldest++
	}
	if b.count == 0 {
		f.users.Add(-1)
	}
}

// unknown gives the numbers of which only the disk knows whether they are stored. The shard is locked.
func (b *mailbox) unknown(numbers []uint64, on *lookup) (ask []uint64) {
	for _, n := range numbers {
		if b.count == 0 || n < b.oldest || n > b.last || b.work != nil && b.work.knows(n) {
			continue
		}
		if _, asked := on.sizes[n]; !asked {
			ask = append(ask, n)
		}
	}
	return ask
}

func (w *work) knows(number uint64) bool {
	_, put := slices.BinarySearchFunc(w.puts, number, byNumber)
	_, gone := w.gone[number]
	return put || gone
}

// take finds a message that is to be deleted; queue tells whether the disk has it, or soon will. The shard is locked.
func (b *mailbox) take(number uint64, on *lookup) (size int, queue, is bool) {
	if w := b.work; w != nil {
		if _, gone := w.gone[number]; gone {
			return 0, false, false
		}
		if i, put := slices.BinarySearchFunc(w.puts, number, byNumber); put {
			c := w.puts[i]
			w.puts = slices.Delete(w.puts, i, i+1)
			c.void = !c.taken
			return c.size, c.taken, true
		}
	}
	size, is = on.sizes[number]
	is = is && size != absent
	return size, is, is
}
