package storage

import "sync"

// The bounds of what waits for the disk: behind them senders wait.
const (
	gateChanges = 4096
	gateBytes   = 32 << 20
)

// gate bounds what is not committed, and counts who is inside, for Close.
type gate struct {
	mu      sync.Mutex
	moved   sync.Cond // L is mu: less waits, or nothing goes on
	changes int       // guarded by mu: let in and not committed
	bytes   int64     // guarded by mu
	reads   int       // guarded by mu: those that may be using the database
	stalled bool      // guarded by mu: the disk has no room: to wait for it would be long
	closed  bool      // guarded by mu
	failed  error     // guarded by mu: the first failure
}

// take lets n changes in, which hold bytes of memory until give. It waits while as much as the bounds allow is
// inside, unless the disk has no room; so what goes beyond them is less than one call, or was deleted.
func (g *gate) take(n int, bytes int64) (idle bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for (g.changes >= gateChanges || g.bytes >= gateBytes) && !g.stalled && !g.closed && g.failed == nil {
		g.moved.Wait()
	}
	if g.closed {
		return false, ErrClosed
	}
	if g.failed != nil {
		return false, g.failed
	}
	idle = g.changes == 0
	g.changes, g.bytes = g.changes+n, g.bytes+bytes
	return idle, nil
}

// give undoes take, when the changes are on disk, or were none.
func (g *gate) give(n int, bytes int64) {
	if n == 0 {
		return
	}
	g.mu.Lock()
	g.changes, g.bytes = g.changes-n, g.bytes-bytes
	g.mu.Unlock()
	g.moved.Broadcast()
}

// waiting is what has been let in and is not on disk.
func (g *gate) waiting() (changes int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes, g.bytes
}

// stall says whether the disk has no room.
func (g *gate) stall(is bool) {
	g.mu.Lock()
	g.stalled = is
	g.mu.Unlock()
	g.moved.Broadcast()
}

// enter begins a read, unless the store is closed.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	g.reads++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	g.reads--
	g.mu.Unlock()
	g.moved.Broadcast()
}

// close lets nobody in any more.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.moved.Broadcast()
}

// waitReads waits until no read is under way.
func (g *gate) waitReads() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.reads > 0 {
		g.moved.Wait()
	}
}

// fail notes the first failure.
func (g *gate) fail(err error) (first bool) {
	g.mu.Lock()
	if first = g.failed == nil; first {
		g.failed = err
	}
	g.mu.Unlock()
	g.moved.Broadcast()
	return first
}

func (g *gate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}
