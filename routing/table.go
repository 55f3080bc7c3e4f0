package routing

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/patchbay-im/patchbay/storage"
)

// domain is an entry of the table: what this server knows under a name.
type domain struct {
	// set once
	name   []byte
	server bool // this server's own

	// changed by Apply and by the first link of a node, read by anybody
	node atomic.Pointer[Node]       // set once there is one; it stays
	user atomic.Pointer[UserDomain] // nil: its users are none of ours
}

// kind tells whose domain it is now.
func (d *domain) kind() Place {
	switch {
	case d.server:
		return PlaceServer
	case d.user.Load() != nil:
		return PlaceUsers
	case d.node.Load() != nil:
		return PlaceNode
	}
	return PlaceOther
}

// UserDomain is a domain whose users live on nodes. It is data, and is not changed once in use.
type UserDomain struct {
	Name      string
	Offline   OfflinePolicy
	Keep      storage.Keep // PolicyStore: what is kept for one user
	ForwardTo string       // PolicyForward: the node's domain

	forward *Node
}

// Table knows every domain that is served or attached here. It is read for each stanza and changed when a
// node is seen for the first time: one mutex to change, no lock to read. Entries are never removed, because a
// node that was once attached stays known.
type Table struct {
	// set once
	seed maphash.Seed

	// replaced whole under mu, read without it
	slots atomic.Pointer[[]slot]  // open addressing, a power of two, at most half full
	byID  atomic.Pointer[[]*Node] // by NodeID

	// guarded by mu
	mu    sync.Mutex
	count int
}

// slot holds an entry and its hash, so that the entry's own memory is touched only when it is the one. The hash
// is written before the entry, and never changes.
type slot struct {
	hash  atomic.Uint64
	entry atomic.Pointer[domain]
}

func newTable() *Table {
	t := &Table{seed: maphash.MakeSeed()}
	slots := make([]slot, 64)
	t.slots.Store(&slots)
	t.byID.Store(new([]*Node))
	return t
}

// find gives the entry of a canonical domain, or nil.
func (t *Table) find(name []byte) *domain {
	slots := *t.slots.Load()
	mask := uint64(len(slots) - 1)
	hash := maphash.Bytes(t.seed, name)
	for i := hash & mask; ; i = (i + 1) & mask {
		d := slots[i].entry.Load()
		if d == nil || slots[i].hash.Load() == hash && bytes.Equal(d.name, name) {
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

// all gives every entry.
func (t *Table) all() []*domain {
	var found []*domain
	slots := *t.slots.Load()
	for i := range slots {
		if d := slots[i].entry.Load(); d != nil {
			found = append(found, d)
		}
	}
	return found
}

// entry gives the entry of a canonical domain, made if there is none.
func (t *Table) entry(name string) *domain {
	if d := t.find([]byte(name)); d != nil {
		return d
	}
	return t.add(&domain{name: []byte(name)})
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

func (t *Table) grown(old []slot) []slot {
	slots := make([]slot, 2*len(old))
	for i := range old {
		if d := old[i].entry.Load(); d != nil {
			t.insert(slots, d)
		}
	}
	t.slots.Store(&slots)
	return slots
}

func (t *Table) insert(slots []slot, d *domain) {
	mask := uint64(len(slots) - 1)
	hash := maphash.Bytes(t.seed, d.name)
	i := hash & mask
	for slots[i].entry.Load() != nil {
		i = (i + 1) & mask
	}
	slots[i].hash.Store(hash)
	slots[i].entry.Store(d)
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
