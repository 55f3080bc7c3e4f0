package storage

import (
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// tally is what a mailbox must hold.
type tally struct {
	count       int
	bytes       int64
	first, last uint64
}

// ConsistencyCheck compares the mailboxes with the disk, both ways, and the counts of the store with the mailboxes. It
// waits for the committer first. The store may be used meanwhile; a user whose mailbox changes all the
// time counts as a difference.
func (f *Offline) ConsistencyCheck() error {
	if err := f.commits.flush(); err != nil {
		return fmt.Errorf("check messages: %w", err)
	}
	if err := f.gate.enter(); err != nil {
		return fmt.Errorf("check messages: %w", err)
	}
	defer f.gate.leave()
	disk := map[string]tally{}
	if err := f.tallyAll(disk); err != nil {
		return fmt.Errorf("check messages: %w", err)
	}
	for _, bare := range f.suspects(disk) {
		if err := f.settleMailbox(bare); err != nil {
			return fmt.Errorf("check messages: %w", err)
		}
	}
	if err := f.checkSums(); err != nil {
		return fmt.Errorf("check messages: %w", err)
	}
	return nil
}

// tallyAll counts what the disk has.
func (f *Offline) tallyAll(all map[string]tally) error {
	return f.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues, o.Prefix = false, []byte(messagePrefix)
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			k, err := parseMessageKey(it.Item().Key())
			if err != nil {
				return err
			}
			t := all[string(k.bare)]
			if err := t.add(k, it.Item()); err != nil {
				return fmt.Errorf("%q: %w", k.bare, err)
			}
			all[string(k.bare)] = t
		}
		return nil
	})
}

// add counts one record.
func (t *tally) add(k messageKey, item *badger.Item) error {
	if k.part > 0 {
		t.bytes += item.ValueSize()
		return nil
	}
	if t.count == 0 {
		t.first = k.number
	}
	t.count, t.last = t.count+1, k.number
	return item.Value(func(b []byte) error {
		_, _, first, err := parseMessage(b)
		t.bytes += int64(len(first))
		return err
	})
}

// matches reports whether a mailbox can be that of what the disk has.
func (t tally) matches(b mailbox) bool {
	return t.count == b.count && t.bytes == b.bytes && (t.count == 0 || b.oldest <= t.first && b.last >= t.last)
}

// suspects gives the users of whom memory and disk do not say the same.
func (f *Offline) suspects(disk map[string]tally) (users []string) {
	for i := range f.boxes {
		s := &f.boxes[i]
		s.mu.RLock()
		for bare, b := range s.users {
			if !disk[bare].matches(*b) {
				users = append(users, bare)
			}
			delete(disk, bare)
		}
		s.mu.RUnlock()
	}
	for bare := range disk {
		users = append(users, bare)
	}
	slices.Sort(users)
	return users
}

// settleMailbox compares a mailbox again, until it stays the same while the disk is read.
func (f *Offline) settleMailbox(bare string) error {
	var diff error
	for range checkRounds {
		if err := f.commits.flush(); err != nil {
			return err
		}
		before := f.mailbox(bare)
		var t tally
		err := f.walkMailbox([]byte(bare), 0, func(k messageKey, item *badger.Item) (bool, error) {
			return true, t.add(k, item)
		})
		if err != nil {
			return err
		}
		after := f.mailbox(bare)
		if before == after && after.work == nil && t.matches(after) {
			return nil
		}
		diff = fmt.Errorf("%s: the disk has %+v, memory %+v", bare, t, after)
	}
	return diff
}

// mailbox gives a user's mailbox as it is now, an empty one if there is none.
func (f *Offline) mailbox(bare string) mailbox {
	s := f.shard([]byte(bare))
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.users[bare]; b != nil {
		return *b
	}
	return mailbox{}
}

// checkSums compares the counts of the whole store with its mailboxes, until nothing changes meanwhile; none may be left empty.
func (f *Offline) checkSums() error {
	var diff error
	for range checkRounds {
		want := f.Stats()
		var got OfflineStats
		empty := 0
		for i := range f.boxes {
			s := &f.boxes[i]
			s.mu.RLock()
			for _, b := range s.users {
				if b.count > 0 {
					got.Users++
				}
				got.Messages += b.count
				got.Bytes += b.bytes
				if b.count == 0 && b.work == nil {
					empty++
				}
			}
			s.mu.RUnlock()
		}
		got.Loaded, got.Took = want.Loaded, want.Took
		if got == want && empty == 0 {
			return nil
		}
		diff = fmt.Errorf("the store counts %+v, its mailboxes have %+v, %d of them nothing", want, got, empty)
	}
	return diff
}
