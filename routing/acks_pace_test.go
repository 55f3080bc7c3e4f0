package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A count that nobody has asked for goes along with the next stanza, in one write, or follows by itself soon. What the peer waits for
// since its last question is told at once.
func TestCountRides(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "id1")
		out.one(t)
		h := func(n int) string { return fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n) }
		b.tell(1)
		same(t, "unasked", out.one(t), "")
		d.say("b", 1)
		if got := out.one(t); came(got) != "m1" || !strings.HasSuffix(got, "</message>"+h(1)) {
			t.Errorf("with the stanza comes %q", got)
		}
		time.Sleep(time.Second)
		same(t, "its own question", out.one(t), ackRequest)
		feed(t, b, h(1))
		b.tell(2)
		time.Sleep(tellAfter - time.Millisecond)
		b.tell(3)
		same(t, "too soon", out.one(t), "")
		time.Sleep(beatEach + time.Millisecond)
		same(t, "by itself", out.one(t), h(3))
		time.Sleep(time.Second)
		same(t, "once", out.one(t), "")
		q := b.node.queue
		if q.acknowledge(q.out, 3, 5) {
			q.flush()
		}
		same(t, "asked", out.one(t), h(3))
		b.tell(4)
		same(t, "not all", out.one(t), "")
		b.tell(5)
		same(t, "all", out.one(t), h(5))
		b.tell(6)
		same(t, "unasked again", out.one(t), "")
		time.Sleep(time.Second)
		same(t, "the last", out.one(t), h(6))
		b.tell(6)
		time.Sleep(time.Second)
		same(t, "nothing new", out.one(t), "")
		d.unplug("b")
	})
}

// A count goes along only where that costs no write: behind all of a block that has room for it.
func TestCountRoom(t *testing.T) {
	for _, c := range []struct {
		name           string
		since          int64
		off, size, cap int
		want           bool
	}{
		{"all of the block", 1, 10, 90, 100 + tellRoom, true},
		{"no room", 1, 10, 90, 99 + tellRoom, false},
		{"a part", 1, 10, 80, 1000, false},
		{"no stanza", 1, 100, 0, 1000, false},
		{"nothing to tell", 0, 10, 90, 1000, false},
	} {
		a, b := resumption{since: c.since}, &block{b: make([]byte, 100, c.cap), off: c.off}
		if a.rides(b, c.size) != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
	if n := len(appendAck(nil, 1<<32-1)); n > tellRoom {
		t.Errorf("a count may have %d bytes", n)
	}
}

// A link tells of what it was sent when its peer asks for nothing, soon after that is in custody: here on disk, after 200 ms.
func TestCountUnasked(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "id1")
		out.since()
		for i := range 3 {
			feed(t, b, fmt.Sprintf("<message from='b' to='a' id='x%d'/>", i))
			time.Sleep(450 * time.Millisecond)
			same(t, "told", out.since(), fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", i+1))
		}
		d.unplug("b")
	})
}

// A peer that has asked is told within one turn of the beat, whenever what it sent is proved.
func TestCountAsked(t *testing.T) {
	withProof(t, func(d *diskbed) {
		a, out := d.counting("a", "id1")
		b, _ := d.counting("b", "id2")
		for i := 1; i < 10; i++ {
			feed(t, a, "<message from='a' to='b' id='x'/><r xmlns='urn:xmpp:sm:3'/>")
			time.Sleep(60*time.Millisecond + time.Duration(i)*10*time.Millisecond)
			out.since()
			feed(t, b, fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", i))
			synctest.Wait()
			time.Sleep(beatEach + time.Millisecond)
			same(t, "told", out.since(), fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", i))
			time.Sleep(time.Second)
		}
		d.unplug("a")
		d.unplug("b")
	})
}
