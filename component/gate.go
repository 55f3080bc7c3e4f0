package component

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/patchbay-im/patchbay/internal/stream"
)

// Bounds of a Gate.
const (
	perAddress   = 100              // unauthenticated streams at one time; more wait
	maxWaiting   = 1000             // that wait for their turn; more are refused
	freeFailures = 10               // within failWindow, before answers are delayed
	failWindow   = 10 * time.Second // within which failures count
	penalty      = time.Second      // delay of an answer to an address that fails too often
	maxAddresses = 1 << 16          // remembered
)

// Gate bounds what peers can do before they are authenticated, by address (RFC 6120 13.12). It never refuses
// an address for its failures: it slows it down, so that a NAT with one broken peer behind it lives on.
type Gate struct {
	// set once
	now func() time.Time

	// guarded by mu
	mu    sync.Mutex
	addrs map[netip.Addr]*visitor // by the address, or by the /64 of an IPv6 one
	stats GateStats
	swept time.Time // when old ones were last forgotten
}

type visitor struct {
	inside   int
	waiting  []chan struct{}
	failures int
	since    time.Time // start of the window in which failures are counted
}

// GateStats is what a Gate lets happen now, and has since it was made.
type GateStats struct {
	Inside  int    // unauthenticated streams
	Waiting int    // that wait for their turn
	Refused uint64 // too many waited, or the turn did not come in time
	Failed  uint64 // handshakes
}

// Stats gives what the gate has counted.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats
}

// NewGate makes a Gate; now nil is time.Now.
func NewGate(now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	return &Gate{now: now, addrs: map[netip.Addr]*visitor{}}
}

// Enter waits until an address may have one more unauthenticated stream. It reports false when too many wait
// already, or ctx ends. Each Enter that reports true is followed by one Leave.
func (g *Gate) Enter(ctx context.Context, addr netip.Addr) bool {
	g.mu.Lock()
	v := g.visitor(addr)
	if v == nil || len(v.waiting) >= maxWaiting {
		g.stats.Refused++
		g.mu.Unlock()
		return false
	}
	if v.inside < perAddress {
		v.inside++
		g.stats.Inside++
		g.mu.Unlock()
		return true
	}
	turn := make(chan struct{})
	v.waiting = append(v.waiting, turn)
	g.stats.Waiting++
	g.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-ctx.Done():
		return g.giveUp(v, turn)
	}
}

// giveUp takes a place in the queue back. Its turn may have come at the same moment: then it counts.
func (g *Gate) giveUp(v *visitor, turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range v.waiting {
		if c == turn {
			v.waiting = append(v.waiting[:i], v.waiting[i+1:]...)
			g.stats.Waiting--
			g.stats.Refused++
			return false
		}
	}
	return true
}

// Leave tells that a stream of the address has authenticated or ended.
func (g *Gate) Leave(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.addrs[stream.HostOf(addr)]
	if len(v.waiting) > 0 {
		turn := v.waiting[0]
		v.waiting = v.waiting[1:]
		g.stats.Waiting--
		close(turn) // its place is handed on
		return
	}
	v.inside--
	g.stats.Inside--
	if v.inside == 0 && v.failures == 0 {
		delete(g.addrs, stream.HostOf(addr))
	}
}

// Failed counts a failed handshake.
func (g *Gate) Failed(addr netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stats.Failed++
	v := g.visitor(addr)
	if v == nil {
		return
	}
	if now := g.now(); now.Sub(v.since) > failWindow {
		v.since, v.failures = now, 0
	}
	v.failures++
}

// Penalty is how long the next answer to an address must wait: nothing, unless it failed more than ten times
// within ten seconds.
func (g *Gate) Penalty(addr netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.addrs[stream.HostOf(addr)]
	if v == nil || v.failures <= freeFailures || g.now().Sub(v.since) > failWindow {
		return 0
	}
	return penalty
}

// visitor gives the record of an address, nil when too many are remembered. Called with mu held.
func (g *Gate) visitor(addr netip.Addr) *visitor {
	addr = stream.HostOf(addr)
	v := g.addrs[addr]
	if v != nil {
		return v
	}
	if now := g.now(); len(g.addrs) >= maxAddresses && now.Sub(g.swept) > time.Second {
		g.swept = now
		g.forget(failWindow)
		if len(g.addrs) >= maxAddresses {
			g.forget(0) // rather forgive a flood of addresses than shut out who has done nothing
		}
	}
	if len(g.addrs) >= maxAddresses {
		return nil
	}
	v = &visitor{}
	g.addrs[addr] = v
	return v
}

// forget drops the addresses that have no stream now and whose failures are older than age.
func (g *Gate) forget(age time.Duration) {
	now := g.now()
	for addr, v := range g.addrs {
		if v.inside == 0 && len(v.waiting) == 0 && now.Sub(v.since) > age {
			delete(g.addrs, addr)
		}
	}
}
