package routing

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// A count below one that came before is told as what it is, also where it passes 2^32: nothing is higher than what was sent.
func TestCountFalls(t *testing.T) {
	for _, c := range []struct {
		proved, counted, sent uint64
		h                     uint32
		low, high             bool
	}{
		{5, 0, 9, 5, false, false},
		{5, 0, 9, 4, true, false},
		{5, 0, 9, 0, true, false},
		{5, 7, 6, 6, true, false}, // it has told 7 while the writer notes the sixth
		{5, 0, 9, 10, false, true},
		{5, 0, 9, 1<<32 - 1, false, true},                 // no stream has come so far
		{1<<32 + 2, 0, 1<<32 + 4, 1<<32 - 1, true, false}, // it was 3 less
		{1<<32 + 2, 0, 1<<32 + 4, 5, false, true},
		{1<<32 - 2, 0, 1<<32 + 1, 1, false, false},
		{1<<32 - 2, 0, 1<<32 + 1, 2, false, true},
	} {
		q := Queue{env: &queueEnv{}, proved: c.proved, sent: c.sent}
		q.acks.counted = c.counted
		_, err := q.countOf(c.h)
		var low *TooLow
		var high *TooHigh
		if errors.As(err, &low) != c.low || errors.As(err, &high) != c.high {
			t.Errorf("%+v: %v", c, err)
		}
	}
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, _ := d.counting("b", "")
		d.say("b", 1)
		d.say("b", 2)
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='2'/>")
		_, err := b.Feed([]byte("<a xmlns='urn:xmpp:sm:3' h='1'/>"))
		var se *stanza.StreamError
		if !errors.As(err, &se) || se.Condition != "undefined-condition" || se.App != "" || !strings.Contains(se.Text, "lower than one before") {
			t.Errorf("it gets %v", err)
		}
		d.unplug("b")
	})
}

// A peer that has forgotten what it has handled cannot go on with its stream, for that is not held any more. One that has not can.
func TestNotResumedBelow(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, _ := d.counting("b", "id1")
		for i := range 3 {
			d.say("b", i+1)
		}
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='2'/>")
		d.unplug("b")
		_, _, err := d.resume("b", "id1", 1)
		var not *NotResumed
		if !errors.As(err, &not) {
			t.Errorf("it is resumed: %v", err)
		}
		_, out, err := d.resume("b", "id1", 2)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "what is not counted", came(out.since()), "m3")
		d.unplug("b")
	})
}

// What a link was told late does not reach the peer of the next one, which counts anew.
func TestCountOfLinkThatEnded(t *testing.T) {
	withProof(t, func(d *diskbed) {
		old, _ := d.counting("b", "id1")
		d.unplug("b")
		next, out := d.counting("b", "id2")
		out.since()
		old.tell(7)
		time.Sleep(300 * time.Millisecond)
		same(t, "the next link", out.since(), "")
		next.tell(1)
		time.Sleep(300 * time.Millisecond) // nobody has asked for it: it waits for a stanza at first
		same(t, "the next link", out.since(), "<a xmlns='urn:xmpp:sm:3' h='1'/>")
		d.unplug("b")
	})
}

// While the server stops, a peer still hears how many of its stanzas are in custody.
func TestCountWhileStopping(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "id1")
		feed(t, b, "<message from='b' to='a' id='x'/><message from='b' to='a' id='y'/>")
		time.Sleep(time.Second) // they are on disk, for a proves nothing
		out.since()
		proofs := func(raw string) {
			if n, err := b.Proofs([]byte(raw)); err != nil || n != len(raw) {
				t.Fatalf("%q: %d of %d bytes were taken, and %v", raw, n, len(raw), err)
			}
		}
		proofs("<r xmlns='urn:xmpp:sm:3'/>")
		same(t, "the answer", out.since(), "<a xmlns='urn:xmpp:sm:3' h='2'/>")
		proofs("<message from='b' to='a' id='z'/><r xmlns='urn:xmpp:sm:3'/>")
		same(t, "what comes now is not counted", out.since(), "<a xmlns='urn:xmpp:sm:3' h='2'/>")
		d.unplug("b")
	})
}
