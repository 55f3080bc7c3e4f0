package storage

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// node is a node record and what only memory knows of it.
type node struct {
	rec    atomic.Pointer[NodeRecord] // replaced under nodeTable.mu, read by anybody
	attach atomic.Uint32              // Mark of the last attach; 0: not since the table was opened
	binds  []*binding                 // guarded by nodeTable.mu
}

// nodeTable is all node records and their bindings: one mutex to change, atomic pointers to read.
type nodeTable struct {
	x    *index
	list atomic.Pointer[[]*node] // by NodeID, nil where there is none; replaced under mu

	mu       sync.Mutex
	byDomain map[string]*node    // guarded by mu
	dirty    map[NodeID]struct{} // guarded by mu: records that the disk has not as they are
}

func newNodeTable(x *index) *nodeTable {
	t := &nodeTable{x: x, byDomain: map[string]*node{}, dirty: map[NodeID]struct{}{}}
	t.list.Store(&[]*node{nil})
	x.bind.Store(&bindings{})
	return t
}

// get gives a node without a lock, nil if there is none.
func (t *nodeTable) get(id NodeID) *node {
	if l := *t.list.Load(); int(id) < len(l) {
		return l[id]
	}
	return nil
}

// put adds a node. The caller holds mu, or is the only one to know the table.
func (t *nodeTable) put(r NodeRecord) *node {
	n := &node{}
	n.rec.Store(&r)
	l := *t.list.Load() // readers look no further than the length they loaded, so that appending in place is safe
	if int(r.ID) < len(l) {
		l = slices.Clone(l)
	}
	for int(r.ID) >= len(l) {
		l = append(l, nil)
	}
	l[r.ID] = n
	t.list.Store(&l)
	t.byDomain[r.Domain] = n
	return n
}

// change replaces a record by what f made of a copy. The caller holds mu.
func (t *nodeTable) change(n *node, f func(*NodeRecord)) NodeRecord {
	r := *n.rec.Load()
	f(&r)
	n.rec.Store(&r)
	t.dirty[r.ID] = struct{}{}
	return r
}

// attach starts a new incarnation of the domain's node.
func (t *nodeTable) attach(domain, server string, now time.Time, m Mark) NodeRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, inc := t.byDomain[domain], uint64(now.UnixMicro())
	if n == nil {
		n = t.put(NodeRecord{ID: NodeID(len(*t.list.Load())), Domain: domain, Base: inc})
	}
	n.attach.Store(uint32(m))
	return t.change(n, func(r *NodeRecord) {
		r.Inc = max(r.Inc+1, inc)
		r.Server, r.State, r.Until, r.Seen = server, Up, time.Time{}, now
	})
}

// transition lets f change the record of the node's current incarnation, unless that has ended; ok says
// whether it was. Bindings that the new base passes are dead from here on: ended counts their sessions.
func (t *nodeTable) transition(id NodeID, inc uint64, f func(*NodeRecord)) (ended int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.get(id)
	if n == nil {
		return 0, false
	}
	if r := n.rec.Load(); r.Inc != inc || r.State == Gone {
		return 0, false
	}
	r := t.change(n, f)
	for _, b := range n.binds {
		if b.inc.Load() < r.Base && !b.dead.Swap(true) {
			ended += int(b.count.Load())
		}
	}
	return ended, true
}

// use gives the binding of an incarnation, and counts the caller as a user of it; nil when the
// incarnation is not the node's current one (any: load's, which takes old ones too) or has ended.
func (t *nodeTable) use(id NodeID, inc uint64, any bool) *binding {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.get(id)
	if n == nil {
		return nil
	}
	r := n.rec.Load()
	if !any && (r.Inc != inc || inc < r.Base) {
		return nil
	}
	b := t.bindingOf(n, inc)
	b.dead.Store(inc < r.Base)
	b.users.Add(1)
	return b
}

// bindingOf finds or makes the binding of an incarnation. The caller holds mu.
func (t *nodeTable) bindingOf(n *node, inc uint64) *binding {
	var free *binding
	for _, b := range n.binds {
		if b.inc.Load() == inc {
			return b
		}
		if b.free() {
			free = b
		}
	}
	if free != nil {
		free.inc.Store(inc)
		return free
	}
	all := *t.x.bind.Load()
	b := &binding{node: n.rec.Load().ID, num: uint32(len(all))}
	b.inc.Store(inc)
	n.binds = append(n.binds, b)
	grown := append(all, b) // in place, if there is room: see put
	t.x.bind.Store(&grown)
	return b
}

// census counts the sessions of a node in the index: live ones, and dead ones that wait for the sweep.
func (t *nodeTable) census(id NodeID) (live, dead int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.get(id)
	if n == nil {
		return 0, 0
	}
	for _, b := range n.binds {
		if b.dead.Load() {
			dead += int(b.count.Load())
		} else {
			live += int(b.count.Load())
		}
	}
	return live, dead
}

// drop forgets a node. Only load calls it: nobody knows the node's ID yet.
func (t *nodeTable) drop(r NodeRecord) {
	(*t.list.Load())[r.ID] = nil
	delete(t.byDomain, r.Domain)
	delete(t.dirty, r.ID)
}

// takeDirty gives the records to write, and counts them as written: a failed commit is final.
func (t *nodeTable) takeDirty() []NodeRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return nil
	}
	recs := make([]NodeRecord, 0, len(t.dirty))
	for id := range t.dirty {
		recs = append(recs, *t.get(id).rec.Load())
	}
	clear(t.dirty)
	return recs
}

// contested tells whether a session of the node may be taken by a sync of another: the node is not
// attached, or has not confirmed the session since it attached (design 6).
func (n *node) contested(m Mark) bool {
	st := n.rec.Load().State
	return st != Up && st != Draining || m < Mark(n.attach.Load())
}
