package storage

import (
	"bytes"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// load fills the mailboxes from the disk, and removes what a kill has left of messages of many parts.
func (f *Offline) load() error {
	if err := checkSchema(f.db); err != nil {
		return err
	}
	l := &offlineLoader{f: f}
	err := f.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues, o.Prefix = false, []byte(messagePrefix)
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := l.add(it.Item()); err != nil {
				return err
			}
		}
		return l.complete()
	})
	if err != nil {
		return err
	}
	return l.dropOrphans()
}

// offlineLoader reads all records in the order of their keys.
type offlineLoader struct {
	f       *Offline
	bare    []byte   // the user that the records are of now
	box     *mailbox // its mailbox
	size    int      // of the message that is read
	number  uint64   // of it
	part    int      // that comes next
	orphans [][]byte // keys of parts without a record
}

func (l *offlineLoader) add(item *badger.Item) error {
	k, err := parseMessageKey(item.Key())
	if err != nil {
		return err
	}
	same := bytes.Equal(k.bare, l.bare)
	if k.part > 0 {
		if !same || l.box == nil || l.number != k.number {
			l.orphans = append(l.orphans, item.KeyCopy(nil))
			return nil
		}
		if k.part != l.part || int(item.ValueSize()) != partSize(l.size, k.part) {
			return fmt.Errorf("%w: a part of a message", errRecord)
		}
		l.part++
		return nil
	}
	if err := l.complete(); err != nil {
		return err
	}
	if !same {
		l.bare, l.box = append(l.bare[:0], k.bare...), nil
	}
	return item.Value(func(b []byte) error {
		_, size, _, err := parseMessage(b)
		if err == nil {
			l.note(k.number, size)
		}
		return err
	})
}

// complete sees that the last message had all its parts.
func (l *offlineLoader) complete() error {
	if l.box != nil && l.part != parts(l.size) {
		return fmt.Errorf("%w: a message of %d parts has %d", errRecord, parts(l.size), l.part)
	}
	return nil
}

// note counts a message.
func (l *offlineLoader) note(number uint64, size int) {
	if l.box == nil {
		l.box = &mailbox{oldest: number}
		l.f.shard(l.bare).users[string(l.bare)] = l.box
		l.f.users.Add(1)
	}
	l.box.last = number
	l.box.count++
	l.box.bytes += int64(size)
	l.f.messages.Add(1)
	l.f.bytes.Add(int64(size))
	l.f.room.disk.held.Add(int64(size))
	l.number, l.size, l.part = number, size, 1
}

// dropOrphans removes parts without a record, one synced transaction after the other as verify expects.
func (l *offlineLoader) dropOrphans() error {
	var writes []write
	for i, k := range l.orphans {
		writes = append(writes, write{key: k})
		if len(writes) < groupChanges/4 && i+1 < len(l.orphans) { // keys may be long
			continue
		}
		if err := l.f.commit(writes); err != nil {
			return err
		}
		writes = writes[:0]
	}
	return nil
}
