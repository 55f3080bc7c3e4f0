package storage

import (
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// latencyBounds are the upper ends of the buckets that commits are counted in: from a fast disk's sync to a disk that
// is about to be given up.
var latencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second,
}

// CommitStats is what a committer has done since the open.
type CommitStats struct {
	Bounds []time.Duration // the upper ends of the buckets, inclusive, rising
	Counts []uint64        // commits by bucket, each in one; the last is for what took longer than all bounds
	Sum    time.Duration   // of all commits
	Writes uint64          // keys written or deleted by them
}

// Commits is the number of commits.
func (c CommitStats) Commits() (n uint64) {
	for _, in := range c.Counts {
		n += in
	}
	return n
}

// commitTally counts commits. One goroutine adds, any may read.
type commitTally struct {
	counts [len(latencyBounds) + 1]atomic.Uint64
	sum    atomic.Int64
	writes atomic.Uint64
}

// add counts a commit that began at a time and has reached the disk now.
func (t *commitTally) add(writes int, begin time.Time) {
	took := time.Since(begin)
	at := 0
	for at < len(latencyBounds) && took > latencyBounds[at] {
		at++
	}
	t.counts[at].Add(1)
	t.sum.Add(int64(took))
	t.writes.Add(uint64(writes))
}

func (t *commitTally) stats() CommitStats {
	c := CommitStats{Bounds: latencyBounds[:], Counts: make([]uint64, len(t.counts)),
		Sum: time.Duration(t.sum.Load()), Writes: t.writes.Load()}
	for i := range t.counts {
		c.Counts[i] = t.counts[i].Load()
	}
	return c
}

// SessionStats is what became of what nodes said of their sessions since the open, and what the disk did with it.
type SessionStats struct {
	Announces [len(changeWords)]uint64 // by Change
	Ended     [len(whyWords)]uint64    // by Why; those of a node that left as the sweep comes to them
	Database  DatabaseStats
}

// DatabaseStats is what a database has done since the open, and how large it is.
type DatabaseStats struct {
	Commits CommitStats
	Tables  int64 // bytes; what is only in the logs is not in them
}

// Stats gives what the table has counted. It takes no lock of the index and walks no sessions. It may be called after
// Close, too.
func (s *Sessions) Stats() SessionStats {
	st := SessionStats{Database: DatabaseStats{Commits: s.commits.tally.stats(), Tables: s.tableBytes()}}
	for i := range st.Announces {
		st.Announces[i] = s.tally.announces[i].Load()
	}
	for i := range st.Ended {
		st.Ended[i] = s.tally.ended[i].Load()
	}
	return st
}

// sessionTally counts what batches did. A batch counts for itself and adds once, when it is committed.
type sessionTally struct {
	announces [len(changeWords)]atomic.Uint64
	ended     [len(whyWords)]atomic.Uint64
}

// batchCount is the count of one batch.
type batchCount struct {
	announces [len(changeWords)]uint32
	ended     [len(whyWords)]uint32
}

func (t *sessionTally) add(c *batchCount) {
	for i, n := range c.announces {
		if n > 0 {
			t.announces[i].Add(uint64(n))
		}
	}
	for i, n := range c.ended {
		if n > 0 {
			t.ended[i].Add(uint64(n))
		}
	}
}

// tableBytes is the size of the tables, 0 once they are closed: Badger reads it from memory that is mapped.
func (s *Sessions) tableBytes() int64 {
	s.commits.gate.RLock()
	defer s.commits.gate.RUnlock()
	if s.commits.closed {
		return 0
	}
	return tableBytes(s.db)
}

func (f *Offline) tableBytes() int64 {
	if f.gate.enter() != nil {
		return 0
	}
	defer f.gate.leave()
	return tableBytes(f.db)
}

// tableBytes is the size of a database's tables. Badger's own number is kept by its metrics, which are off.
func tableBytes(db *badger.DB) (sum int64) {
	for _, t := range db.Tables() {
		sum += int64(t.OnDiskSize)
	}
	return sum
}

// Disk is the file system that a database lies on, in bytes.
type Disk struct {
	Path    string
	Free    uint64 // for this user
	Size    uint64
	Reserve uint64 // with less free nothing is written: announces are answered when there is more
}

// Disk looks at the file system of the table; false with Memory, and where the system does not tell.
func (s *Sessions) Disk() (Disk, bool) {
	if s.opt.Dir == Memory {
		return Disk{}, false
	}
	free, size, ok := space(s.opt.Dir)
	return Disk{Path: s.opt.Dir, Free: free, Size: size, Reserve: reserve}, ok
}
