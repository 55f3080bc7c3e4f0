package storage

import (
	"encoding/binary"
	"errors"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// handledPrefix begins the records of what nodes sent: h 0 domain: count u32, id.
const handledPrefix = "h\x00"

// handled is how far what nodes sent on links that may be resumed is in custody (XEP-0198), as the disk has it or is about to.
type handled struct {
	mu    sync.Mutex
	dirty map[string][]byte // guarded by mu: values by domain
}

// SetHandled notes how many of the stanzas that a node sent on the link with this id are in custody, modulo 2^32, in the place of
// what was noted for the node. It waits for nothing; Close, if not the committer before it, brings it to the disk.
func (q *Queues) SetHandled(node, id string, count uint32) {
	f := q.offline
	value := append(binary.BigEndian.AppendUint32(nil, count), id...)
	f.handled.mu.Lock()
	if f.handled.dirty == nil {
		f.handled.dirty = map[string][]byte{}
	}
	f.handled.dirty[node] = value
	f.handled.mu.Unlock()
	f.commits.nudge()
}

// Handled gives what SetHandled noted for a node last, before the last open too. ok: something was. It waits for the disk.
func (q *Queues) Handled(node string) (id string, count uint32, ok bool) {
	f := q.offline
	f.handled.mu.Lock()
	value := f.handled.dirty[node]
	f.handled.mu.Unlock()
	if value == nil && f.gate.enter() == nil {
		value = f.readHandled(node)
		f.gate.leave()
	}
	if len(value) < 4 {
		return "", 0, false
	}
	return string(value[4:]), binary.BigEndian.Uint32(value), true
}

func (f *Offline) readHandled(node string) (value []byte) {
	err := f.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get([]byte(handledPrefix + node))
		if err != nil {
			return err
		}
		value, err = item.ValueCopy(nil)
		return err
	})
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) && f.opt.Log != nil {
		f.opt.Log.WithError(err).WithField("node", node).Error("read how much of what a node sent is in custody")
	}
	return value
}

// commitHandled writes what was noted. Without room it waits for the next time.
func (c *offlineCommitter) commitHandled() error {
	for {
		writes := c.f.handled.take()
		if len(writes) == 0 {
			return nil
		}
		err := c.f.commit(writes)
		if errors.Is(err, errNoSpace) {
			return nil
		}
		if err != nil {
			c.f.fail(err)
			return c.f.gate.failure()
		}
		c.f.handled.written(writes)
	}
}

// take gives what is to be written, a group of it.
func (h *handled) take() (writes []write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node, value := range h.dirty {
		if len(writes) == groupChanges {
			break
		}
		writes = append(writes, write{[]byte(handledPrefix + node), value})
	}
	return writes
}

// written takes out what is on disk, but for what has changed since.
func (h *handled) written(writes []write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range writes {
		if node := string(w.key[len(handledPrefix):]); string(h.dirty[node]) == string(w.value) {
			delete(h.dirty, node)
		}
	}
}
