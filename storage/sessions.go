package storage

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/sirupsen/logrus"
)

// Memory as Options.Dir keeps the table in memory only: nothing outlives Close.
const Memory = ":memory:"

// Options are what OpenSessions needs.
type Options struct {
	Dir    string           // of the database, made if missing; Memory for none
	Server string           // this server's name: written in the records of nodes that attach here
	Log    *logrus.Entry    // nil: silent
	Now    func() time.Time // nil: time.Now
	OnFail func(error)      // called once when a commit, or reading a session, has failed, other than for a while without room; must not block nor call Close. May be nil

	// Changed is called with the bare JID of each session that begins, ends, moves or gets another priority, and
	// NodeChanged with each node whose record changed; what that did to its sessions is not told one by one. Both
	// come after the change, with no lock held, from whoever made it; they must not block. The bytes are borrowed.
	// Nil: nobody wants to know.
	Changed     func(bare []byte)
	NodeChanged func(NodeID)
}

// sessionsLoss is for explain.
const sessionsLoss = "nodes will state their sessions anew"

// Sessions is the session table: look-ups from memory without a lock, changes in memory at once and
// on disk by the committer. Everything but Close may be called from any goroutine.
type Sessions struct {
	// set once
	opt    Options
	opened time.Time
	db     *badger.DB
	log    *badgerLog
	index  *index
	nodes  *nodeTable
	space  spaceFunc

	// owned by their goroutines, stopped by Close
	commits *committer
	sweeper *sweeper
	load    *loader

	// each guards itself
	history *history
	recent  *recent
	mark    atomic.Uint32 // the last Mark given
	version atomic.Uint64 // of the last change of a session
	tally   sessionTally
}

// OpenSessions opens the table. The sessions of before come into memory in the background, and those of a user
// who is needed sooner at once: see Loading. Nodes that were attached when it was last open are Away without a
// deadline: the caller sets one when nodes can come back. Errors are one line and say what mends them.
func OpenSessions(o Options) (*Sessions, error) { return openSessions(o, defaultKnobs()) }

func openSessions(o Options, k knobs) (*Sessions, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	log := &badgerLog{to: o.Log}
	db, err := openBadger(o.Dir, log)
	if err != nil {
		return nil, explain(o.Dir, sessionsLoss, err)
	}
	s := &Sessions{opt: o, opened: o.Now(), db: db, log: log, index: newIndex(k), space: k.space, history: newHistory(), recent: newRecent()}
	s.nodes = newNodeTable(s.index)
	known, err := s.prepare()
	if err != nil {
		log.quiet.Store(true)
		_ = db.Close() // nothing was written: the first error is the one to tell
		return nil, explain(o.Dir, sessionsLoss, err)
	}
	s.commits = startCommitter(s)
	s.sweeper = startSweeper(s)
	s.load = startLoad(s, k)
	if !known {
		if err := s.WaitLoaded(context.Background()); err != nil {
			_ = s.Close() // see above
			return nil, err
		}
		s.version.Store(max(s.version.Load(), s.load.high))
	}
	return s, nil
}

// Close writes what is queued and closes the database. The error is the first that kept something
// from the disk. Call it once, after the last use.
func (s *Sessions) Close() error {
	close(s.commits.hurry)
	close(s.load.stop)
	s.sweeper.close()
	s.load.close()
	err := s.commits.close()
	if cerr := s.db.Close(); err == nil && cerr != nil {
		err = explain(s.opt.Dir, sessionsLoss, cerr)
	}
	return err
}

// Server is the name given in Options.
func (s *Sessions) Server() string { return s.opt.Server }

// NextMark gives a Mark higher than all before.
func (s *Sessions) NextMark() Mark { return Mark(s.mark.Add(1)) }

// now is the time as the disk keeps it: in microseconds, without a monotonic part.
func (s *Sessions) now() time.Time { return time.UnixMicro(s.opt.Now().UnixMicro()) }

// seconds is the time as records keep it.
func (s *Sessions) seconds() uint32 { return uint32(s.opt.Now().Unix()) }

// elapsed is the number of the second since the table was opened, from 1: it does not jump when somebody sets the clock.
func (s *Sessions) elapsed() uint32 { return uint32(max(0, s.opt.Now().Sub(s.opened))/time.Second) + 1 }

// Hash is the key of a bare JID in this table, for TouchAll, Find and Holds. It differs from run to run.
func (s *Sessions) Hash(bare []byte) uint64 { return s.index.hash(bare) }

// TouchAll loads what Find will read for each of a batch of hashes, first all slots and then all
// records, so that the misses of the batch overlap. Use the result, or the loads are optimised away.
func (s *Sessions) TouchAll(hs []uint64) (sum uint64) {
	for _, h := range hs {
		sum += s.index.touch(h)
	}
	for _, h := range hs {
		sum += s.index.touchRecord(h)
	}
	return sum
}

// Find appends to dst the live sessions of a bare JID, or with res not nil that of the one resource.
// h is Hash(bare). It takes no lock and allocates only to grow dst. A session that ends and begins again
// during the call may be appended twice. While Loading, a miss may read the disk, under a lock.
func (s *Sessions) Find(h uint64, bare, res []byte, dst []Match) []Match {
	return s.index.find(h, bare, res, dst)
}

// Holds tells whether the node has a session of the bare JID, or had one that ended less than an hour
// ago: what it may speak for (design 3).
func (s *Sessions) Holds(h uint64, bare []byte, node NodeID) bool {
	return s.index.heldBy(h, bare, node) || s.recent.has(h, node, s.elapsed())
}

// Excuse lets a node speak for a user for an hour although it did not get the session: the announce was refused,
// and what it sent before it learnt that is no forgery.
func (s *Sessions) Excuse(bare []byte, node NodeID) { s.recent.add(s.Hash(bare), node, s.elapsed()) }

// AttachNode begins a new incarnation of the domain's node, and makes the record if there is none. The
// record is on disk before any session that names the incarnation. Announces under the Mark, or a later
// one, confirm sessions.
func (s *Sessions) AttachNode(domain string) (NodeRecord, Mark, error) {
	m := s.NextMark()
	r := s.nodes.attach(domain, s.opt.Server, s.now(), m)
	s.nodeChanged(r.ID)
	return r, m, s.commits.nudge()
}

// SetNodeState changes the state of a node's current incarnation, until is the end of its grace. It
// refuses an incarnation that is not current or has ended, and Gone: that is ExpireNode's.
func (s *Sessions) SetNodeState(id NodeID, inc uint64, st NodeState, until time.Time) bool {
	if st == Gone {
		return false
	}
	if !until.IsZero() {
		until = time.UnixMicro(until.UnixMicro())
	}
	now := s.now()
	_, ok := s.nodes.transition(id, inc, func(r *NodeRecord) {
		r.State, r.Until, r.Seen = st, until, now
	})
	if ok {
		s.nodeChanged(id)
		_ = s.commits.nudge() // a failed committer has told OnFail
	}
	return ok
}

// Stand brings the state of an attached node, Up or Draining, in line with what standing says. It is asked while nobody
// else can change the record, so that of several calls the last is right. A node that is not attached stays as it is.
func (s *Sessions) Stand(id NodeID, standing func() NodeState) {
	rec, ok := s.Node(id)
	if !ok {
		return
	}
	_, ok = s.nodes.transition(id, rec.Inc, func(r *NodeRecord) {
		if r.State == Up || r.State == Draining {
			r.State = standing()
		}
	})
	if ok {
		s.nodeChanged(id)
		_ = s.commits.nudge() // a failed committer has told OnFail
	}
}

// ExpireNode ends all sessions of a node at once, and sweeps them from memory and disk in the
// background. It gives their number, 0 if the incarnation is not current; while Loading, those that are not in
// memory yet have ended too, but are not in the number.
func (s *Sessions) ExpireNode(id NodeID, inc uint64) int {
	now := s.now()
	s.sweeper.expect()
	ended, ok := s.nodes.transition(id, inc, func(r *NodeRecord) {
		r.State, r.Base, r.Until, r.Seen = Gone, inc+1, time.Time{}, now
	})
	if ok {
		s.nodeChanged(id)
		_ = s.commits.nudge() // a failed committer has told OnFail
	}
	s.sweeper.came(id, ok)
	return ended
}

// fetch brings a user's sessions into memory, if they may be on disk only.
func (s *Sessions) fetch(h uint64, bare []byte) {
	if d := s.index.tabs[key{h: h}.shard()].Load().door; d != nil {
		d.fetch(h, bare)
	}
}

// Node gives a node's record, without a lock.
func (s *Sessions) Node(id NodeID) (NodeRecord, bool) {
	if n := s.nodes.get(id); n != nil {
		return *n.rec.Load(), true
	}
	return NodeRecord{}, false
}

// NodeByDomain gives the record of the node of a domain.
func (s *Sessions) NodeByDomain(domain string) (NodeRecord, bool) {
	s.nodes.mu.Lock()
	n := s.nodes.byDomain[domain]
	s.nodes.mu.Unlock()
	if n == nil {
		return NodeRecord{}, false
	}
	return *n.rec.Load(), true
}

// Nodes gives all records, by rising ID.
func (s *Sessions) Nodes() []NodeRecord {
	var recs []NodeRecord
	for _, n := range *s.nodes.list.Load() {
		if n != nil {
			recs = append(recs, *n.rec.Load())
		}
	}
	return recs
}

// HasSessions tells whether a node has live sessions, or while Loading may have some that are not in memory yet.
func (s *Sessions) HasSessions(id NodeID) bool {
	n := s.nodes.get(id)
	return n != nil && (s.Loading() && n.pending() || s.Count(id) > 0)
}

// Count is the number of live sessions of a node; while Loading, of those in memory.
func (s *Sessions) Count(id NodeID) int {
	live, _ := s.nodes.census(id)
	return live
}

// Total is the number of live sessions; while Loading, of those in memory.
func (s *Sessions) Total() int {
	sum := 0
	for _, b := range *s.index.bind.Load() {
		if !b.dead.Load() {
			sum += int(b.count.Load())
		}
	}
	return sum
}
