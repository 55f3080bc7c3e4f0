package storage

import "time"

// Version is the number of the last change of a session: one that begins later has a higher one.
func (s *Sessions) Version() uint64 { return s.version.Load() }

// Where gives the live sessions of a bare JID with all that is known of them.
func (s *Sessions) Where(bare []byte) []Session {
	h := s.index.hash(bare)
	s.fetch(h, bare)
	var out []Session
	w := s.index.lock(key{h: h}.shard())
	defer w.unlock()
	w.each(h, func(addr uint32) {
		r := w.table().record(addr)
		if r.is(r.head(), bare, nil) && !w.binding(r).dead.Load() {
			out = append(out, w.describe(addr))
		}
	})
	return out
}

// Ended gives the sessions of a bare JID that have ended, newest first, as far as they are among the
// last 64 Ki of all users. Restarts forget them.
func (s *Sessions) Ended(bare []byte) []EndedSession {
	return s.history.of(s.index.hash(bare), bare)
}

// EachOfNode calls f with at most limit live sessions of a node (0: all), in no order, until f says
// false. f may use the table. While Loading, sessions that are not in memory yet are left out.
func (s *Sessions) EachOfNode(node NodeID, limit int, f func(Session) bool) {
	n := 0
	for i := range shardCount {
		if limit > 0 && n == limit {
			return
		}
		for _, x := range s.ofShard(node, i, limit-n) {
			if !f(x) {
				return
			}
			n++
		}
	}
}

// ofShard gives at most so many live sessions of a node in one shard; 0 or less: all. Nobody can change the shard
// meanwhile.
func (s *Sessions) ofShard(node NodeID, shard, most int) []Session {
	var out []Session
	w := s.index.lock(shard)
	defer w.unlock()
	t := w.table()
	for addr := w.first(node); addr != 0; addr = t.record(addr).next() {
		if !w.binding(t.record(addr)).dead.Load() {
			out = append(out, w.describe(addr))
		}
		if most > 0 && len(out) == most {
			break
		}
	}
	return out
}

// each calls f with the addresses of the records whose hash looks like h.
func (w writer) each(h uint64, f func(addr uint32)) {
	t := w.table()
	for i := t.home(h); t.slots[i] != slotEmpty; {
		if v := t.slots[i]; v != slotTomb && uint32(v>>32) == uint32(h) {
			f(uint32(v))
		}
		if i++; i == len(t.slots) {
			i = 0
		}
	}
}

// describe is a record for people.
func (w writer) describe(addr uint32) Session {
	r := w.table().record(addr)
	hd, st := r.head(), w.session(addr)
	return Session{JID: string(r.bare(hd)) + "/" + string(r.res(hd)), Node: st.node, Inc: st.inc,
		Version: st.version, Priority: st.prio, Since: time.Unix(int64(st.since), 0)}
}
