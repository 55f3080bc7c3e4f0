package routing

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
)

// tape is a link that takes all and keeps it, pings too: what its peer does of that is for the test to say.
type tape struct {
	mu     sync.Mutex
	got    strings.Builder
	writes int
}

func (p *tape) TryWrite(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	return p.got.Write(b)
}
func (p *tape) Write(b []byte) (int, error) { return p.TryWrite(b) }
func (p *tape) Interrupt()                  {}

// since gives what has come since the last time.
func (p *tape) since() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.got.String()
	p.got.Reset()
	return text
}

// one gives what has come since the last time, and that it was one write.
func (p *tape) one(t *testing.T) string {
	p.mu.Lock()
	before := p.writes
	p.writes = 0
	p.mu.Unlock()
	if before > 1 {
		t.Errorf("%d writes, and one was enough", before)
	}
	return p.since()
}

// plugged attaches a node whose peer does nothing by itself.
func (tb *testbed) plugged(name string, g *Grant) (*Source, *tape) {
	tb.t.Helper()
	sc := stanza.NewScanner(stanza.DefaultLimits)
	_, _, _ = sc.Next([]byte(rootTag), &stanza.Header{})
	src, err := tb.r.Attach(name, g, sc)
	if err != nil {
		tb.t.Fatal(err)
	}
	p := &tape{}
	if err := src.Start(p, []byte("<handshake/>")); err != nil {
		tb.t.Fatal(err)
	}
	return src, p
}

var (
	plainPing  = regexp.MustCompile(`<iq type='get' id='(pb-[0-9a-f]{16}-\d+)' from='hub' to='b'><ping xmlns='urn:xmpp:ping'/></iq>`)
	clientPing = regexp.MustCompile(`<iq xmlns='jabber:client' type='get' id='(pb-[0-9a-f]{16}-\d+)' from='hub' to='b'><ping xmlns='urn:xmpp:ping'/></iq>`)
)

// pinged holds that of what came as many are pings of a form, and none of the other, and gives the last one's id.
func pinged(t *testing.T, text string, form *regexp.Regexp, want int) (id string) {
	t.Helper()
	all := form.FindAllStringSubmatch(text, -1)
	if len(all) != want || strings.Count(text, "urn:xmpp:ping") != want {
		t.Fatalf("%q has not %d pings as %v", text, want, form)
	}
	if want > 0 {
		id = all[want-1][1]
	}
	return id
}

// answered feeds a reply to a ping, as gloox and mellium write it.
func answered(t *testing.T, src *Source, id string) {
	t.Helper()
	raw := fmt.Sprintf("<iq type='result' id='%s'/>", id)
	if n, err := src.Feed([]byte(raw)); err != nil || n != len(raw) {
		t.Fatal(n, err)
	}
}

// graded holds a link to its grade.
func graded(t *testing.T, src *Source, want Grade) {
	t.Helper()
	synctest.Wait()
	if got := src.Grade(); got != want {
		t.Errorf("the grade is %v, want %v", got, want)
	}
}

// A peer that never answers is asked in the other form after five seconds, and taken for one that proves nothing after five
// more. It is asked again each minute, and any answer makes it one that does (protocol 2).
func TestGradeOfDeaf(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.plugged("b", &Grant{})
		first := pinged(t, out.since(), plainPing, 1)
		d.say("b", 1)
		time.Sleep(4900 * time.Millisecond)
		pinged(t, out.since(), plainPing, 0)
		graded(t, b, GradeProbing)
		if l := d.r.Ledger(); l.Written != 0 || l.Waiting != 1 {
			t.Errorf("it is not known yet, and the ledger is %+v", l)
		}
		time.Sleep(200 * time.Millisecond)
		pinged(t, out.since(), clientPing, 1)
		time.Sleep(4800 * time.Millisecond)
		graded(t, b, GradeProbing)
		time.Sleep(200 * time.Millisecond)
		graded(t, b, GradeWritten)
		if l := d.r.Ledger(); l.Written != 1 || l.Waiting != 0 || l.Delivered != 0 {
			t.Errorf("nothing more can be said, and the ledger is %+v", l)
		}
		d.say("b", 2)
		time.Sleep(50 * time.Second)
		pinged(t, out.since(), plainPing, 0)
		time.Sleep(10 * time.Second)
		text := out.since()
		if strings.Count(text, "urn:xmpp:ping") != 1 {
			t.Errorf("after a minute it is asked by %q", text)
		}
		answered(t, b, first) // it was busy for a minute
		graded(t, b, GradeProved)
		for range 3 { // two steps for what was written meanwhile
			time.Sleep(200 * time.Millisecond)
			for _, m := range plainPing.FindAllStringSubmatch(out.since(), -1) {
				answered(t, b, m[1])
			}
		}
		d.say("b", 3)
		for range 3 {
			time.Sleep(200 * time.Millisecond)
			for _, m := range plainPing.FindAllStringSubmatch(out.since(), -1) {
				answered(t, b, m[1])
			}
		}
		if l := d.r.Ledger(); l.Written != 2 || l.Waiting != 0 || l.Delivered != 1 {
			t.Errorf("it proves again, and the ledger is %+v", l)
		}
		b.Detach()
	})
}

// A peer that answers the second form only gets no other any more.
func TestGradeOfClientForm(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		b, out := d.plugged("b", &Grant{})
		pinged(t, out.since(), plainPing, 1)
		time.Sleep(5100 * time.Millisecond)
		answered(t, b, pinged(t, out.since(), clientPing, 1))
		graded(t, b, GradeProved)
		d.say("b", 1)
		for range 2 {
			time.Sleep(200 * time.Millisecond)
			answered(t, b, pinged(t, out.since(), clientPing, 1))
		}
		time.Sleep(200 * time.Millisecond)
		pinged(t, out.since(), clientPing, 0)
		if l := d.r.Ledger(); l.Delivered != 1 || l.Waiting != 0 {
			t.Errorf("the ledger is %+v", l)
		}
		b.Detach()
	})
}

// What comes again after a drop, by the grade of the link and nodes[].unproved.
func TestUnproved(t *testing.T) {
	for _, c := range []struct {
		name   string
		drops  bool
		answer int           // how many pings the peer has answered
		passes time.Duration // before the drop
		again  string
		made   uint64 // repeats of what had ended
	}{
		{name: "probing", passes: time.Second, again: "m1 m2"},
		{name: "probing, drop", drops: true, passes: time.Second, again: "m1 m2"},
		{name: "written, replay", passes: 11 * time.Second, again: "m1 m2", made: 2},
		{name: "written, drop", drops: true, passes: 11 * time.Second},
		{name: "one step", answer: 2, passes: time.Second, again: "m1 m2"},
		{name: "one step, drop", drops: true, answer: 2, passes: time.Second, again: "m1 m2"},
		{name: "two steps", answer: 3, passes: time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			withProof(t, func(d *diskbed) {
				d.attach("a")
				b, out := d.plugged("b", &Grant{DropUnproved: c.drops})
				for i := range c.answer {
					if i == 1 {
						d.say("b", 1)
						d.say("b", 2)
					}
					time.Sleep(200 * time.Millisecond)
					answered(t, b, pinged(t, out.since(), plainPing, 1))
				}
				if c.answer == 0 {
					d.say("b", 1)
					d.say("b", 2)
				}
				time.Sleep(c.passes)
				b.Detach()
				out.since()
				d.attach("b")
				synctest.Wait()
				d.wires["b"].mu.Lock()
				text := string(d.wires["b"].got)
				d.wires["b"].mu.Unlock()
				if n := len(strings.Fields(c.again)); strings.Count(text, "<delay xmlns='urn:xmpp:delay' from='hub' stamp='") != n {
					t.Errorf("not %d stanzas say that they are late: %q", n, text)
				}
				d.expect("b", c.again)
				for range 3 { // now it answers
					time.Sleep(200 * time.Millisecond)
					d.expect("b", "")
				}
				if l := d.r.Ledger(); l.Made != c.made || l.Waiting != 0 {
					t.Errorf("the ledger is %+v", l)
				}
			})
		})
	}
}

// Two nodes whose graces end together hand what waited for a user of both to each other only once.
func TestExpireTogether(t *testing.T) {
	bubble(t, func(tb *testbed) {
		for _, n := range []string{"n1", "n2", "n3"} {
			tb.attach(n)
		}
		tb.login("n1", "alice@im/1")
		tb.login("n2", "bob@im/1")
		tb.login("n3", "bob@im/2")
		tb.detach("n2")
		tb.detach("n3")
		tb.send("n1", "CHAT from='alice@im/1' to='bob@im/1' id='m1'/>CHAT from='alice@im/1' to='bob@im/2' id='m2'/>CHAT from='alice@im/1' to='bob@im' id='m3'/>")
		time.Sleep(testGrace + time.Second)
		if got := tb.got("n1"); len(strings.Fields(got)) != 3 || strings.Count(got, ":service-unavailable") != 3 {
			t.Errorf("the sender got %q", got)
		}
		for _, n := range []string{"n2", "n3"} {
			if s := tb.r.Node(n).State(); s != Past {
				t.Errorf("%s is %v", n, s)
			}
		}
	})
}

// What waited for a node to which messages for offline users are forwarded is not forwarded to it once more when its grace ends.
func TestExpireForward(t *testing.T) {
	bubble(t, func(tb *testbed) {
		tb.change(func(set *Settings) {
			set.Users = []UserDomain{{Name: "im", Offline: PolicyForward, ForwardTo: "push"}}
		})
		tb.attach("n1")
		tb.attach("push")
		tb.detach("push")
		tb.send("n1", "CHAT from='n1' to='bob@im' id='m1'/>")
		time.Sleep(testGrace + time.Second)
		tb.expect("n1", "m1:remote-server-timeout")
		if s := tb.r.Node("push").State(); s != Past {
			t.Errorf("push is %v", s)
		}
	})
}
