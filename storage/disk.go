package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Keys on disk. A zero byte cannot occur in a JID (RFC 7622 3.3.1, 3.4.1). Keys hold canonical JIDs only.
const (
	sessionPrefix = "s\x00" // s 0 bare 0 resource: node u32, inc u64, version u64, since u32, priority i8
	nodePrefix    = "n\x00" // n 0 domain: id u32, inc u64, base u64, until i64, seen i64, state u8, server
	schemaKey     = "m\x00schema"
	versionKey    = "m\x00version" // u64: no session on disk has a higher version
)

// schema is the version of the layout above. An older program refuses a newer one.
const schema = 1

// stored is a session as the disk has it.
type stored struct {
	node    NodeID
	inc     uint64
	version uint64
	since   uint32
	prio    int8
}

const storedLen = 4 + 8 + 8 + 4 + 1

var (
	errRecord = errors.New("a record has a wrong length")
	errSchema = errors.New("newer layout")
)

func appendSessionKey(b, bare, res []byte) []byte {
	return append(appendUserKey(b, bare), res...)
}

// splitSessionKey is the inverse of appendSessionKey.
func splitSessionKey(b []byte) (bare, res []byte, err error) {
	b = b[len(sessionPrefix):]
	i := bytes.IndexByte(b, 0)
	if i <= 0 || i > maxBare || i == len(b)-1 || len(b)-i-1 > maxResource {
		return nil, nil, errRecord
	}
	return b[:i], b[i+1:], nil
}

// appendUserKey appends the begin of the keys of a user's sessions.
func appendUserKey(b, bare []byte) []byte {
	return append(append(append(b, sessionPrefix...), bare...), 0)
}

func appendSession(b []byte, s stored) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(s.node))
	b = binary.BigEndian.AppendUint64(b, s.inc)
	b = binary.BigEndian.AppendUint64(b, s.version)
	b = binary.BigEndian.AppendUint32(b, s.since)
	return append(b, byte(s.prio))
}

func parseSession(b []byte) (stored, error) {
	if len(b) != storedLen {
		return stored{}, errRecord
	}
	return stored{
		node:    NodeID(binary.BigEndian.Uint32(b)),
		inc:     binary.BigEndian.Uint64(b[4:]),
		version: binary.BigEndian.Uint64(b[12:]),
		since:   binary.BigEndian.Uint32(b[20:]),
		prio:    int8(b[24]),
	}, nil
}

// session is a record of the locked shard as the disk has it.
func (w writer) session(addr uint32) stored {
	r := w.table().record(addr)
	b := w.binding(r)
	return stored{b.node, b.inc.Load(), r.version(), r.since(), r.head().priority()}
}

func appendNode(b []byte, r NodeRecord) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(r.ID))
	b = binary.BigEndian.AppendUint64(b, r.Inc)
	b = binary.BigEndian.AppendUint64(b, r.Base)
	b = binary.BigEndian.AppendUint64(b, micros(r.Until))
	b = binary.BigEndian.AppendUint64(b, micros(r.Seen))
	return append(append(b, byte(r.State)), r.Server...)
}

func parseNode(domain string, b []byte) (NodeRecord, error) {
	if len(b) < 37 || b[36] > byte(Gone) {
		return NodeRecord{}, errRecord
	}
	return NodeRecord{
		ID:     NodeID(binary.BigEndian.Uint32(b)),
		Domain: domain,
		Inc:    binary.BigEndian.Uint64(b[4:]),
		Base:   binary.BigEndian.Uint64(b[12:]),
		Until:  fromMicros(binary.BigEndian.Uint64(b[20:])),
		Seen:   fromMicros(binary.BigEndian.Uint64(b[28:])),
		State:  NodeState(b[36]),
		Server: string(b[37:]),
	}, nil
}

// micros is a time in microseconds since 1970, 0 for the zero time.
func micros(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixMicro())
}

func fromMicros(u uint64) time.Time {
	if u == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(u))
}

// write commits a group and the node records in one synced transaction.
func (s *Sessions) write(g *group, nodes []dirtyRecord) error {
	if len(g.puts) == 0 && len(nodes) == 0 {
		return nil
	}
	if err := room(s.opt.Dir, s.space, 0); err != nil {
		return err
	}
	begin := time.Now()
	txn := s.db.NewTransaction(true)
	defer txn.Discard()
	for _, r := range nodes {
		var err error
		if k := []byte(nodePrefix + r.Domain); r.forgot {
			err = txn.Delete(k)
		} else {
			err = txn.Set(k, appendNode(nil, r.NodeRecord))
		}
		if err != nil {
			return fmt.Errorf("write node %s: %w", r.Domain, err)
		}
	}
	if len(g.puts) > 0 {
		if err := txn.Set([]byte(versionKey), binary.BigEndian.AppendUint64(nil, s.version.Load())); err != nil {
			return fmt.Errorf("write version: %w", err)
		}
	}
	for _, p := range g.puts {
		k := g.slab[p.at : p.at+p.key : p.at+p.key]
		var err error
		if p.val == 0 {
			err = txn.Delete(k)
		} else {
			err = txn.Set(k, g.slab[p.at+p.key:p.at+p.key+p.val])
		}
		if err != nil {
			return fmt.Errorf("write session: %w", err)
		}
	}
	if err := txn.Commit(); err != nil {
		return err
	}
	s.commits.tally.add(len(nodes)+len(g.puts), begin)
	return nil
}

// room refuses a write that would find the file system full, or that leaves less than the reserve: Badger writes through memory maps of
// sparse files, and a full disk would end the process with SIGBUS instead of an error.
func room(dir string, space spaceFunc, bytes int64) error {
	if dir == Memory {
		return nil
	}
	if free, _, ok := space(dir); ok && int64(free)-bytes < int64(reserve) {
		return fmt.Errorf("%w: %d MiB free, %d needed", errNoSpace, free>>20, (reserve+uint64(bytes))>>20)
	}
	return nil
}

// spaceFunc gives the bytes of a directory's file system that are free for this user, and its size.
type spaceFunc func(dir string) (free, size uint64, ok bool)

// checkSchema refuses a layout of the future and marks a new database with ours.
func checkSchema(db *badger.DB) error {
	return db.Update(func(txn *badger.Txn) error {
		it, err := txn.Get([]byte(schemaKey))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return txn.Set([]byte(schemaKey), binary.BigEndian.AppendUint32(nil, schema))
		}
		if err != nil {
			return err
		}
		return it.Value(func(b []byte) error {
			if len(b) != 4 {
				return errRecord
			}
			if v := binary.BigEndian.Uint32(b); v > schema {
				return fmt.Errorf("%w %d, this program knows %d: use the newer program", errSchema, v, schema)
			}
			return nil
		})
	})
}

// readHigh gives a version that no session on disk exceeds; ok is false if the disk does not say.
func readHigh(db *badger.DB) (high uint64, ok bool, err error) {
	err = db.View(func(txn *badger.Txn) error {
		b, err := value(txn, versionKey)
		if err != nil || b == nil {
			return err
		}
		if len(b) != 8 {
			return errRecord
		}
		high, ok = binary.BigEndian.Uint64(b), true
		return nil
	})
	return high, ok, err
}

// value gives a copy of a key's value, nil if there is none.
func value(txn *badger.Txn, k string) ([]byte, error) {
	it, err := txn.Get([]byte(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return it.ValueCopy(nil)
}
