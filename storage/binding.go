package storage

import "sync/atomic"

// binding is (node, incarnation) under a number that records can hold. It is dead when the node's base
// has passed its incarnation: one store ends all sessions under it.
type binding struct {
	node NodeID // set once: a number is used again for the same node only, so a late reader errs by time alone
	num  uint32 // set once
	cut  bool   // set once: dead from the begin, of sessions that were not in memory when their node did not confirm them

	dead atomic.Bool

	_     [43]byte      // what writers count is off the cache line that look-ups read
	inc   atomic.Uint64 // changed by the node table while the binding is free
	count atomic.Int64  // sessions in the index under it
	users atomic.Int64  // batches that may still put sessions under it
}

// bindings is indexed by number. Grown under the node table's mutex, by replacement.
type bindings []*binding

// free tells whether nothing refers to the binding any more. Users are read first: without one the
// count cannot rise.
func (b *binding) free() bool { return b.users.Load() == 0 && b.count.Load() == 0 }

// holds tells whether the index has, or may still get, a session under the binding.
func (b *binding) holds() bool { return !b.free() }

// left is how the sessions under a dead binding ended.
func (b *binding) left() Why { return b.why(NodeLeft) }

// why is how a session under the binding ends that is removed for a reason.
func (b *binding) why(reason Why) Why {
	if b.cut {
		return Unconfirmed
	}
	return reason
}
