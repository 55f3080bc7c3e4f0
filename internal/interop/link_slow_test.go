package interop

import (
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// deadAfter is when a link is dead from which nothing comes and that takes nothing, with timers.ping=1s.
const deadAfter = 10 * time.Second

// slow lets one node write to another over a bad network, and does something to it when it is under way. Whatever
// that is, it is no drop: nothing is lost, nothing comes twice, nothing out of order, nobody is disconnected.
func slow(t *testing.T, count int, harm func(w wired)) {
	t.Helper()
	w := behind(t, "timers.ping=1s", "limits.queue=64MiB")
	box := &inbox{}
	sender, receiver := join(t, w.server, w.addr, "sender", &inbox{}), join(t, w.server, w.net.Addr(), "receiver", box)
	wait := sender.writes(t, receiver.domain, 0, count)
	box.await(t, 100)
	harm(w)
	wait()
	box.await(t, count)
	if n := box.judge(t, count); n > 0 {
		t.Errorf("%d messages came again", n)
	}
	sender.lives(t)
	receiver.lives(t)
	w.stop(t)
}

// lasts lets time pass that is part of what is tested.
func lasts(d time.Duration) { <-time.After(d) }

// TestLinkStall stops reading for a while: less than makes a link dead.
func TestLinkStall(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 7 s")
	}
	t.Parallel()
	slow(t, 20_000, func(w wired) {
		w.link().Stall(fault.Both)
		lasts(deadAfter * 7 / 10)
		w.link().Resume(fault.Both)
	})
}

// TestLinkDrip narrows the link to 1 MB/s in small pieces.
func TestLinkDrip(t *testing.T) {
	t.Parallel()
	slow(t, 5000, func(w wired) { w.net.Drip(fault.Both, 1000, time.Millisecond) })
}

// TestLinkDelay makes the way long: a window goes out per round trip of 400 ms.
func TestLinkDelay(t *testing.T) {
	t.Parallel()
	slow(t, 5000, func(w wired) { w.net.Delay(fault.Both, 200*time.Millisecond) })
}

// TestLinkPartition parts the network for a while, and a node that wants to attach meanwhile is no worse for it.
func TestLinkPartition(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	t.Parallel()
	slow(t, 20_000, func(w wired) {
		w.net.Partition()
		lasts(deadAfter * 3 / 10)
		w.net.Heal()
	})
}
