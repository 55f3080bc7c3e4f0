package routing

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/patchbay-im/patchbay/storage"
)

// domain is an entry of the table: what this server knows under a name. Set once.
type domain struct {
	name []byte
	kind Place // PlaceServer, PlaceUsers or PlaceNode
	node *Node // PlaceNode
	user *UserDomain
}

// UserDomain is a domain whose users live on nodes.
type UserDomain struct {
	Name    string
	Offline OfflinePolicy
}

// Table knows every domain that is served or attached here. It is read for each stanza and changed when a
// node is seen for the first time: one mutex to change, no lock to read. Entries are never removed, because a
// node that was once attached stays known.
type Table struct {
	// set once
	seed maphash.Seed

	// replaced whole under mu, read without it
	slots atomic.Pointer[[]atomic.Pointer[domain]] // open addressing, a power of two, at most half full
	byID  atomic.Pointer[[]*Node]                  // by NodeID

	// guarded by mu
	mu    sync.Mutex
	count int
}

func newTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	slots := make([]atomic.Pointer[domain], 64)
	t.slots.Store(&slots)
	t.byID.Store(new([]*Node))
	return t
}

// find gives the entry of a canonical domain, or nil.
func (t *Table) find(name []byte) *domain {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	for i := maphash.Bytes(t.seed, name) & mask; ; i = (i + 1) & mask {
		d := slots[i].Load()
		if d == nil || bytes.Equal(d.name, name) {
			return d
		}
	}
}

// node gives the node with this number, or nil.
func (t *Table) node(id storage.NodeID) *Node {
	nodes := *t.byID.Load()
	if int(id) < len(nodes) {
		return nodes[id]
	}
	return nil
}

// all gives every entry of one kind.
func (t *Table) all(kind Place) []*domain {
	var found []*domain
	slots := *t.slots.Load()
	for i := range slots {
		if d := slots[i].Load(); d != nil && d.kind == kind {
			found = append(found, d)
		}
	}
	return found
}

// add inserts an entry unless the name is there already, and returns the one that is.
func (t *Table) add(d *domain) *domain {
	t.mu.Lock()
	defer t.mu.Unlock()
	if have := t.find(d.name); have != nil {
		return have
	}
	slots := *t.slots.Load()
	if 2*(t.count+1) > len(slots) {
		slots = t.grown(slots)
	}
	t.insert(slots, d)
	t.count++
	return d
}

func (t *Table) grown(old []atomic.Pointer[domain]) []atomic.Pointer[domain] {
	slots := make([]atomic.Pointer[domain], 2*len(old))
	for i := range old {
		if d := old[i].Load(); d != nil {
			t.insert(slots, d)
		}
	}
	t.slots.Store(&slots)
	return slots
}

func (t *Table) insert(slots []atomic.Pointer[domain], d *domain) {
	mask := uint64(len(slots) - 1)
	i := maphash.Bytes(t.seed, d.name) & mask
	for slots[i].Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].Store(d)
}

// number enters a node under its number. The part of the slice that readers have is never written: a longer
// one takes its place, or a copy.
func (t *Table) number(n *Node, id storage.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	nodes := *t.byID.Load()
	if int(id) < len(nodes) {
		next := append([]*Node(nil), nodes...)
		next[id] = n
		t.byID.Store(&next)
		return
	}
	for len(nodes) < int(id) {
		nodes = append(nodes, nil)
	}
	nodes = append(nodes, n)
	t.byID.Store(&nodes)
}
