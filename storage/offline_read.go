package storage

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// view is what memory says of a mailbox at one time.
type view struct {
	from uint64              // the disk has nothing of interest below it
	puts []*change           // messages that may not be on disk, by rising number
	gone map[uint64]struct{} // those that may still be there
}

// view gives what memory has of the messages after a number, at most most of them; ok is false if nothing is stored.
func (f *Offline) view(bare []byte, after uint64, most int) (v view, ok bool) {
	s := f.shard(bare)
	s.mu.RLock()
	defer s.mu.RUnlock()
	b := s.users[string(bare)]
	if b == nil || b.count == 0 || after >= b.last {
		return view{}, false
	}
	v.from = max(after+1, b.oldest)
	if w := b.work; w != nil {
		i, _ := slices.BinarySearchFunc(w.puts, v.from, byNumber)
		v.puts = slices.Clone(w.puts[i:min(len(w.puts), i+most)])
		v.gone = maps.Clone(w.gone)
	}
	return v, true
}

func byNumber(c *change, number uint64) int {
	switch {
	case c.number < number:
		return -1
	case c.number > number:
		return 1
	}
	return 0
}

// shows reports whether a record of the disk is to be read: what follows the first message that memory has is in memory
// too, or was put later.
func (v *view) shows(number uint64) (is, more bool) {
	if len(v.puts) > 0 && number >= v.puts[0].number {
		return false, false
	}
	_, gone := v.gone[number]
	return !gone, true
}

// Read gives the next messages of a bare JID after a number, in order, also those that are not committed yet: at
// most most of them, and of more than one at most about 4 MiB. It waits for the disk: call it from goroutines that may.
func (f *Offline) Read(bare []byte, after uint64, most int) ([]Stored, error) {
	if err := f.gate.enter(); err != nil {
		return nil, err
	}
	defer f.gate.leave()
	v, ok := f.view(bare, after, most)
	if !ok || most <= 0 {
		return nil, nil
	}
	r := &reader{most: most}
	full, err := f.readDisk(bare, &v, r)
	if err != nil {
		return nil, fmt.Errorf("read messages of %s: %w", bare, err)
	}
	for _, c := range v.puts {
		origin, _, _, _ := parseMessage(c.value[:messageHead+partSize(c.size, 0)]) // as Put made it
		if full || len(r.got) == most || len(r.got) > 0 && r.bytes+c.size > readBytes {
			break
		}
		r.got = append(r.got, Stored{Number: c.number, Origin: origin, Raw: bytes.Clone(c.value[messageHead:])})
		r.bytes += c.size
	}
	if len(r.got) > 0 && after < v.from {
		f.raise(bare, v.from, r.got[0].Number)
	}
	return r.got, nil
}

// readDisk reads what the disk has of a view; full tells whether there was more than fits.
func (f *Offline) readDisk(bare []byte, v *view, r *reader) (full bool, err error) {
	err = f.walkMailbox(bare, v.from, func(k messageKey, item *badger.Item) (more bool, err error) {
		is, more := v.shows(k.number)
		if !is {
			return more, nil
		}
		err = item.Value(func(b []byte) error {
			more, err = r.add(k, b)
			return err
		})
		full = !more
		return more, err
	})
	if err == nil && r.lacks > 0 {
		err = fmt.Errorf("%w: a message is cut short", errDamaged)
	}
	return full, err
}

// first gives the number of the oldest message, 0 if there is none.
func (f *Offline) first(bare []byte) (number uint64, err error) {
	v, ok := f.view(bare, 0, 1)
	if !ok {
		return 0, nil
	}
	err = f.walkMailbox(bare, v.from, func(k messageKey, _ *badger.Item) (bool, error) {
		is, more := v.shows(k.number)
		if is && k.part == 0 {
			number, more = k.number, false
		}
		return more, nil
	})
	if number == 0 && len(v.puts) > 0 {
		number = v.puts[0].number
	}
	if err == nil && number != 0 {
		f.raise(bare, v.from, number)
	}
	return number, err
}

// raise notes that the oldest message of a mailbox has a number, or a higher one, which was found when the mailbox was known
// to have none below from.
func (f *Offline) raise(bare []byte, from, number uint64) {
	if from == number {
		return
	}
	s := f.shard(bare)
	s.mu.Lock()
	if b := s.users[string(bare)]; b != nil && b.oldest >= from && b.oldest < number {
		b.oldest = number
	}
	s.mu.Unlock()
}

// domain is the domainpart of a bare JID.
func domain(bare []byte) []byte { return bare[bytes.IndexByte(bare, '@')+1:] }

// Aged gives at most most bare JIDs whose oldest message was accepted before the time that is given for their
// domain; the zero time is never. It may wait for the disk. before is called under a lock: it must not use the store.
func (f *Offline) Aged(before func(domain []byte) time.Time, most int) []string {
	if f.gate.enter() != nil {
		return nil
	}
	defer f.gate.leave()
	var aged, suspects []string
	var limits []uint64
	for i := range f.boxes {
		suspects, limits = f.boxes[i].older(before, suspects[:0], limits[:0])
		for j, bare := range suspects {
			if len(aged) == most {
				return aged
			}
			oldest, err := f.first([]byte(bare))
			if err != nil {
				f.fail(fmt.Errorf("read the oldest message: %w", err))
				return aged
			}
			if oldest != 0 && oldest < limits[j] {
				aged = append(aged, bare)
			}
		}
	}
	return aged
}

// older gives the users of a shard whose oldest message may be older than the limit of their domain.
func (s *mailboxes) older(before func([]byte) time.Time, users []string, limits []uint64) ([]string, []uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var buf []byte
	for bare, b := range s.users {
		if b.count == 0 {
			continue
		}
		buf = append(buf[:0], bare...)
		if t := before(domain(buf)); !t.IsZero() && int64(b.oldest) < t.UnixMicro() {
			users, limits = append(users, bare), append(limits, uint64(t.UnixMicro()))
		}
	}
	return users, limits
}
