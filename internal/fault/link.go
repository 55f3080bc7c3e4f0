package fault

import (
	"net"
	"sync"
	"time"
)

// Link is one connection of a peer, and the connection to the server that carries it. An end or a reset of either side is
// passed on to the other, but not past a way that is stalled: there it is not seen.
type Link struct {
	// set once
	p    *Proxy
	done chan struct{} // closed when neither connection is left

	// guarded by the mutex of the Proxy
	ends    [2]*net.TCPConn // to the server, once it is there; to the peer
	gone    Way             // connections that are closed
	halves  [2]half         // to the server; to the peer
	changed chan struct{}   // closed and replaced at each change
}

// way is the Way that stands at an index of ends, halves and modes.
func way(i int) Way { return 1 << i }

// Done is closed when the link is over at both ends.
func (l *Link) Done() <-chan struct{} { return l.done }

// Stall lets nothing pass, and reads nothing, until Resume.
func (l *Link) Stall(w Way) { l.set(w, func(m *mode) { m.stalled = true }) }

// Resume ends Stall.
func (l *Link) Resume(w Way) { l.set(w, func(m *mode) { m.stalled = false }) }

// Drip lets pass only so many bytes at once, every so often; 0 bytes end it.
func (l *Link) Drip(w Way, bytes int, every time.Duration) {
	l.set(w, func(m *mode) { m.bytes, m.every = bytes, every })
}

// Delay lets each byte pass only so long after it came; 0 ends it. Up to 1 MiB are held for that.
func (l *Link) Delay(w Way, d time.Duration) { l.set(w, func(m *mode) { m.delay = d }) }

// HalfOpen lets the peer vanish: its connection is reset, that to the server stays open, and nothing is read from it or
// written to it any more. The server is told nothing.
func (l *Link) HalfOpen() { l.Reset(ToPeer) }

// Reset sends a RST at once to the server, the peer, or both; what the link holds is lost. With one of them, the other
// connection stays open, unread and silent, until it is reset too.
func (l *Link) Reset(w Way) {
	l.p.mu.Lock()
	l.reset(w)
	l.p.mu.Unlock()
	l.settle(Both)
}

// reset is Reset; the caller holds the mutex.
func (l *Link) reset(w Way) {
	for i, end := range l.ends {
		if w&^l.gone&way(i) != 0 && end != nil {
			_ = end.SetLinger(0)
			_ = end.Close()
		}
	}
	l.gone |= w
	l.change()
}

// Cut sends a FIN at once to the server, the peer, or both, as the kernel of a process does that has died; nobody closes
// the stream. What the link holds for it is lost, and what comes for it later is read and thrown away.
func (l *Link) Cut(w Way) {
	l.p.mu.Lock()
	for i := range l.halves {
		if w&way(i) != 0 {
			l.halves[i].cut = true
		}
	}
	l.change()
	l.p.mu.Unlock()
	l.settle(w)
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for i, end := range l.ends {
		if w&^l.gone&way(i) != 0 && end != nil {
			_ = end.CloseWrite()
		}
	}
}

// Bytes is how many bytes have passed; those of a write are counted when it is done, so who gets them may be before it.
func (l *Link) Bytes(w Way) (n uint64) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for i := range l.halves {
		if w&way(i) != 0 {
			n += l.halves[i].passed
		}
	}
	return n
}

// set changes modes and returns when they are in force.
func (l *Link) set(w Way, change func(*mode)) {
	l.p.mu.Lock()
	for i := range l.halves {
		if w&way(i) != 0 {
			change(&l.halves[i].mode)
		}
	}
	l.change()
	l.p.mu.Unlock()
	l.settle(Both)
}

// change wakes the pumps, wherever they are; the caller holds the mutex.
func (l *Link) change() {
	for i, end := range l.ends {
		if l.gone&way(i) == 0 && end != nil {
			_ = end.SetDeadline(time.Unix(1, 0))
		}
	}
	for i := range l.halves {
		l.halves[i].stale = l.halves[i].writing
	}
	l.notify()
}

// notify tells who waits for a change; the caller holds the mutex.
func (l *Link) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// settle waits for the writes that a change has interrupted.
func (l *Link) settle(w Way) {
	for {
		l.p.mu.Lock()
		busy, changed := false, l.changed
		for i := range l.halves {
			busy = busy || w&way(i) != 0 && l.halves[i].stale
		}
		l.p.mu.Unlock()
		if !busy {
			return
		}
		<-changed
	}
}

// carry is the life of a link.
func (l *Link) carry() {
	defer close(l.done)
	if !l.connect() {
		l.Reset(Both)
		return
	}
	var both sync.WaitGroup
	both.Go(l.halves[1].pump)
	l.halves[0].pump()
	both.Wait()
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	for i, end := range l.ends {
		if l.gone&way(i) == 0 {
			_ = end.Close()
		}
	}
	l.gone = Both
}

// connect connects to the server as soon as there is no partition, and reports whether it has. What was done to the link
// meanwhile is made up for.
func (l *Link) connect() bool {
	for {
		l.p.mu.Lock()
		parted, gone, changed := l.p.parted, l.gone, l.changed
		l.p.mu.Unlock()
		if gone == Both {
			return false
		}
		if !parted {
			break
		}
		<-changed
	}
	dialer := net.Dialer{Control: receiveBuffer(l.p.window)}
	nc, err := dialer.DialContext(l.p.ctx, "tcp", l.p.target)
	if err != nil {
		return false
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.ends[0] = nc.(*net.TCPConn)
	for i := range l.halves {
		l.halves[i].to, l.halves[i].from = l.ends[i], l.ends[1-i]
	}
	if gone := l.gone; gone&ToServer != 0 { // the server may have accepted before we know that it has
		l.gone &^= ToServer
		l.reset(gone)
	} else if l.halves[0].cut {
		_ = l.ends[0].CloseWrite()
	}
	return true
}
