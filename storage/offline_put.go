package storage

import (
	"bytes"
	"encoding/binary"
)

// messageMost bounds what Put takes; the largest stanza is far below it.
const messageMost = 1 << 30

// Put stores a copy of raw as the last message of a bare JID, and gives its number. It counts at once, and the
// commit follows; while more than 4096 changes or 32 MiB wait for that, it waits. The error is
// ErrMailboxFull, ErrStoreFull, ErrDiskFull, ErrNoSpace, ErrBadUser, ErrClosed, or the failure that OnFail was told of.
func (f *Offline) Put(bare []byte, origin NodeID, raw []byte, k Keep) (number uint64, err error) {
	if err := puttable(bare, len(raw)); err != nil {
		return 0, err
	}
	size := int64(len(raw))
	idle, err := f.gate.take(1, size)
	if err != nil {
		return 0, err
	}
	if idle { // else the committer looks, after each group
		f.room.glance()
	}
	if f.room.left() < size {
		err = ErrNoSpace
	} else {
		number, err = f.put(bare, appendMessage(origin, raw), k)
	}
	if err != nil {
		f.gate.give(1, size)
	}
	f.commits.nudge()
	return number, err
}

// puttable says what of a message no store takes.
func puttable(bare []byte, size int) error {
	if len(bare) == 0 || len(bare) > maxBare || bytes.IndexByte(bare, 0) >= 0 {
		return ErrBadUser
	}
	if size > messageMost {
		return ErrMailboxFull
	}
	return nil
}

// Fits tells what Put would say to a message of so many bytes, as far as can be told without storing it: nil,
// ErrMailboxFull, ErrStoreFull, ErrDiskFull, ErrNoSpace or ErrBadUser.
func (f *Offline) Fits(bare []byte, size int, k Keep) error {
	if err := puttable(bare, size); err != nil {
		return err
	}
	if changes, _ := f.gate.waiting(); changes == 0 {
		f.room.glance()
	}
	s := f.shard(bare)
	s.mu.RLock()
	b := s.users[string(bare)]
	full := b != nil && b.full(size, k) || b == nil && (&mailbox{}).full(size, k)
	s.mu.RUnlock()
	switch most := f.total.Load(); {
	case f.room.left() < int64(size):
		return ErrNoSpace
	case full:
		return ErrMailboxFull
	case most > 0 && f.bytes.Load()+int64(size) > most:
		return ErrStoreFull
	case !f.room.disk.fits(int64(size)):
		return ErrDiskFull
	}
	return nil
}

// full reports whether a mailbox may not get so many bytes more. The shard is locked.
func (b *mailbox) full(size int, k Keep) bool {
	return k.Messages > 0 && b.count >= k.Messages || k.Bytes > 0 && b.bytes+int64(size) > k.Bytes
}

// appendMessage is a message as the disk will have it.
func appendMessage(origin NodeID, raw []byte) []byte {
	b := make([]byte, 0, messageHead+len(raw))
	b = binary.BigEndian.AppendUint32(b, uint32(origin))
	b = binary.BigEndian.AppendUint32(b, uint32(len(raw)))
	return append(b, raw...)
}

// put counts a message and queues it, if the quotas allow.
func (f *Offline) put(bare, value []byte, k Keep) (uint64, error) {
	size := len(value) - messageHead
	now := f.now()
	s := f.shard(bare)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.users[string(bare)]
	if b == nil {
		b = &mailbox{last: s.floor}
	}
	if b.full(size, k) {
		return 0, ErrMailboxFull
	}
	if err := f.book(int64(size)); err != nil {
		return 0, err
	}
	w := s.begin(bare, b)
	b.last = max(b.last+1, now)
	if b.count == 0 {
		b.oldest = b.last
		f.users.Add(1)
	}
	b.count++
	b.bytes += int64(size)
	f.messages.Add(1)
	c := &change{w: w, number: b.last, size: size, value: value}
	w.puts = append(w.puts, c)
	s.queue(c)
	f.queued.Add(1) // behind queue, with the shard locked: who counts it finds it
	return c.number, nil
}

// now is the time as numbers have it.
func (f *Offline) now() uint64 { return uint64(max(f.opt.Now().UnixMicro(), 0)) }

// book adds to the bytes of the store, unless they would be more than it may have, or both stores may.
func (f *Offline) book(n int64) error {
	for {
		old := f.bytes.Load()
		if most := f.total.Load(); most > 0 && old+n > most {
			return ErrStoreFull
		}
		if f.bytes.CompareAndSwap(old, old+n) {
			break
		}
	}
	if f.room.disk.book(n) {
		return nil
	}
	f.bytes.Add(-n)
	return ErrDiskFull
}

// begin gives the work of a mailbox, which is in the shard from now on. The shard is locked.
func (s *mailboxes) begin(bare []byte, b *mailbox) *work {
	if b.work == nil {
		b.work = &work{s: s, bare: string(bare), box: b}
		if s.users[b.work.bare] == nil {
			s.users[b.work.bare] = b
		}
	}
	return b.work
}

// queue hands a change to the committer, which must be nudged. The shard is locked.
func (s *mailboxes) queue(c *change) {
	c.w.refs++
	s.out = append(s.out, c)
	s.dirty.Store(true)
}

// end notes that a change is on disk, or will not be. The shard is locked.
func (w *work) end() {
	if w.refs--; w.refs > 0 {
		return
	}
	w.box.work = nil
	if w.box.count == 0 {
		w.s.floor = max(w.s.floor, w.box.last)
		delete(w.s.users, w.bare)
	}
}
