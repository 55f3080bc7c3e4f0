package interop

import (
	"testing"

	"github.com/patchbay-im/patchbay/internal/fault"
)

// TestLinkReset breaks the link of a node under load, in each of the ways in which a connection can end, and lets the
// node return.
func TestLinkReset(t *testing.T) {
	const count = 40_000
	w := behind(t, "limits.queue=64MiB")
	box := &inbox{}
	sender := join(t, w.server, w.addr, "sender", &inbox{})
	receiver := join(t, w.server, w.net.Addr(), "receiver", box)
	wait := sender.writes(t, receiver.domain, 0, count)
	ends := []func(*fault.Link){
		func(l *fault.Link) { l.Reset(fault.Both) },
		func(l *fault.Link) { l.Cut(fault.Both) },
		(*fault.Link).HalfOpen, // the node is back before the server knows that it was gone
		func(l *fault.Link) { // and so it is here, and what it answers comes no more
			l.Stall(fault.ToServer)
			l.Reset(fault.ToPeer)
		},
		func(l *fault.Link) { l.Reset(fault.ToServer) },
	}
	for i, end := range ends {
		box.await(t, (i+1)*count/(len(ends)+2))
		end(w.link())
		receiver.cut()
		receiver = join(t, w.server, w.net.Addr(), "receiver", box)
	}
	wait()
	box.await(t, count)
	t.Logf("%d messages came again", box.judge(t, count))
	sender.lives(t)
	receiver.lives(t)
	w.stop(t)
}

// TestLinkResetProbing resets the link of a node that has not answered a ping yet, twice: nothing is known of what it
// has read, so all of it comes again.
func TestLinkResetProbing(t *testing.T) {
	const count = 2000
	w := behind(t)
	box := &inbox{mute: true}
	sender := join(t, w.server, w.addr, "sender", &inbox{})
	receiver := join(t, w.server, w.net.Addr(), "receiver", box)
	wait := sender.writes(t, receiver.domain, 0, count)
	for _, most := range []int{1, count} {
		box.await(t, most)
		w.link().Reset(fault.Both)
		receiver.cut()
		box.answer(most == count)
		receiver = join(t, w.server, w.net.Addr(), "receiver", box)
	}
	wait()
	box.ends(t, count)
	if n := box.judge(t, count); n < count {
		t.Errorf("%d messages came again, and all %d had to", n, count)
	}
	sender.lives(t)
	receiver.lives(t)
	w.stop(t)
}

// ends waits until the last message has come on the last link.
func (b *inbox) ends(t *testing.T, count int) {
	t.Helper()
	eventually(t, "the end of the last link", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		life := b.lives[len(b.lives)-1]
		return len(life) > 0 && life[len(life)-1].number == count-1
	})
}

// answer says whether pings are answered from now on.
func (b *inbox) answer(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mute = !yes
}
