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
	stored uint64                     // set once: the incarnation that the disk had at the open; 0: it had none
	cut    atomic.Bool                // what comes from the disk from now on is dead: the node did not confirm it
	binds  []*binding                 // guarded by nodeTable.mu
	forgot bool                       // guarded by nodeTable.mu: its record is to leave the disk
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
	n.forgot = false
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
// incarnation is not the node's current one or has ended.
func (t *nodeTable) use(id NodeID, inc uint64) *binding {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.get(id)
	if n == nil {
		return nil
	}
	if r := n.rec.Load(); r.Inc != inc || inc < r.Base {
		return nil
	}
	return t.bindingOf(n, incarnation{id, inc, false})
}

// adopt gives the binding of sessions that come from the disk, and counts the caller as a user of it.
func (t *nodeTable) adopt(i incarnation) *binding {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bindingOf(t.get(i.node), i)
}

// incarnation names a binding.
type incarnation struct {
	node NodeID
	inc  uint64
	cut  bool
}

// bindingOf finds or makes a binding. The caller holds mu.
func (t *nodeTable) bindingOf(n *node, i incarnation) *binding {
	b := t.find(n, i)
	b.dead.Store(i.cut || i.inc < n.rec.Load().Base)
	b.users.Add(1)
	return b
}

func (t *nodeTable) find(n *node, i incarnation) *binding {
	var free *binding
	for _, b := range n.binds {
		if b.cut != i.cut {
			continue
		}
		if b.inc.Load() == i.inc {
			return b
		}
		if b.free() {
			free = b
		}
	}
	if free != nil {
		free.inc.Store(i.inc)
		return free
	}
	all := *t.x.bind.Load()
	b := &binding{node: i.node, num: uint32(len(all)), cut: i.cut}
	b.inc.Store(i.inc)
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

// pending tells whether the disk may have live sessions of a node that are not in memory yet.
func (n *node) pending() bool {
	return n.stored != 0 && n.stored >= n.rec.Load().Base && !n.cut.Load()
}

// forget takes the records of nodes without a session that are gone since before a time from the disk. In memory
// they stay: others know their numbers.
func (t *nodeTable) forget(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.byDomain {
		r := n.rec.Load()
		if r.State != Gone || r.Seen.After(before) || slices.ContainsFunc(n.binds, (*binding).holds) {
			continue
		}
		n.forgot = true
		t.dirty[r.ID] = struct{}{}
	}
}

// dirtyRecord is a record that the disk has not as it is.
type dirtyRecord struct {
	NodeRecord
	forgot bool // the disk is to have none
}

// takeDirty gives the records to write, and counts them as written: a failed commit is final.
func (t *nodeTable) takeDirty() []dirtyRecord {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return nil
	}
	recs := make([]dirtyRecord, 0, len(t.dirty))
	for id := range t.dirty {
		n := t.get(id)
		recs = append(recs, dirtyRecord{*n.rec.Load(), n.forgot})
	}
	clear(t.dirty)
	return recs
}

// forgotten tells whether a record is to leave the disk, or has left it.
func (t *nodeTable) forgotten(id NodeID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.get(id).forgot
}

// contested tells whether a session of the node may be taken by a sync of another: the node is not
// attached, or has not confirmed the session since it attached (design 6).
func (n *node) contested(m Mark) bool {
	st := n.rec.Load().State
	return st != Up && st != Draining || m < Mark(n.attach.Load())
}
