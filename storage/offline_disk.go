package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// A message on disk is a record f 0 bare 0 number u64: origin u32, bytes of the stanza u32, the stanza. Of a
// stanza of more than partMost bytes that record has the first ones, and f 0 bare 0 number u64 part u16 the
// others, of which the last may be shorter. So all values stay in the tables, and a transaction below Badger's bound.
// Parts are written before the record and deleted after it: a record without its parts is damage, and parts
// without their record are the rest of a kill, which the open removes.
const (
	messagePrefix = "f\x00"
	groupKey      = "m\x00group" // in each transaction, behind all messages: so all tables of level 0 overlap (see badgerOptions)
	messageHead   = 4 + 4
	partMost      = 64 << 10
)

func appendMailboxKey[T []byte | string](b []byte, bare T) []byte {
	b = append(append(b, messagePrefix...), bare...)
	return append(b, 0)
}

func appendMessageKey[T []byte | string](b []byte, bare T, number uint64, part int) []byte {
	b = binary.BigEndian.AppendUint64(appendMailboxKey(b, bare), number)
	if part > 0 {
		b = binary.BigEndian.AppendUint16(b, uint16(part))
	}
	return b
}

// messageKey is the inverse of appendMessageKey.
type messageKey struct {
	bare   []byte
	number uint64
	part   int // 0: the record
}

func parseMessageKey(b []byte) (k messageKey, err error) {
	b = b[len(messagePrefix):]
	i := bytes.IndexByte(b, 0)
	if i <= 0 || i > maxBare {
		return k, errRecord
	}
	k.bare, b = b[:i], b[i+1:]
	switch len(b) {
	case 8:
	case 10:
		if k.part = int(binary.BigEndian.Uint16(b[8:])); k.part == 0 {
			return k, errRecord
		}
	default:
		return k, errRecord
	}
	k.number = binary.BigEndian.Uint64(b)
	return k, nil
}

// parts is how many records a stanza takes.
func parts(size int) int { return max(1, (size+partMost-1)/partMost) }

// partSize is how many bytes of a stanza are in one of its records.
func partSize(size, part int) int { return min(partMost, size-part*partMost) }

// parseMessage reads the value of a message's first record.
func parseMessage(b []byte) (origin NodeID, size int, first []byte, err error) {
	if len(b) < messageHead {
		return 0, 0, nil, errRecord
	}
	origin, size = NodeID(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
	first = b[messageHead:]
	if size > messageMost || len(first) != partSize(size, 0) {
		return 0, 0, nil, errRecord
	}
	return origin, size, first, nil
}

// write gives the i-th write of a change: a key, and its value, or none for a delete.
func (c *change) write(key []byte, i int) (k, value []byte) {
	if c.value == nil {
		return appendMessageKey(key, c.w.bare, c.number, i), nil
	}
	part := (i + 1) % parts(c.size) // the first record is the last to be written
	from, to := part*partMost, part*partMost+partSize(c.size, part)
	if part > 0 {
		from += messageHead
	}
	return appendMessageKey(key, c.w.bare, c.number, part), c.value[from : to+messageHead]
}

// walkMailbox calls each with the key and the item of each record of a mailbox from a number on, until it says false.
// Both are valid during the call.
func (f *Offline) walkMailbox(bare []byte, from uint64, each func(messageKey, *badger.Item) (bool, error)) error {
	prefix := appendMailboxKey(nil, bare)
	return f.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues, o.Prefix = false, prefix // a prefetch is a goroutine for each value, and these are in the tables
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Seek(appendMessageKey(nil, bare, from, 0)); it.Valid(); it.Next() {
			k, err := parseMessageKey(it.Item().Key())
			if err != nil {
				return err
			}
			if more, err := each(k, it.Item()); err != nil || !more {
				return err
			}
		}
		return nil
	})
}

// reader collects the messages of one mailbox from its records.
type reader struct {
	most  int
	got   []Stored
	bytes int
	lacks int // bytes that the last of got waits for
	parts int // of it that have been read
}

// readBytes is about how much one Read gives: a message that goes beyond it is left to the next.
const readBytes = 4 << 20

// add takes one record; more is false if it is one too many.
func (r *reader) add(k messageKey, value []byte) (more bool, err error) {
	if k.part > 0 {
		return true, r.addPart(k, value)
	}
	if r.lacks > 0 {
		return false, fmt.Errorf("%w: a message is cut short", errDamaged)
	}
	origin, size, first, err := parseMessage(value)
	if err != nil || len(r.got) == r.most || len(r.got) > 0 && r.bytes+size > readBytes {
		return false, err
	}
	raw := append(make([]byte, 0, size), first...)
	r.got = append(r.got, Stored{Number: k.number, Origin: origin, Raw: raw})
	r.bytes, r.lacks, r.parts = r.bytes+size, size-len(first), 1
	return true, nil
}

// addPart takes a part; those of a message that is deleted, or was before the one asked for, are passed.
func (r *reader) addPart(k messageKey, value []byte) error {
	if len(r.got) == 0 || r.got[len(r.got)-1].Number != k.number {
		return nil
	}
	last := &r.got[len(r.got)-1]
	if k.part != r.parts || len(value) != min(partMost, r.lacks) {
		return fmt.Errorf("%w: a part of a message is missing", errDamaged)
	}
	last.Raw = append(last.Raw, value...)
	r.lacks, r.parts = r.lacks-len(value), r.parts+1
	return nil
}
