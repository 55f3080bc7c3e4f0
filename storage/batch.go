package storage

import "bytes"

// Batch is a series of statements of one link about its sessions. They take effect in memory as they
// are made; Commit sends them to the disk. A batch belongs to one goroutine and is used once.
type Batch struct {
	s    *Sessions
	node NodeID
	inc  uint64
	mark Mark
	bind *binding // nil: the incarnation was not current at Begin
	log  changes
	ends []ended // of the shard that prune is at
	late bool    // done waits for the load: it finds the rest of what WithdrawBelow ended
	did  batchCount
}

// Begin starts a batch of a node's incarnation. Announces touch their sessions with the mark.
func (s *Sessions) Begin(node NodeID, inc uint64, mark Mark) *Batch {
	return &Batch{s: s, node: node, inc: inc, mark: mark, bind: s.nodes.use(node, inc)}
}

// stale tells whether a newer incarnation has taken over: what an old link says changes nothing.
func (b *Batch) stale() bool {
	return b.bind == nil || b.bind.dead.Load() || b.s.nodes.get(b.node).rec.Load().Inc != b.inc
}

// Announce states that the node holds a session. prev is the node that held it, for Taken, and the one
// that keeps it, for Held. The errors are ErrBadAddress, ErrTooManyResources and ErrStale: nothing changed.
func (b *Batch) Announce(bare, res []byte, prio int8, p Policy) (c Change, prev NodeID, err error) {
	if !fits(bare, maxBare) || !fits(res, maxResource) {
		return Held, 0, ErrBadAddress
	}
	if b.stale() {
		return Held, 0, ErrStale
	}
	k := key{b.s.index.hash(bare), bare, res}
	now := b.s.seconds()
	b.s.fetch(k.h, bare)
	w := b.s.index.lock(k.shard())
	c, old, err := b.announce(w, k, announcement{prio, p, now})
	w.unlock()
	if err != nil {
		return c, old.node, err
	}
	b.did.announces[c]++
	switch c {
	case Held:
		b.s.recent.add(k.h, b.node, b.s.elapsed()) // see Excuse
		return c, old.node, nil
	case Confirmed:
		return c, old.node, nil
	}
	b.log.add(k)
	switch {
	case c == Taken:
		b.end(k, old, Replaced)
	case c == Created && old.node != 0: // its holder is gone and the sweep has yet to come
		b.end(k, old, old.left)
		old.node = 0
	}
	b.s.changed(bare)
	return c, old.node, nil
}

// fits tells whether a part of a JID can be part of a key: the disk divides keys by zero bytes.
func fits(part []byte, most int) bool {
	return len(part) > 0 && len(part) <= most && bytes.IndexByte(part, 0) < 0
}

type announcement struct {
	prio   int8
	policy Policy
	now    uint32
}

// holder is who held a session, and since when.
type holder struct {
	node  NodeID
	since uint32
	left  Why // how it ended, if it is dead
}

// announce decides and does, in the locked shard.
func (b *Batch) announce(w writer, k key, a announcement) (Change, holder, error) {
	if b.bind.dead.Load() { // asked again under the lock: the sweep takes it after
		return Held, holder{}, ErrStale
	}
	p := w.locate(k)
	f := fields{bind: b.bind, prio: a.prio, since: a.now, mark: b.mark}
	if p.addr == 0 {
		if p.alive >= MaxResources {
			return Held, holder{}, ErrTooManyResources
		}
		f.version = b.s.version.Add(1)
		w.insert(k, p, f)
		return Created, holder{}, nil
	}
	r := w.table().record(p.addr)
	old := w.binding(r)
	was := holder{old.node, r.since(), old.left()}
	c := b.judge(r, old, a)
	switch c {
	case Held:
		return c, was, nil
	case Confirmed:
		r.setTouch(r.since(), max(r.mark(), b.mark))
		return c, holder{}, nil
	case Updated:
		f.since, f.mark, was = r.since(), max(r.mark(), b.mark), holder{}
	}
	f.version = b.s.version.Add(1)
	w.replace(p.addr, f)
	return c, was, nil
}

// judge says what an announce does to a record that exists.
func (b *Batch) judge(r record, old *binding, a announcement) Change {
	switch {
	case old.dead.Load():
		return Created
	case old.node == b.node && r.head().priority() == a.prio:
		return Confirmed
	case old.node == b.node:
		return Updated
	case a.policy == Never:
		return Held
	case a.policy == Sync && !b.s.nodes.get(old.node).contested(r.mark()):
		return Held
	}
	return Taken
}

// Withdraw states that the node does not hold a session any more; it tells whether it did. A session
// of another node stays: the late goodbye of the loser of a take-over (protocol 1, rule 3).
func (b *Batch) Withdraw(bare, res []byte) bool { return b.leave(bare, res, Withdrawn) }

// Kick ends a session of the node as Withdraw does, and has it remembered that an operator did it.
func (b *Batch) Kick(bare, res []byte) bool { return b.leave(bare, res, Kicked) }

func (b *Batch) leave(bare, res []byte, why Why) bool {
	if b.stale() || len(bare) == 0 || len(res) == 0 {
		return false
	}
	k := key{b.s.index.hash(bare), bare, res}
	b.s.fetch(k.h, bare)
	w := b.s.index.lock(k.shard())
	was, ok := b.withdraw(w, k)
	w.unlock()
	if ok {
		b.log.add(k)
		b.end(k, was, why)
		b.s.changed(bare)
	}
	return ok
}

// withdraw decides and does, in the locked shard.
func (b *Batch) withdraw(w writer, k key) (holder, bool) {
	p := w.locate(k)
	if p.addr == 0 {
		return holder{}, false
	}
	r := w.table().record(p.addr)
	if old := w.binding(r); old.node != b.node || old.dead.Load() {
		return holder{}, false
	}
	was := holder{node: b.node, since: r.since()}
	w.remove(p)
	w.tidy()
	return was, true
}

// WithdrawBelow ends all sessions of the node that no announce has touched with the mark or a later
// one, and gives their number. While Loading, those not in memory yet have ended too, as Unconfirmed, but are
// not in the number; they leave the disk after the load, and Commit's done waits for that.
func (b *Batch) WithdrawBelow(mark Mark, why Why) int {
	if b.stale() {
		return 0
	}
	if mark > 0 && b.s.Loading() {
		b.late = true
		b.s.nodes.get(b.node).cut.Store(true) // before the shards: who comes into one after it was pruned sees it
	}
	n := 0
	for i := range shardCount {
		n += b.prune(prune{i, why, 0}, func(bind *binding, m Mark) bool {
			return m < mark && !bind.dead.Load()
		})
	}
	return n
}

// prune says which sessions of a batch's node to remove, and how many at most (0: all).
type prune struct {
	shard int
	why   Why
	limit int
}

// prune removes the node's sessions of one shard that the function names, and logs them.
func (b *Batch) prune(p prune, drop func(*binding, Mark) bool) int {
	n := 0
	from := len(b.log.buf)
	w := b.s.index.lock(p.shard)
	t := w.table()
	for addr := w.first(b.node); addr != 0 && (p.limit == 0 || n < p.limit); {
		r := t.record(addr)
		hd := r.head()
		next := r.next()
		if drop(w.binding(r), r.mark()) {
			k := key{b.s.index.hash(r.bare(hd)), r.bare(hd), r.res(hd)}
			b.log.add(k)
			b.ends = append(b.ends, ended{holder: holder{node: b.node, since: r.since()}, why: w.binding(r).why(p.why)})
			w.remove(w.locate(k))
			n++
		}
		addr = next
	}
	w.tidy()
	w.unlock()
	b.tell(from)
	return n
}

// end notes one ended session.
func (b *Batch) end(k key, was holder, why Why) {
	now := b.s.seconds()
	b.did.ended[why]++
	b.s.recent.add(k.h, was.node, b.s.elapsed())
	b.s.history.add(k, ended{was, now, why})
}

// tell notes the sessions that prune has logged from an offset on.
func (b *Batch) tell(from int) {
	now, elapsed, i := b.s.seconds(), b.s.elapsed(), 0
	for k := range b.log.from(from) {
		b.ends[i].at = now
		b.did.ended[b.ends[i].why]++
		b.s.recent.add(k.h, b.node, elapsed)
		b.s.history.add(k, b.ends[i])
		if b.ends[i].why != NodeLeft { // else it ended with its node, and this is the sweep
			b.s.changed(k.bare)
		}
		i++
	}
	b.ends = b.ends[:0]
}

// Commit hands the batch's changes to the committer. done, if not nil, is called from the committer's
// goroutine when they, and all that was queued before, are on disk, or with the error that kept them
// off it; it must not block nor commit. Commit itself blocks while the committer's queue is full.
func (b *Batch) Commit(done func(error)) {
	if b.bind != nil {
		b.bind.users.Add(-1)
		b.bind = nil
	}
	b.s.tally.add(&b.did)
	if !b.late || done == nil {
		b.s.commits.send(request{changes: b.log, done: done})
		return
	}
	b.s.commits.send(request{changes: b.log})
	b.s.load.after(done)
}
