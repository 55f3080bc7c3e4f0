package routing

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// counting attaches a node whose peer counts, and does nothing by itself.
func (d *diskbed) counting(name, id string) (*Source, *tape) {
	d.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := d.r.Attach(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc)
	if err != nil {
		d.t.Fatal(err)
	}
	p := &tape{}
	d.srcs[name] = src
	if err := src.StartAcked(p, id, []byte("<enabled/>")); err != nil {
		d.t.Fatal(err)
	}
	return src, p
}

// resume goes on with a link.
func (d *diskbed) resume(name, id string, h uint32) (*Source, *tape, error) {
	d.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := d.r.Resume(name, &Grant{Users: []string{"im"}, TakeOver: true}, sc, id, h)
	if err != nil {
		return nil, nil, err
	}
	p := &tape{}
	d.srcs[name] = src
	return src, p, src.StartResumed(p)
}

// unplug drops the link of a node whose peer counts.
func (d *diskbed) unplug(name string) {
	d.srcs[name].Detach()
	delete(d.srcs, name)
}

// came gives the ids of the stanzas in a text, with a ! where one says that it is late.
func came(text string) string {
	var ids []string
	for _, part := range regexp.MustCompile(`<(?:message|iq|presence)[^>]* id='([^']*)'.*?(?:</(?:message|iq|presence)>|/>)`).FindAllStringSubmatch(text, -1) {
		id := part[1]
		if strings.Contains(part[0], "urn:xmpp:delay") {
			id += "!"
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, " ")
}

func feed(t *testing.T, src *Source, raw string) {
	t.Helper()
	if n, err := src.Feed([]byte(raw)); err != nil || n != len(raw) {
		t.Fatalf("%q: %d of %d bytes were taken, and %v", raw, n, len(raw), err)
	}
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A peer that counts is asked for its count and no ping, and what it has counted is delivered; its own question is answered
// with the count of what it sent.
func TestAcks(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.counting("b", "")
		same(t, "hello", out.since(), "<enabled/>")
		for i := range 3 {
			d.say("b", i+1)
		}
		time.Sleep(300 * time.Millisecond)
		text := out.since()
		same(t, "what came", came(text), "m1 m2 m3")
		if strings.Count(text, ackRequest) != 1 || strings.Contains(text, "urn:xmpp:ping") {
			t.Errorf("it is asked by %q", text)
		}
		graded(t, b, GradeAcked)
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='2'/>")
		if l := d.r.Ledger(); l.Delivered != 2 || l.Waiting != 1 {
			t.Errorf("two are counted, and the ledger is %+v", l)
		}
		feed(t, b, "<message from='b' to='a' id='x'/><r xmlns='urn:xmpp:sm:3'/>")
		same(t, "the answer", out.since(), "<a xmlns='urn:xmpp:sm:3' h='0'/>") // it is in memory only
		time.Sleep(time.Second)
		same(t, "what follows", out.since(), "<a xmlns='urn:xmpp:sm:3' h='1'/>")
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='3'/>")
		_, err := b.Feed([]byte("<a xmlns='urn:xmpp:sm:3' h='4'/>"))
		var se *stanza.StreamError
		if !errors.As(err, &se) || se.Condition != "undefined-condition" || !strings.Contains(se.App, "handled-count-too-high") || !strings.Contains(se.App, "h='4' send-count='3'") {
			t.Errorf("it counted more than was sent, and gets %v", err)
		}
		d.unplug("b")
	})
}

// The beat may tell of a lower count than the reader has told meanwhile: for the peer it never falls (XEP-0198 section 4).
func TestCountNeverFalls(t *testing.T) {
	withProof(t, func(d *diskbed) {
		b, out := d.counting("b", "id1")
		out.since()
		for _, h := range []uint64{3, 2, 1 << 32, 1<<32 - 1} {
			b.tell(h)
			time.Sleep(tellAfter + beatEach)
			if got, low := out.since(), fmt.Sprintf(" h='%d'", uint32(h)); (h == 2 || h == 1<<32-1) == strings.Contains(got, low) {
				t.Errorf("told of %d, it writes %q", h, got)
			}
		}
		d.unplug("b")
	})
}

// A link that is resumed goes on behind what the peer has counted: requests too, nothing says that it is late, nothing comes
// twice.
func TestResume(t *testing.T) {
	for _, restful := range []time.Duration{0, 5 * time.Second} { // then all that waits is on disk only
		withProof(t, func(d *diskbed) {
			d.attach("a")
			b, out := d.counting("b", "id1")
			d.login("b", "bob@im/x")
			out.since()
			for i := range 4 {
				d.say("bob@im/x", i+1)
			}
			d.send("a", "<iq type='get' from='a' to='b' id='q1'><x xmlns='y'/></iq>")
			time.Sleep(300 * time.Millisecond)
			same(t, "before the drop", came(out.since()), "m1 m2 m3 m4 q1")
			feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='1'/>")
			d.unplug("b")
			d.say("bob@im/x", 5)
			d.send("a", "<iq type='get' from='a' to='b' id='q2'><x xmlns='y'/></iq>")
			d.expect("a", "q2:remote-server-timeout")
			d.say("bob@im/x", 6)
			time.Sleep(restful)
			if _, known := d.r.Resumable("b", "id1"); !known {
				t.Error("it is not held")
			}
			b, out, err := d.resume("b", "id1", 3)
			if err != nil {
				t.Fatal(err)
			}
			d.say("bob@im/x", 7)
			time.Sleep(300 * time.Millisecond)
			text := out.since()
			if hello := "<resumed xmlns='urn:xmpp:sm:3' previd='id1' h='0'/>"; !strings.HasPrefix(text, hello) {
				t.Errorf("it begins with %q", text)
			}
			same(t, "after the resumption", came(text), "m4 q1 m5 m6 m7")
			feed(t, b, "<iq type='result' id='q1' from='b' to='a'/><a xmlns='urn:xmpp:sm:3' h='8'/>")
			d.expect("a", "q1")
			if st := d.r.Node("b").Queue(); st.Delivered != 8 || st.Waiting != 0 || st.Unproved != 0 || st.Dropped != 0 {
				t.Errorf("the queue is %+v", st)
			}
			d.unplug("b")
		})
	}
}

var notResumed = []struct {
	name string
	do   func(d *diskbed)
	late string // what comes to the next link of b
	a    string // and to a
}{
	{"another id", func(d *diskbed) {
		_, _, err := d.resume("b", "id2", 0)
		var not *NotResumed
		if !errors.As(err, &not) {
			d.t.Errorf("it is resumed: %v", err)
		}
	}, "m1! m2!", "q1:remote-server-timeout"},
	{"too high", func(d *diskbed) {
		_, _, err := d.resume("b", "id1", 4)
		var high *TooHigh
		if !errors.As(err, &high) || high.Sent != 3 {
			d.t.Errorf("it is resumed: %v", err)
		}
	}, "m1! m2!", "q1:remote-server-timeout"},
	{"the user is elsewhere", func(d *diskbed) {
		d.attach("c")
		d.login("c", "bob@im/x")
		d.r.Move(mustAddress(d.t, "bob@im/x"), d.r.Node("b"), d.r.Node("c"))
		if _, known := d.r.Resumable("b", "id1"); known {
			d.t.Error("it is still held")
		}
		time.Sleep(time.Second)
		d.expect("c", "m1 m2")
	}, "", "q1:remote-server-timeout"},
	{"the grace is over", func(d *diskbed) {
		time.Sleep(testGrace + time.Second)
		if _, _, err := d.resume("b", "id1", 0); err == nil {
			d.t.Error("it is resumed")
		}
	}, "", "q1:remote-server-timeout m1:service-unavailable m2:service-unavailable"},
	{"closed", nil, "m1! m2!", "q1:remote-server-timeout"},
}

// What cannot be resumed is treated as after the drop of any other link: it comes again, late, and requests are answered.
func TestNotResumed(t *testing.T) {
	for _, c := range notResumed {
		t.Run(c.name, func(t *testing.T) {
			withProof(t, func(d *diskbed) {
				d.attach("a")
				b, _ := d.counting("b", "id1")
				d.login("b", "bob@im/x")
				d.say("bob@im/x", 1)
				d.say("bob@im/x", 2)
				d.send("a", "<iq type='get' from='a' to='b' id='q1'><x xmlns='y'/></iq>")
				time.Sleep(100 * time.Millisecond)
				if c.do == nil {
					b.Closed()
				}
				d.unplug("b")
				if c.do != nil {
					d.expect("a", "")
					c.do(d)
				}
				b, out := d.counting("b", "id3")
				time.Sleep(500 * time.Millisecond)
				same(t, "what came", came(out.since()), c.late)
				d.expect("a", c.a)
				if n := strings.Count(c.late, " "); c.late != "" {
					feed(t, b, fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", n+1))
				}
				d.unplug("b")
			})
		})
	}
}

// The peer may count a stanza before its writer has noted that it is written.
func TestCountAhead(t *testing.T) {
	q := Queue{env: &queueEnv{}, sent: 5, proved: 3, writing: true, before: 30}
	q.blocks = []*block{{b: make([]byte, 50), recs: []rec{{size: 10}, {size: 10}, {size: 20}, {size: 10}}, next: 1, done: 10, off: 15}}
	q.before = 25 // the rest of the second, and the third
	for h, want := range map[uint32]uint64{3: 3, 5: 5, 6: 6, 7: 7, 8: 0, 2: 0} {
		if to, err := q.countOf(h); to != want || (err != nil) != (want == 0) {
			t.Errorf("%d is %d, %v", h, to, err)
		}
	}
	q.sent, q.proved, q.writing = 1<<32+2, 1<<32-1, false
	if to, err := q.countOf(1); to != 1<<32+1 || err != nil {
		t.Errorf("over the edge it is %d, %v", to, err)
	}
}

// A node of which the link may be resumed and that never comes back is no obstacle to a stop.
func TestStopWhileHeld(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.counting("b", "id1")
		d.say("b", 1)
		time.Sleep(100 * time.Millisecond)
		d.unplug("b")
		d.restart()
		d.attach("a")
		if _, _, err := d.resume("b", "id1", 0); err == nil {
			t.Error("it is resumed")
		}
		b, out := d.counting("b", "id2")
		time.Sleep(500 * time.Millisecond)
		same(t, "what came", came(out.since()), "m1!")
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='1'/>")
		synctest.Wait()
		d.unplug("b")
	})
}

// What was written to a link that drops, and may be resumed, is on disk as what is new is: a kill loses neither.
func TestKillWhileHeld(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.counting("b", "id1")
		d.say("b", 1)
		d.say("b", 2)
		time.Sleep(100 * time.Millisecond)
		d.unplug("b")
		d.say("b", 3)
		time.Sleep(time.Second)
		d.kill()
		b, out := d.counting("b", "id2")
		time.Sleep(500 * time.Millisecond)
		same(t, "what came", came(out.since()), "m1! m2! m3!")
		feed(t, b, "<a xmlns='urn:xmpp:sm:3' h='3'/>")
		synctest.Wait()
		d.unplug("b")
	})
}
