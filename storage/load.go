package storage

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// forget is how long the record of a node that is gone is kept: so long is its name "known" (design 3).
const forget = 7 * 24 * time.Hour

// load fills memory from the disk: node records first, then sessions, each shard by whoever comes.
func (s *Sessions) load() error {
	start := s.opt.Now()
	if err := checkSchema(s.db); err != nil {
		return err
	}
	if s.opt.Dir == Memory {
		s.version.Store(uint64(start.UnixMicro()))
		return nil // it is empty
	}
	if err := s.loadNodes(); err != nil {
		return err
	}
	l := &loader{s: s, binds: map[incarnation]*binding{}}
	if err := l.run(); err != nil {
		return err
	}
	if err := s.forgetNodes(); err != nil {
		return err
	}
	s.version.Store(max(l.version.Load(), uint64(start.UnixMicro())))
	s.loaded = Loaded{Nodes: len(s.Nodes()), Sessions: int(l.sessions.Load()),
		Dead: int(l.sessions.Load()) - s.Total(), Took: s.opt.Now().Sub(start)}
	return nil
}

// loadNodes reads the node records. None is attached now: they are Away, until when the caller says.
func (s *Sessions) loadNodes() error {
	return s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.Prefix = []byte(nodePrefix)
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			domain := string(it.Item().Key()[len(nodePrefix):])
			err := it.Item().Value(func(b []byte) error { return s.loadNode(domain, b) })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Sessions) loadNode(domain string, b []byte) error {
	r, err := parseNode(domain, b)
	if err != nil {
		return err
	}
	if r.ID == 0 || s.nodes.get(r.ID) != nil {
		return errors.New("two node records have one number")
	}
	n := s.nodes.put(r)
	if r.State != Gone {
		s.nodes.change(n, func(r *NodeRecord) { r.State, r.Until = Away, time.Time{} })
	}
	return nil
}

// forgetNodes removes the records of nodes long gone that have no session left on disk.
func (s *Sessions) forgetNodes() error {
	limit := s.now().Add(-forget)
	return s.db.Update(func(txn *badger.Txn) error {
		for _, r := range s.Nodes() {
			live, dead := s.nodes.census(r.ID)
			if r.State != Gone || r.Seen.After(limit) || live+dead > 0 {
				continue
			}
			if err := txn.Delete([]byte(nodePrefix + r.Domain)); err != nil {
				return err
			}
			s.nodes.drop(r)
		}
		return nil
	})
}

type incarnation struct {
	node NodeID
	inc  uint64
}

// loader puts sessions into the index, from several goroutines.
type loader struct {
	s        *Sessions
	version  atomic.Uint64 // the highest seen
	sessions atomic.Int64
	orphans  [][]byte // guarded by mu: keys of sessions whose node has no record

	mu    sync.Mutex
	binds map[incarnation]*binding // guarded by mu
	err   error                    // guarded by mu: the first
}

// loadThreads is how many goroutines read the disk at open.
const loadThreads = 2

func (l *loader) run() error {
	st := l.s.db.NewStream()
	st.NumGo = loadThreads
	st.Prefix = []byte(sessionPrefix)
	st.LogPrefix = "load sessions"
	// A chosen key would be copied into a message for Send. Nothing is chosen: looking is enough.
	st.ChooseKey = func(it *badger.Item) bool {
		if !it.IsDeletedOrExpired() {
			l.note(it.Value(func(v []byte) error { return l.session(it.Key(), v) }))
		}
		return false
	}
	err := st.Orchestrate(context.Background())
	for _, b := range l.binds {
		b.users.Add(-1)
	}
	if l.err != nil {
		return l.err
	}
	if err != nil {
		return err
	}
	return l.dropOrphans()
}

func (l *loader) note(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *loader) session(k, v []byte) error {
	st, err := parseSession(v)
	if err != nil {
		return err
	}
	bare, res, err := splitSessionKey(k)
	if err != nil {
		return err
	}
	b := l.binding(incarnation{st.node, st.inc}, k)
	if b == nil {
		return nil
	}
	id := key{l.s.index.hash(bare), bare, res}
	w := l.s.index.lock(id.shard())
	w.insert(id, w.locate(id), fields{bind: b, prio: st.prio, version: st.version, since: st.since})
	w.unlock()
	l.sessions.Add(1)
	for {
		old := l.version.Load()
		if st.version <= old || l.version.CompareAndSwap(old, st.version) {
			return nil
		}
	}
}

// binding gives the binding of an incarnation; nil, and an orphan, if its node has no record.
func (l *loader) binding(i incarnation, k []byte) *binding {
	l.mu.Lock()
	b, ok := l.binds[i]
	l.mu.Unlock()
	if !ok {
		b = l.s.nodes.use(i.node, i.inc, true)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b == nil {
		l.orphans = append(l.orphans, append([]byte(nil), k...))
		return nil
	}
	if !ok && l.binds[i] != nil {
		b.users.Add(-1) // the other goroutine was first
	}
	l.binds[i] = b
	return b
}

// dropOrphans removes sessions that name no node: none is written so, but a restored or mended
// database may have them.
func (l *loader) dropOrphans() error {
	wb := l.s.db.NewWriteBatch()
	defer wb.Cancel()
	for _, k := range l.orphans {
		if err := wb.Delete(k); err != nil {
			return err
		}
	}
	return wb.Flush()
}
