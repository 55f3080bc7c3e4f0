package component

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// enter starts an Enter of an address; the channel gets its result.
func enter(ctx context.Context, g *Gate, addr netip.Addr) <-chan bool {
	c := make(chan bool, 1)
	go func() { c <- g.Enter(ctx, addr) }()
	return c
}

// result gives what an Enter has returned by now: "in", "refused" or "waits".
func result(c <-chan bool) string {
	synctest.Wait()
	select {
	case ok := <-c:
		if ok {
			return "in"
		}
		return "refused"
	default:
		return "waits"
	}
}

// fill lets n streams of an address in.
func fill(t *testing.T, g *Gate, addr netip.Addr, n int) {
	t.Helper()
	for range n {
		if !g.Enter(t.Context(), addr) {
			t.Fatal("refused")
		}
	}
}

var elsewhere = netip.MustParseAddr("192.0.2.8")

// TestGateTurns: the 101st stream of an address waits, in order, until one of the others has left.
func TestGateTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(nil)
		fill(t, g, peer, perAddress)
		first := enter(t.Context(), g, peer)
		synctest.Wait()
		second := enter(t.Context(), g, peer)
		synctest.Wait()
		if got := g.Stats(); got.Inside != perAddress || got.Waiting != 2 {
			t.Errorf("counted %+v", got)
		}
		if result(first) != "waits" || result(second) != "waits" || result(enter(t.Context(), g, elsewhere)) != "in" {
			t.Fatal("one address must wait, the other must not")
		}
		g.Leave(peer)
		if result(first) != "in" || result(second) != "waits" {
			t.Fatal("the first that waits is the first to enter")
		}
		g.Leave(peer)
		if result(second) != "in" {
			t.Fatal("the second has not entered")
		}
		for range perAddress {
			g.Leave(peer)
		}
		g.Leave(elsewhere)
		if len(g.addrs) != 0 {
			t.Errorf("%d addresses are remembered for nothing", len(g.addrs))
		}
		if got := g.Stats(); got != (GateStats{}) {
			t.Errorf("counted %+v, and nobody is there", got)
		}
	})
}

// TestGateGivesUp: whoever gives up waiting leaves the others their places; too many that wait are refused.
func TestGateGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(nil)
		fill(t, g, peer, perAddress)
		ctx, cancel := context.WithCancel(t.Context())
		quitter := enter(ctx, g, peer)
		synctest.Wait()
		patient := enter(t.Context(), g, peer)
		synctest.Wait()
		cancel()
		if result(quitter) != "refused" || result(patient) != "waits" {
			t.Fatal("the one that gives up is the one that is refused")
		}
		g.Leave(peer)
		if result(patient) != "in" {
			t.Fatal("the place went to one that had given up")
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var queue []<-chan bool
		for range maxWaiting {
			queue = append(queue, enter(ctx, g, peer))
		}
		synctest.Wait()
		if got := result(enter(t.Context(), g, peer)); got != "refused" {
			t.Errorf("one more than may wait: %s", got)
		}
		time.Sleep(time.Second)
		for _, c := range queue {
			if got := result(c); got != "refused" {
				t.Fatalf("after its time: %s", got)
			}
		}
		if v := g.addrs[peer]; v.inside != perAddress || len(v.waiting) != 0 {
			t.Errorf("inside %d, waiting %d", v.inside, len(v.waiting))
		}
		if got, want := g.Stats(), (GateStats{Inside: perAddress, Refused: maxWaiting + 2}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
	})
}

// TestGateTurnAndTimeout: a turn that comes at the moment of giving up counts, so that no place is lost.
func TestGateTurnAndTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			g := NewGate(nil)
			fill(t, g, peer, perAddress)
			ctx, cancel := context.WithCancel(t.Context())
			c := enter(ctx, g, peer)
			synctest.Wait()
			go g.Leave(peer)
			cancel()
			want := perAddress - 1
			if result(c) == "in" {
				want++
			}
			if got := g.addrs[peer].inside; got != want {
				t.Fatalf("%d inside instead of %d", got, want)
			}
		}
	})
}

// TestGatePenalty: answers are delayed from the eleventh failure within ten seconds, and no longer when those are over.
func TestGatePenalty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(nil)
		for i := range freeFailures {
			if d := g.Penalty(peer); d != 0 {
				t.Fatalf("%v after %d failures", d, i)
			}
			g.Failed(peer)
		}
		if d := g.Penalty(peer); d != 0 {
			t.Fatalf("%v after %d failures", d, freeFailures)
		}
		g.Failed(peer)
		if g.Penalty(peer) != penalty || g.Penalty(elsewhere) != 0 {
			t.Error("the address that failed must wait, and no other")
		}
		if !g.Enter(t.Context(), peer) {
			t.Error("an address is slowed down, never refused")
		}
		g.Leave(peer)
		time.Sleep(failWindow)
		if g.Penalty(peer) != penalty {
			t.Error("the window is over too early")
		}
		time.Sleep(time.Millisecond)
		if g.Penalty(peer) != 0 {
			t.Error("the window is not over")
		}
		g.Failed(peer)
		if g.Penalty(peer) != 0 {
			t.Error("the failures of a window that is over count")
		}
	})
}

// TestGateForgets: more addresses than are remembered: old ones make room, and while none is old new ones are refused.
func TestGateForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(nil)
		addr := func(i int) netip.Addr {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], uint32(i))
			return netip.AddrFrom4(b)
		}
		for i := range maxAddresses {
			g.Failed(addr(i))
		}
		if g.Enter(t.Context(), addr(maxAddresses)) {
			t.Error("there is no room for one more")
		}
		g.Failed(addr(maxAddresses)) // must not be remembered, nor crash
		if g.Penalty(addr(maxAddresses)) != 0 {
			t.Error("an address that is not remembered is slowed down")
		}
		fill(t, g, addr(1), 1)
		time.Sleep(failWindow + time.Millisecond)
		if !g.Enter(t.Context(), addr(maxAddresses)) || len(g.addrs) != 2 {
			t.Errorf("%d addresses are remembered", len(g.addrs))
		}
	})
}

// TestGateKeys: an IPv6 host can choose any address of its /64, so those count as one; IPv4 written as IPv6 is IPv4.
func TestGateKeys(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"192.0.2.7", "::ffff:192.0.2.7", true},
		{"192.0.2.7", "192.0.2.8", false},
		{"::1", "::2", false},
	} {
		g := NewGate(nil)
		for range freeFailures + 1 {
			g.Failed(netip.MustParseAddr(c.a))
		}
		if same := g.Penalty(netip.MustParseAddr(c.b)) > 0; same != c.same {
			t.Errorf("%s and %s count as one: %v", c.a, c.b, same)
		}
	}
}
