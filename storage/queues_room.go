package storage

import (
	"sync"
	"sync/atomic"
)

// budget bounds the bytes of both stores together (limits.disk).
type budget struct {
	most atomic.Int64 // 0: no bound
	held atomic.Int64
}

// book adds to the bytes, unless they would be more than allowed. Less is always allowed.
func (b *budget) book(n int64) bool {
	for {
		old := b.held.Load()
		if most := b.most.Load(); n > 0 && most > 0 && old+n > most {
			return false
		}
		if b.held.CompareAndSwap(old, old+n) {
			return true
		}
	}
}

// fits tells what book would say.
func (b *budget) fits(n int64) bool {
	most := b.most.Load()
	return most == 0 || b.held.Load()+n <= most
}

// roomGauge is the reckoning of what both stores may still take of one file system.
type roomGauge struct {
	// set once
	dir      string
	space    spaceFunc
	headroom func() int64 // what the stores may take without letting anything more in

	disk    budget
	pending atomic.Int64 // bytes of blocks that the outbox has let in and not written
	looking sync.Mutex   // held by who asks for free
	free    atomic.Int64 // bytes of the file system that may be used, when last looked at
}

// look notes how much of the disk may be used, after a commit and at the open. One looks at a time, so that nobody notes what
// was before another's.
func (g *roomGauge) look() {
	g.looking.Lock()
	g.free.Store(g.room())
	g.looking.Unlock()
}

// glance is look for one who does not wait: whoever looks at this moment notes it as well.
func (g *roomGauge) glance() {
	if g.looking.TryLock() {
		g.free.Store(g.room())
		g.looking.Unlock()
	}
}

// room asks how much of the disk may be used: 5 % of it stay free, and no less than the committers need to go on.
func (g *roomGauge) room() int64 {
	if g.dir != Memory {
		if free, size, ok := g.space(g.dir); ok {
			return int64(free) - int64(max(size/20, reserve)) - g.headroom()
		}
	}
	return 1 << 62
}

// refuses gives the error of a write for which the disk has no room.
func (g *roomGauge) refuses(bytes int64) error { return room(g.dir, g.space, bytes) }

// left is what may be used after all that the outbox has let in.
func (g *roomGauge) left() int64 { return g.free.Load() - g.pending.Load() }

// fits reports whether the outbox may let a block in. While nothing is on its way, nobody else looks.
func (g *roomGauge) fits(size int64) bool {
	if g.pending.Load() == 0 {
		g.glance()
	}
	return g.left() >= size
}
