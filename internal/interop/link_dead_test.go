package interop

import (
	"regexp"
	"testing"
	"time"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// few messages are fewer than a window holds: behind them the server goes on to write until the socket takes no more. With
// a window full of what the kernel of the peer's host has, it would wait for a proof and write nothing: that is no death.
const few = 100

// first sends a few messages, and waits for them.
func first(t *testing.T, sender, receiver *correspondent) {
	t.Helper()
	sender.writes(t, receiver.domain, 0, few)()
	receiver.box.await(t, few)
}

// TestLinkStallTalking stops reading for longer, and goes on to talk: whoever talks is not dead.
func TestLinkStallTalking(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 13 s")
	}
	t.Parallel()
	w := behind(t, "timers.ping=1s", "limits.queue=64MiB")
	box := &inbox{}
	sender, receiver := join(t, w.server, w.addr, "sender", &inbox{}), join(t, w.server, w.net.Addr(), "receiver", box)
	const count = 20_000
	first(t, sender, receiver)
	w.link().Stall(fault.ToPeer)
	wait := sender.writes(t, receiver.domain, few, count)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(deadAfter * 13 / 10); end != nil; {
		select {
		case <-tick.C:
			if err := receiver.say("<presence from='%s' to='%s'/>", receiver.domain, sender.domain); err != nil {
				t.Fatalf("the link ends while its node talks: %v; the server says %q", err, w.faults())
			}
		case <-end:
			end = nil
		}
	}
	w.link().Resume(fault.ToPeer)
	wait()
	box.await(t, count)
	if n := box.judge(t, count); n > 0 {
		t.Errorf("%d messages came again", n)
	}
	sender.lives(t)
	receiver.lives(t)
	w.stop(t)
}

var linkOver = regexp.MustCompile(`link (dropped|ended).*node=receiver`)

// TestLinkHalfOpen lets a node vanish without a word: its link is dead when nothing has come and nothing has gone for
// ten times timers.ping, no earlier, and what was on it waits for the node.
func TestLinkHalfOpen(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	t.Parallel()
	w := behind(t, "timers.ping=1s", "limits.queue=64MiB")
	box := &inbox{}
	const count = 20_000
	sender, receiver := join(t, w.server, w.addr, "sender", &inbox{}), join(t, w.server, w.net.Addr(), "receiver", box)
	first(t, sender, receiver)
	w.link().HalfOpen()
	began := time.Now()
	wait := sender.writes(t, receiver.domain, few, count)
	wait()
	w.find(t, linkOver)
	if took := time.Since(began); took < deadAfter || took > deadAfter+5*time.Second {
		t.Errorf("the link is given up after %v", took)
	}
	receiver = join(t, w.server, w.net.Addr(), "receiver", box)
	box.await(t, count)
	t.Logf("%d messages came again", box.judge(t, count))
	sender.lives(t)
	receiver.lives(t)
	w.stop(t)
}
