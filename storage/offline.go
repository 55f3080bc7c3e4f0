package storage

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sirupsen/logrus"
)

// Errors of the offline store, of which ErrStoreFull, ErrDiskFull and ErrNoSpace are the outbox's too. Each is a reason to answer the sender of the
// message (XEP-0160 section 3).
var (
	ErrMailboxFull = errors.New("store message: the user has as many messages, or bytes of them, as are kept")
	ErrStoreFull   = errors.New("store stanzas: the store has as many bytes as it may")
	ErrDiskFull    = errors.New("store stanzas: both stores together have as many bytes as they may")
	ErrNoSpace     = errors.New("store stanzas: the rest of the disk is kept in reserve")
	ErrBadUser     = errors.New("store message: not a bare JID")
)

// Keep bounds what is stored for one user; 0 is no bound.
type Keep struct {
	Messages int
	Bytes    int64
	Age      time.Duration // for the caller of Aged: the store deletes nothing by itself
}

// Stored is a message for a user without a session.
type Stored struct {
	Number uint64 // rises for each user: microseconds since 1970 at the acceptance, or one more than the last
	Origin NodeID // the node that sent it
	Raw    []byte // the stanza
}

// Accepted is when the message was accepted, for its delay stamp (XEP-0203 section 2).
func (s Stored) Accepted() time.Time { return time.UnixMicro(int64(s.Number)) }

// OfflineOptions are what OpenOffline needs.
type OfflineOptions struct {
	Dir    string           // of the database, made if missing; Memory for none
	Total  int64            // bytes of all stored stanzas; 0: no bound
	Log    *logrus.Entry    // nil: silent
	Now    func() time.Time // nil: time.Now
	OnFail func(error)      // called once when a commit has failed; must not block nor call Close. May be nil
}

// OfflineStats is what the store holds.
type OfflineStats struct {
	Users    int
	Messages int
	Bytes    int64         // of stanzas
	Loaded   int           // messages found at the open
	Took     time.Duration // of the open
}

// Offline keeps messages for users without a session (XEP-0160): what is stored counts in memory at once, and
// the disk follows.
//
//	Put, Delete                        Read, Aged                         Has
//	   | gate: bounds what waits          | memory first, then the disk     | memory
//	   v                                  v                                 v
//	mailboxes (256 shards: a small entry per user, and what the disk does not have yet)
//	   |  changes, in the order of each user
//	   v
//	offlineCommitter -- one synced transaction per group --> Badger
//
// A read looks at memory before the disk: a change leaves memory after its commit, so it is seen in one of
// them, or in both under one number. Everything but Close may be called from any goroutine.
type Offline struct {
	// set once
	opt    OfflineOptions
	db     *badger.DB
	log    *badgerLog
	seed   maphash.Seed
	room   *roomGauge
	loaded OfflineStats

	// owned by its goroutine, stopped by Close
	commits *offlineCommitter

	// each guards itself
	gate    gate
	handled handled
	boxes   [shardCount]mailboxes

	tally                  commitTally
	total                  atomic.Int64  // the most bytes
	users, messages, bytes atomic.Int64  // of all mailboxes
	queued, kept           atomic.Uint64 // see Puts
}

// mailboxes is one shard of the users.
type mailboxes struct {
	mu      sync.RWMutex
	users   map[string]*mailbox // guarded by mu
	out     []*change           // guarded by mu: for the committer, each user's in order
	floor   uint64              // guarded by mu: the highest number of the mailboxes that were taken out
	dropped uint64              // guarded by mu: deletions that have reached the disk
	dirty   atomic.Bool         // out is not empty
}

// mailbox is what is known of one user while something is stored. Guarded by the shard's mutex.
type mailbox struct {
	last   uint64 // the highest number given
	oldest uint64 // no message has a lower number; there may be none with this one
	bytes  int64
	count  int
	work   *work // nil: the disk has it all
}

// work is what the disk does not know yet of a mailbox. Guarded by the shard's mutex.
type work struct {
	s    *mailboxes          // set once
	bare string              // set once
	box  *mailbox            // set once
	puts []*change           // messages that are stored, by rising number
	gone map[uint64]struct{} // messages that are deleted and may still be found on disk
	refs int                 // changes on their way to the disk: the mailbox stays until there are none
}

// change is one message on its way to the disk, or its deletion.
type change struct {
	w      *work  // set once
	number uint64 // set once
	size   int    // set once: bytes of the stanza
	value  []byte // set once: head and stanza as the disk will have them; nil for a deletion
	taken  bool   // guarded by the shard's mutex: the committer has it
	void   bool   // guarded by the shard's mutex: deleted before the committer came
}

// OpenOffline opens the store, and reads every key of it to know who has something stored. Errors are one
// line and say what mends them.
func OpenOffline(o OfflineOptions) (*Offline, error) { return openOffline(o, space) }

func openOffline(o OfflineOptions, space spaceFunc) (*Offline, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Offline{opt: o, log: &badgerLog{to: o.Log}, seed: maphash.MakeSeed()}
	f.room = &roomGauge{dir: o.Dir, space: space, headroom: f.headroom}
	f.SetTotal(o.Total)
	f.gate.moved.L = &f.gate.mu
	for i := range f.boxes {
		f.boxes[i].users = map[string]*mailbox{}
	}
	start := o.Now()
	db, err := openBadger(o.Dir, f.log)
	if err != nil {
		return nil, explain(o.Dir, offlineLoss, err)
	}
	f.db = db
	if err := f.load(); err != nil {
		f.log.quiet.Store(true)
		_ = db.Close() // the load's error is the one to tell
		return nil, explain(o.Dir, offlineLoss, err)
	}
	f.loaded = OfflineStats{Loaded: int(f.messages.Load()), Took: o.Now().Sub(start)}
	f.room.look()
	f.commits = startOfflineCommitter(f)
	return f, nil
}

// offlineLoss is for explain.
const offlineLoss = "the messages stored there are lost"

// Close writes what is queued and closes the database. The error is the first that kept something
// from the disk. Calls that wait for the disk meanwhile, and later ones, give ErrClosed. Call it once.
func (f *Offline) Close() error {
	err := f.commits.close()
	f.gate.waitReads()
	if cerr := f.db.Close(); err == nil && cerr != nil {
		err = explain(f.opt.Dir, offlineLoss, cerr)
	}
	return err
}

// SetTotal changes how many bytes all stored stanzas may have together, 0: no bound. What is stored beyond it stays.
func (f *Offline) SetTotal(bytes int64) { f.total.Store(bytes) }

// Stats says what the store holds now, and what its open found.
func (f *Offline) Stats() OfflineStats {
	st := f.loaded
	st.Users, st.Messages, st.Bytes = int(f.users.Load()), int(f.messages.Load()), f.bytes.Load()
	return st
}

// Database tells of the store's database. It may be called after Close, too.
func (f *Offline) Database() DatabaseStats {
	return DatabaseStats{Commits: f.tally.stats(), Tables: f.tableBytes()}
}

// Has tells whether something is stored for a bare JID. It does not allocate, nor wait for the disk; while
// the store is empty it is one load.
func (f *Offline) Has(bare []byte) bool {
	if f.users.Load() == 0 {
		return false
	}
	s := f.shard(bare)
	s.mu.RLock()
	b := s.users[string(bare)]
	has := b != nil && b.count > 0
	s.mu.RUnlock()
	return has
}

// Count gives the number of messages that are stored for a bare JID. Like Has it waits for no disk.
func (f *Offline) Count(bare []byte) int {
	s := f.shard(bare)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.users[string(bare)]; b != nil {
		return b.count
	}
	return 0
}

func (f *Offline) shard(bare []byte) *mailboxes {
	return &f.boxes[maphash.Bytes(f.seed, bare)>>(64-shardBits)]
}

// fail notes what went wrong with the database. The first failure is final.
func (f *Offline) fail(err error) {
	err = explain(f.opt.Dir, offlineLoss, err)
	if !f.gate.fail(err) {
		return
	}
	f.log.quiet.Store(true) // it may repeat one cause each second
	if f.opt.OnFail != nil {
		f.opt.OnFail(err)
	}
}
