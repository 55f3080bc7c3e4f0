package storage

import (
	"sync"
	"time"
)

// ended is how a session ended; its key is kept beside it.
type ended struct {
	holder
	at  uint32
	why Why
}

// historyLen is how many ended sessions are remembered for people.
const historyLen = 64 << 10

// history is the last ended sessions, found by the hash of their bare JID: a ring whose entries are
// chained, newest first, by their numbers.
type history struct {
	mu   sync.Mutex
	ring []past            // guarded by mu; entry number n is at n % historyLen
	last map[uint64]uint64 // guarded by mu: hash -> number of its newest entry
	n    uint64            // guarded by mu: entries ever added
}

type past struct {
	ended
	jid  string
	bare int // length of the bare JID in jid
	hash uint64
	prev uint64 // number+1 of the next older entry of the hash, 0 for none
}

func newHistory() *history { return &history{last: map[uint64]uint64{}} }

func (y *history) add(k key, e ended) {
	jid := string(k.bare) + "/" + string(k.res)
	y.mu.Lock()
	defer y.mu.Unlock()
	p := past{ended: e, jid: jid, bare: len(k.bare), hash: k.h}
	if n, ok := y.last[k.h]; ok {
		p.prev = n + 1
	}
	if len(y.ring) < historyLen {
		y.ring = append(y.ring, p)
	} else {
		old := &y.ring[y.n%historyLen]
		if y.last[old.hash] == y.n-historyLen {
			delete(y.last, old.hash)
		}
		*old = p
	}
	y.last[k.h] = y.n
	y.n++
}

// of gives the remembered sessions of a bare JID, newest first.
func (y *history) of(h uint64, bare []byte) []EndedSession {
	y.mu.Lock()
	defer y.mu.Unlock()
	var out []EndedSession
	n, ok := y.last[h]
	for ok && n+historyLen >= y.n {
		p := y.ring[n%historyLen]
		if p.jid[:p.bare] == string(bare) {
			out = append(out, EndedSession{JID: p.jid, Node: p.node, Since: time.Unix(int64(p.since), 0),
				Ended: time.Unix(int64(p.at), 0), Why: p.why})
		}
		ok, n = p.prev > 0, p.prev-1
	}
	return out
}

// The bounds of recent.
const (
	recentSpan = 3600 // seconds: how long a node may speak for a user who has left it
	recentLen  = 1 << 20
)

// recent is which node held which user until less than an hour ago: at most recentLen entries, the
// oldest give way.
type recent struct {
	mu    sync.Mutex
	until map[uint64]uint32 // guarded by mu: (user, node) -> second of its last end
	queue []leaving         // guarded by mu: a ring, oldest at first
	first int               // guarded by mu
	n     int               // guarded by mu: entries in the ring
}

type leaving struct {
	id uint64
	at uint32
}

func newRecent() *recent { return &recent{until: map[uint64]uint32{}} }

// recentID mixes the node into the user's hash.
func recentID(h uint64, node NodeID) uint64 { return h ^ uint64(node)*0x9e3779b97f4a7c15 }

func (r *recent) add(h uint64, node NodeID, now uint32) {
	id := recentID(h, node)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until[id] == now {
		return
	}
	for r.n > 0 && (r.n == recentLen || r.queue[r.first].at+recentSpan <= now) {
		r.drop()
	}
	if r.n == len(r.queue) {
		r.grow()
	}
	r.queue[(r.first+r.n)%len(r.queue)] = leaving{id, now}
	r.n++
	r.until[id] = now
}

// drop forgets the oldest entry, and its user unless a newer one names it.
func (r *recent) drop() {
	old := r.queue[r.first]
	if r.until[old.id] == old.at {
		delete(r.until, old.id)
	}
	r.first = (r.first + 1) % len(r.queue)
	r.n--
}

func (r *recent) grow() {
	q := make([]leaving, min(recentLen, max(64, 2*len(r.queue))))
	n := copy(q, r.queue[r.first:])
	copy(q[n:], r.queue[:r.first])
	r.queue, r.first = q, 0
}

func (r *recent) has(h uint64, node NodeID, now uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.until[recentID(h, node)]
	return ok && now < at+recentSpan
}
