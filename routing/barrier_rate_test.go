package routing

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPingRate plays a link whose peer answers at once, with the beat's steps, and counts the pings: how many traffic of a rate costs, and how
// long one stanza waits for its proof.
func TestPingRate(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between stanzas; 0: there is one
		most  int           // pings in ten seconds
		alone int           // of those, the ones that were no part of another write
		proof time.Duration // of the last stanza, at most
	}{
		{"one stanza", 0, 2, 2, 200 * time.Millisecond},
		{"seldom", time.Second, 20, 20, 200 * time.Millisecond},
		{"slow", 43 * time.Millisecond, 79, 1, 200 * time.Millisecond},
		{"steady", 2 * time.Millisecond, 99, 1, 300 * time.Millisecond},
		{"quick", 100 * time.Microsecond, 782, 1, 300 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := pingPlay{}
			p.start("hub", "node", false, 0)
			p.ask(nil, 0, 0)
			p.reply()
			for p.now = int64(time.Second); p.now < int64(11*time.Second); p.now += int64(100 * time.Microsecond) {
				if p.written == 0 || c.every > 0 && (p.now-int64(time.Second))%int64(c.every) == 0 {
					p.write()
				}
				p.beat()
			}
			last := p.now
			for p.proved < p.written && p.now < last+int64(time.Second) {
				p.now += int64(time.Millisecond)
				p.beat()
			}
			if p.pings > c.most+c.most/20+2 || p.alone > c.alone+1 || p.pings < c.most/2 {
				t.Errorf("%d pings, %d of them alone, for %d stanzas; about %d and %d are wanted", p.pings, p.alone, p.written, c.most, c.alone)
			}
			if took := time.Duration(p.now - last); p.proved != p.written || took > c.proof {
				t.Errorf("%d of %d stanzas are proved %v after the last", p.proved, p.written, took)
			}
		})
	}
}

// pingPlay is a barrier, and what its queue does with it.
type pingPlay struct {
	barrier
	now             int64
	written, proved uint64
	pings, alone    int
}

// write writes one stanza, with the ping that is due.
func (p *pingPlay) write() {
	p.written++
	now := func() int64 { return p.now }
	p.ride(now)
	if !p.due(1, 250) {
		p.add(1, 250, now)
		return
	}
	p.ask(nil, p.written, p.now)
	p.reply()
}

// beat is each 25 ms, and writes what is due by itself.
func (p *pingPlay) beat() {
	if p.now%int64(beatEach) != 0 {
		return
	}
	if p.tick(p.now, p.written, p.proved, false); p.due(0, 0) {
		p.alone++
		p.ask(nil, p.written, p.now)
		p.reply()
	}
}

// reply answers the last ping.
func (p *pingPlay) reply() {
	p.pings++
	id := p.head + strconv.FormatUint(p.number, 10)
	if proved, is := p.answer([]byte(id), p.now); is {
		p.proved = max(p.proved, proved)
	}
}

// A node that has answered on an earlier link is slow when it does not answer on the next one yet: what it was sent is not taken
// for written.
func TestKnownNodeIsSlow(t *testing.T) {
	var b barrier
	grade := func(until time.Duration) Grade {
		b.start("hub", "node", false, 1)
		b.ask(nil, 0, 1)
		for at := time.Duration(0); at <= until; at += time.Second {
			b.tick(int64(at)+1, 0, 0, false)
		}
		return b.grade
	}
	if got := grade(11 * time.Second); got != GradeWritten {
		t.Errorf("a new node is %s", got)
	}
	b.start("hub", "node", false, 1)
	b.ask(nil, 0, 1)
	if _, is := b.answer([]byte(b.head+"1"), 1); !is {
		t.Fatal("the reply was not taken")
	}
	if got := grade(3 * time.Minute); got != GradeProbing {
		t.Errorf("a node that has answered is %s after 3 min of silence", got)
	}
	if got := grade(5 * time.Minute); got != GradeWritten {
		t.Errorf("and %s after 5 min", got)
	}
}

// A peer that does not answer is asked again each minute, in both forms, and its link is upgraded by the first answer.
func TestWrittenIsProbed(t *testing.T) {
	withProof(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.send("a", "CHAT from='a' to='b' id='m1'/>")
		time.Sleep(12 * time.Second)
		synctest.Wait()
		if g := d.r.Node("b").Grade(); g != GradeWritten {
			t.Errorf("b is %s", g)
		}
		before := d.pings("b")
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if asked := d.pings("b") - before; asked != 3 {
			t.Errorf("b was asked %d times in 3 min", asked)
		}
	})
}

// pings is how many pings a node's link has been asked.
func (d *diskbed) pings(node string) uint64 {
	q := d.r.Node(node).queue
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.proof.number
}

// What was written without proof comes again after the link was lost, dated, and not after the peer closed its stream.
func TestWrittenComesAgain(t *testing.T) {
	for _, orderly := range []bool{false, true} {
		withProof(t, func(d *diskbed) {
			d.attach("a")
			d.attach("b")
			time.Sleep(12 * time.Second) // nobody answers
			d.send("a", "CHAT from='a' to='b' id='m1'/>")
			synctest.Wait()
			if orderly {
				d.srcs["b"].Closed()
			}
			d.detach("b")
			d.attach("b")
			want := "m1"
			if orderly {
				want = ""
			}
			synctest.Wait()
			if again := string(d.wires["b"].got); !orderly && !strings.Contains(again, "<delay xmlns='urn:xmpp:delay' from='hub'") {
				t.Errorf("b got %s", again)
			}
			d.expect("b", want)
		})
	}
}

// The server's answers to a node's own iqs go with the link that asked: a library may begin to count its ids anew on the next
// one. What it tells users of the node waits.
func TestAnswersEndWithTheirLink(t *testing.T) {
	for _, written := range []bool{false, true} {
		withProof(t, func(d *diskbed) {
			d.attach("b")
			if !written {
				d.wires["b"].room = 0
			}
			n := d.r.Node("b")
			d.r.Send(n, []byte("<iq type='result' id='1' from='im' to='b'/>"))
			d.r.Send(n, []byte("<iq type='error' id='2' from='bob@im/x' to='alice@im/y'><error type='cancel'/></iq>"))
			d.r.Send(n, []byte("<message type='error' id='3' from='bob@im' to='b'><error type='cancel'/></message>"))
			synctest.Wait()
			d.detach("b")
			d.attach("b")
			d.expect("b", "2 3")
		})
	}
}
