package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// shut makes a node's window full, and more wait: messages m1 to m12, of which some have come.
func (d *diskbed) shut(out *tape) (written string) {
	d.t.Helper()
	for i := range 12 {
		d.send("a", fmt.Sprintf("CHAT from='a' to='bob@im/x' id='m%d'><body>%s</body></message>", i+1, strings.Repeat("x", 60_000)))
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	written = came(out.since())
	if n := len(strings.Fields(written)); n < 4 || n > 8 {
		d.t.Fatalf("the window holds %s", written)
	}
	return written
}

const shutNotice = "<presence id='n' type='unavailable' from='bob@im/x' to='b'/>"

var goFirst = []struct {
	name string
	do   func(d *diskbed, b *Source)
	come string
}{
	{"an answer of the server", func(d *diskbed, _ *Source) {
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r1' from='im' to='b'/>"))
		d.r.Send(d.r.Node("b"), []byte("<iq type='error' id='r2' from='im' to='b'/>"))
	}, "r1 r2"},
	{"an answer behind a notice of the server", func(d *diskbed, _ *Source) {
		d.r.Send(d.r.Node("b"), []byte(shutNotice))
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r1' from='im' to='b'/>"))
	}, ""},
	{"an answer behind an error and a ping of the server", func(d *diskbed, _ *Source) {
		d.r.Send(d.r.Node("b"), []byte("<message type='error' id='e' from='im' to='b'/>"))
		d.r.Ping(d.r.Node("b"), []byte("<iq type='get' id='p' from='im' to='b'/>"))
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r1' from='im' to='b'/>"))
	}, "r1"},
	{"no request, and nothing else", func(d *diskbed, _ *Source) {
		d.send("a", "<iq type='get' from='a' to='b' id='g'><x xmlns='y'/></iq>CHAT from='a' to='b' id='c'/>")
	}, ""},
	{"the answer of a node that has sent to others only", func(d *diskbed, b *Source) {
		feed(d.t, b, "<iq type='get' from='b' to='a' id='q'><x xmlns='y'/></iq>")
		d.send("a", "<iq type='result' from='a' to='b' id='q'/>")
	}, "q"},
	{"the answer of a node behind what it has sent to the same", func(d *diskbed, b *Source) {
		feed(d.t, b, "<iq type='get' from='b' to='a' id='q'><x xmlns='y'/></iq>")
		d.send("a", "CHAT from='a' to='b' id='c'/><iq type='result' from='a' to='b' id='q'/>")
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r1' from='im' to='b'/>"))
	}, "r1"},
	{"the answer of a node behind what others have sent to the same", func(d *diskbed, b *Source) {
		d.attach("c")
		feed(d.t, b, "<iq type='get' from='b' to='a' id='q'><x xmlns='y'/></iq>")
		d.send("c", "CHAT from='c' to='b' id='c'/>")
		d.send("a", "<iq type='result' from='a' to='b' id='q'/>")
	}, "q"},
}

// What a node asked for comes past a shut window, as far as the order of what one says to another allows; it keeps its place when the
// link is resumed, and the rest comes behind it in its order.
func TestAnswersGoFirst(t *testing.T) {
	for _, queue := range []int{64 << 10, 1 << 20} { // more is on disk, or in memory
		for _, c := range goFirst {
			t.Run(fmt.Sprint(c.name, ", ", queue), func(t *testing.T) {
				withProof(t, func(d *diskbed) {
					d.attach("a")
					b, out := d.counting("b", "id1")
					d.r.Node("b").queue.setLimit(queue)
					d.login("b", "bob@im/x")
					out.since()
					written := d.shut(out)
					c.do(d, b)
					time.Sleep(2 * time.Second)
					same(t, "past the window", came(out.since()), c.come)
					d.unplug("b")

					_, out, err := d.resume("b", "id1", 2)
					if err != nil {
						t.Fatal(err)
					}
					again := strings.TrimSpace(strings.TrimPrefix(written, "m1 m2 ") + " " + c.come)
					if got := came(out.since()); !strings.HasPrefix(got+" ", again+" ") {
						t.Errorf("on the link that goes on come %q, first should %q", got, again)
					}
					d.unplug("b")
				})
			})
		}
	}
}

// Where more lies on disk than memory is to hold, and what is written comes from there, an answer goes first as well: it was never there.
func TestAnswersBeforeOutbox(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "id1")
		d.login("b", "bob@im/x")
		out.since()
		d.r.Node("b").queue.setLimit(1 << 20)
		d.shut(out)
		d.r.Node("b").queue.commitEarly(1 << 60) // somebody waits for what he sent
		time.Sleep(time.Second)
		feed(t, b, "<iq type='get' from='b' to='a' id='q'><x xmlns='y'/></iq>")
		d.send("a", "<iq type='result' from='a' to='b' id='q'/>")
		time.Sleep(time.Second)
		same(t, "past the window", came(out.since()), "q")
		d.unplug("b")
	})
}

// A plain node that answers pings only when its handlers are done gets its answers too; they are proved with what is before them.
func TestAnswersGoFirstPlain(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.plugged("b", &Grant{Users: []string{"im"}, TakeOver: true})
		d.srcs["b"] = b
		d.login("b", "bob@im/x")
		answered(t, b, pinged(t, out.since(), plainPing, 1))
		d.shut(out)
		for i := range 300 { // more than one look lets go
			d.r.Send(d.r.Node("b"), []byte(fmt.Sprintf("<iq type='result' id='r%d' from='im' to='b'/>", i)))
		}
		time.Sleep(time.Second)
		if got := strings.Fields(came(plainPing.ReplaceAllString(out.since(), ""))); len(got) != 300 || got[0] != "r0" || got[299] != "r299" {
			t.Errorf("%d answers come: %s", len(got), got)
		}
		d.unplug("b")
	})
}

// A peer knows what it was written before by numbers: on the link that goes on it comes again in its order, whatever the window is now,
// and an answer behind it.
func TestAnswersBehindWhatWasWritten(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		_, out := d.counting("b", "id1")
		q := d.r.Node("b").queue
		q.mu.Lock()
		q.proof.window = windowMost // its peer was quick
		q.mu.Unlock()
		d.login("b", "bob@im/x")
		all := ""
		for i := range 16 {
			d.send("a", fmt.Sprintf("CHAT from='a' to='bob@im/x' id='m%d'><body>%s</body></message>", i+1, strings.Repeat("x", 60_000)))
			all += fmt.Sprintf("m%d ", i+1)
		}
		time.Sleep(time.Second)
		same(t, "before", came(out.since())+" ", all)
		d.unplug("b")
		d.send("a", "CHAT from='a' to='bob@im/x' id='m17'/>")
		d.r.Send(d.r.Node("b"), []byte("<iq type='result' id='r1' from='im' to='b'/>"))
		_, out, err := d.resume("b", "id1", 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		same(t, "on the link that goes on", came(out.since()), all+"r1")
		d.unplug("b")
	})
}

// What somebody may have been told to be on disk stays in its block, and goes into none that the disk has already.
func TestAnswersStayOnDisk(t *testing.T) {
	raw := "<iq type='result' from='a' to='u@im/x'/>"
	for _, c := range []struct {
		name string
		at   func(q *Queue, first, b *block)
		r    rec
		goes bool
	}{
		{"in memory", func(*Queue, *block, *block) {}, rec{origin: 1}, true},
		{"its block is there", func(_ *Queue, _, b *block) { b.kept = true }, rec{origin: 1}, false},
		{"its block is about to be", func(_ *Queue, _, b *block) { b.keeping = true }, rec{origin: 1}, false},
		{"the first is", func(_ *Queue, first, _ *block) { first.kept = true }, rec{origin: 1}, false},
		{"the first is about to be", func(_ *Queue, first, _ *block) { first.keeping = true }, rec{origin: 1}, false},
		{"the first is said to be safe", func(q *Queue, _, _ *block) { q.custody.safe = 1 }, rec{origin: 1}, false},
		{"its block waits for its delays", func(_ *Queue, _, b *block) { b.late = true }, rec{origin: 1}, false},
		{"it is never there", func(_ *Queue, first, b *block) { first.kept, b.kept = true, true }, rec{origin: 1, class: classAnswer}, true},
	} {
		q := &Queue{env: &queueEnv{}}
		first := &block{b: []byte("<message to='v@im'/>"), recs: []rec{{size: 20, origin: 1}}}
		first.first = 1
		c.r.size = uint32(len(raw))
		b := &block{b: []byte(raw), recs: []rec{c.r}}
		b.first = 2
		q.blocks = []*block{first, b}
		c.at(q, first, b)
		l := aheadLook{q: q, room: 1000}
		if got := l.goes(b, 0, []byte(raw)); got != c.goes {
			t.Errorf("%s: it goes %v", c.name, got)
		}
	}
}

// What goes past the window has a bound of its own.
func TestAnswersGoFirstBound(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		_, out := d.counting("b", "id1")
		d.r.Node("b").queue.setLimit(32 << 20)
		d.login("b", "bob@im/x")
		d.shut(out)
		pad := strings.Repeat("x", 100_000)
		for i := range 60 {
			d.r.Send(d.r.Node("b"), []byte(fmt.Sprintf("<iq type='result' id='r%d' from='im' to='b'><x xmlns='y'>%s</x></iq>", i, pad)))
		}
		time.Sleep(time.Second)
		if n := len(strings.Fields(came(out.since()))); n < 39 || n > 42 {
			t.Errorf("%d answers of 100 kB went past the window, and 4 MiB may", n)
		}
		if st := d.r.Node("b").Queue(); st.UnprovedBytes > windowStart+aheadBytes {
			t.Errorf("%d bytes are unproved", st.UnprovedBytes)
		}
		d.unplug("b")
	})
}

// What a stanza is to answers that go past it.
func TestKindOf(t *testing.T) {
	for raw, want := range map[string]stanzaKind{
		"<iq type='result' id='1'/>": kindAnswer, `<iq id="1" type="error"/>`: kindAnswer, "<iq type='get' id='1'/>": kindOther, "<iq/>": kindOther,
		"<message type='error'/>": kindOther, "<message/>": kindNotice, "<presence type='unavailable'/>": kindNotice, "<presence type='error'/>": kindOther,
		"<iqs type='result'/>": kindNotice,
	} {
		if got := kindOf([]byte(raw)); got != want {
			t.Errorf("%s is %d, want %d", raw, got, want)
		}
	}
	b := &block{b: []byte(shutNotice + "<message to='b'/>"), recs: []rec{{size: uint32(len(shutNotice))}, {size: 17, origin: 1}}}
	if b.noteOrder(); !b.notices || !b.itself {
		t.Errorf("a block with a notice, and with a message to the node itself: %+v", b.onDisk)
	}
	b = &block{b: []byte("<message to='u@b'/><iq type='result' to='b'/>"), recs: []rec{{size: 19, origin: 1}, {size: 26}}}
	if b.noteOrder(); b.notices || b.itself {
		t.Errorf("a block without: %+v", b.onDisk)
	}
}
