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
func (f *Offline) delete(bare []byte, numbers []uint64) (int, error) {
	s := f.shard(bare)
	for {
		ask, dropped := s.unknown(bare, numbers)
		sizes, err := f.sizes(bare, ask)
		if err != nil {
			return 0, err
		}
		if n, ok := f.drop(bare, numbers, lookup{sizes, dropped}); ok {
			return n, nil
		}
	}
}

// unknown gives the numbers of which only the disk knows whether they are stored, and the state for which that holds.
func (s *mailboxes) unknown(bare []byte, numbers []uint64) (ask []uint64, dropped uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.users[string(bare)]
	if b == nil || b.count == 0 {
		return nil, s.dropped
	}
	for _, n := range numbers {
		if n < b.oldest || n > b.last || b.work != nil && b.work.knows(n) {
			continue
		}
		ask = append(ask, n)
	}
	return ask, s.dropped
}

func (w *work) knows(number uint64) bool {
	_, put := slices.BinarySearchFunc(w.puts, number, byNumber)
	_, gone := w.gone[number]
	return put || gone
}

// sizes looks messages up on disk.
func (f *Offline) sizes(bare []byte, numbers []uint64) (map[uint64]int, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	sizes := make(map[uint64]int, len(numbers))
	err := f.db.View(func(txn *badger.Txn) error {
		var key []byte
		for _, n := range numbers {
			key = appendMessageKey(key[:0], bare, n, 0)
			item, err := txn.Get(key)
			if errors.Is(err, badger.ErrKeyNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			err = item.Value(func(b []byte) (err error) {
				_, sizes[n], _, err = parseMessage(b)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return sizes, err
}

// lookup is what the disk had, when as many deletions of the shard had reached it.
type lookup struct {
	sizes   map[uint64]int
	dropped uint64
}

// drop takes messages out of memory and queues their deletion. It refuses if the disk may have changed since it was looked at:
// a number that another call deleted meanwhile would count twice.
func (f *Offline) drop(bare []byte, numbers []uint64, on lookup) (queued int, ok bool) {
	s := f.shard(bare)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(on.sizes) > 0 && s.dropped != on.dropped {
		return 0, false
	}
	b := s.users[string(bare)]
	if b == nil {
		return 0, true
	}
	for _, n := range numbers {
		if b.count == 0 {
			break
		}
		size, queue, is := b.take(n, on.sizes)
		if !is {
			continue
		}
		b.count--
		b.bytes -= int64(size)
		f.messages.Add(-1)
		f.bytes.Add(-int64(size))
		if n == b.oldest {
			b.oldest++
		}
		if queue {
			queued++
			w := s.begin(bare, b)
			if w.gone == nil {
				w.gone = map[uint64]struct{}{}
			}
			w.gone[n] = struct{}{}
			s.queue(&change{w: w, number: n, size: size})
		}
		if b.count == 0 {
			f.users.Add(-1)
		}
	}
	return queued, true
}

// take finds a message that is to be deleted; queue tells whether the disk has it, or soon will.
func (b *mailbox) take(number uint64, sizes map[uint64]int) (size int, queue, is bool) {
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
	size, is = sizes[number]
	return size, is, is
}
