// Package fault is a bad network for tests: a TCP proxy whose links can be reset, stalled, cut, slowed and parted.
//
//	peer ◄──► Link ◄──► server        ToServer: what the peer writes        ToPeer: what the server writes
//
// Owners: a link's connections and what it holds belong to its two pumps, one for each way; how they are to behave is
// guarded by the mutex of the Proxy. A change takes effect before the method that makes it returns: not one byte passes a
// stalled way after that.
//
// What a proxy cannot do is keep its own kernel from acknowledging: what the server writes to a link that is stalled goes
// into the socket's buffers until they are full. ListenWindow makes them small.
package fault

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Way is a way through a link, or Both. A Way also names the connection at its end: Reset(ToServer) resets the
// connection to the server.
type Way uint8

// The ways of a link.
const (
	ToServer Way = 1 << iota // from the peer to the server
	ToPeer                   // from the server to the peer
	Both     = ToServer | ToPeer
)

// Proxy takes connections and carries each to its target over a connection of its own. All methods may be called at any
// time, from any goroutine; those that a Link has too concern all of its links, and what lasts (Stall, Drip, Delay,
// Partition) the links to come as well.
type Proxy struct {
	// set once
	target string
	window int
	ln     net.Listener
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	links  []*Link // guarded by mu, as all below
	modes  [2]mode // of links to come
	parted bool
	closed bool
}

// mode is how one way of a link behaves.
type mode struct {
	stalled bool
	bytes   int // most bytes that pass at once, every so often; 0: as they come
	every   time.Duration
	delay   time.Duration
}

// Listen makes a Proxy on a port of 127.0.0.1 that the system chooses; its links go to target, a TCP address. The error is
// that of net.Listen.
func Listen(target string) (*Proxy, error) { return ListenWindow(target, 0) }

// ListenWindow is Listen with links that take only about so many bytes from the server before it must wait for them to be
// read: SO_RCVBUF of the connection to the server; 0 leaves it to the system.
func ListenWindow(target string, window int) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", target, err)
	}
	p := &Proxy{target: target, window: window, ln: ln}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where peers connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Links gives a link for each connection that was accepted, in that order; those that are over stay in the list.
func (p *Proxy) Links() []*Link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.links)
}

// Close resets all links and returns when no goroutine of the Proxy is left.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	for _, l := range p.links {
		l.reset(Both)
	}
	p.mu.Unlock()
	p.cancel()
	_ = p.ln.Close()
	p.wg.Wait()
}

// accept takes connections until Close.
func (p *Proxy) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		l := &Link{p: p, ends: [2]*net.TCPConn{1: nc.(*net.TCPConn)}, changed: make(chan struct{}), done: make(chan struct{})}
		p.mu.Lock()
		for i := range l.halves {
			l.halves[i] = half{l: l, index: i, mode: p.modes[i]}
		}
		p.links = append(p.links, l)
		if p.closed {
			l.reset(Both)
		}
		p.mu.Unlock()
		p.wg.Go(l.carry)
	}
}

// Stall lets nothing pass, and reads nothing, until Resume.
func (p *Proxy) Stall(w Way) { p.set(w, func(m *mode) { m.stalled = true }) }

// Resume ends Stall.
func (p *Proxy) Resume(w Way) { p.set(w, func(m *mode) { m.stalled = false }) }

// Drip lets pass only so many bytes at once, every so often; 0 bytes end it.
func (p *Proxy) Drip(w Way, bytes int, every time.Duration) {
	p.set(w, func(m *mode) { m.bytes, m.every = bytes, every })
}

// Delay lets each byte pass only so long after it came; 0 ends it. Up to 1 MiB are held for that.
func (p *Proxy) Delay(w Way, d time.Duration) { p.set(w, func(m *mode) { m.delay = d }) }

// Partition lets nothing pass on any link, old or new, until Heal: who connects meanwhile is connected to nobody yet. What
// was stalled before stays so at Heal.
func (p *Proxy) Partition() { p.part(true) }

// Heal ends Partition.
func (p *Proxy) Heal() { p.part(false) }

func (p *Proxy) part(parted bool) {
	p.mu.Lock()
	p.parted = parted
	p.mu.Unlock()
	p.set(0, nil)
}

// Reset resets the connections at one end of all links, or at both: see Link.Reset.
func (p *Proxy) Reset(w Way) { p.each(func(l *Link) { l.Reset(w) }) }

// HalfOpen lets the peers of all links vanish: see Link.HalfOpen.
func (p *Proxy) HalfOpen() { p.each((*Link).HalfOpen) }

// Cut ends all links with a FIN: see Link.Cut.
func (p *Proxy) Cut(w Way) { p.each(func(l *Link) { l.Cut(w) }) }

// Bytes is how many bytes have passed on all links: see Link.Bytes.
func (p *Proxy) Bytes(w Way) (n uint64) {
	p.each(func(l *Link) { n += l.Bytes(w) })
	return n
}

func (p *Proxy) each(f func(*Link)) {
	for _, l := range p.Links() {
		f(l)
	}
}

// set changes the modes of links to come and of those that are.
func (p *Proxy) set(w Way, change func(*mode)) {
	p.mu.Lock()
	for i := range p.modes {
		if w&way(i) != 0 {
			change(&p.modes[i])
		}
	}
	p.mu.Unlock()
	p.each(func(l *Link) { l.set(w, change) })
}
