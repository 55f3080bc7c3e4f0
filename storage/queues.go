package storage

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
)

// QueuesOptions are what OpenQueues needs.
type QueuesOptions struct {
	Dir          string           // of both stores, made if missing; Memory for an offline store in memory and no outbox
	OfflineTotal int64            // bytes of all stanzas in the offline store; 0: no bound
	OutboxTotal  int64            // bytes of all blocks in the outbox; 0: no bound
	Disk         int64            // bytes of both together; 0: no bound
	Log          *logrus.Entry    // nil: silent
	Now          func() time.Time // nil: time.Now
	OnFail       func(error)      // called once for each store, when a commit has failed for another reason than no room; must not block nor call Close. May be nil
}

// Queues are the stores of what waits: the offline store, for users without a session, and the outbox, for nodes that do not take
// what is theirs. They share a directory, its lock, and the reckoning of what they may take of the disk.
type Queues struct {
	offline *Offline
	outbox  *Outbox // nil: there is no disk
}

// OpenQueues opens both stores. Errors are one line and say what mends them.
func OpenQueues(o QueuesOptions) (*Queues, error) { return openQueues(o, space, defaultOutboxKnobs()) }

func openQueues(o QueuesOptions, space spaceFunc, k outboxKnobs) (*Queues, error) {
	off, err := openOffline(OfflineOptions{Dir: o.Dir, Total: o.OfflineTotal, Log: o.Log, Now: o.Now, OnFail: o.OnFail}, space)
	if err != nil {
		return nil, err
	}
	q := &Queues{offline: off}
	q.SetDisk(o.Disk)
	if o.Dir == Memory {
		return q, nil
	}
	if q.outbox, err = openOutbox(filepath.Join(o.Dir, "outbox"), o, off.room, k); err != nil {
		_ = off.Close() // nothing was written
		return nil, err
	}
	return q, nil
}

// Offline is the offline store.
func (q *Queues) Offline() *Offline { return q.offline }

// Outbox is the outbox, nil with Memory: to keep in memory what memory has no room for helps nobody.
func (q *Queues) Outbox() *Outbox { return q.outbox }

// SetDisk changes how many bytes both stores may have together, 0: no bound. What is there beyond it stays.
func (q *Queues) SetDisk(bytes int64) { q.offline.room.disk.most.Store(bytes) }

// Database tells of the offline store's database; of the outbox, which has none, tells OutboxStats. It may be called after Close, too.
func (q *Queues) Database() DatabaseStats { return q.offline.Database() }

// Close writes what is queued and closes both. The error is the first of each that kept something from the disk. Calls that wait for
// the disk meanwhile, and later ones, give ErrClosed. Call it once.
func (q *Queues) Close() error {
	var err error
	if q.outbox != nil { // first: the lock of the directory is the database's
		err = q.outbox.close()
	}
	return errors.Join(err, q.offline.Close())
}
