package interop

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fullness is a way in which there is no room for more.
type fullness struct {
	name    string
	sets    []string
	size    string // of a small file system; "": the usual one
	foreign bool   // another program fills that
	text    string // of the errors
}

var fullnesses = []fullness{
	{"as much as may wait for a node", []string{"limits.outbox=8MiB"}, "", false, "as much waits for the node of TO as may wait on disk (limits.outbox); send again later"},
	{"as much as may wait for all", []string{"limits.disk=16MiB", "limits.outbox=16MiB"}, "", false, "the node of TO cannot take the stanza now, and the router's outboxes are full (limits.disk); send again later"},
	{"as much as leaves some of the disk free", nil, "300m", false, "the node of TO cannot take the stanza now, and the router's disk is too full to keep it; send again later"},
	{"a full disk", nil, "400m", true, "the node of TO cannot take the stanza now, and the router's disk is too full to keep it; send again later"},
}

// trio is a scribe and those it writes to.
type trio struct {
	book              *book
	s                 *server
	rng               *rand.Rand
	scribe            *scribe
	calm, stuck, away *reader
}

// TestFullQueues fills what nodes that are away and stuck may have of the disk. New stanzas for them are bounced, and say why; what waits
// stays, and so does the traffic of others. When there is room again all goes on by itself, and all that was accepted comes, once and
// in order.
func TestFullQueues(t *testing.T) {
	for _, f := range fullnesses {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			if f.size != "" {
				dir = small(t, f.size)
			}
			c := gather(t, filepath.Join(dir, "data"), append(f.sets, "limits.queue=2MiB", "timers.grace=10m")...)
			c.halt(t)
			filler := ""
			if f.foreign {
				c.writes(t, 1500, c.away, c.stuck, c.calm)
				c.rests(t)
				filler = fill(t, dir, 1<<20)
			}
			c.book.permit("resource-constraint")
			c.overflows(t)
			if texts := c.book.said(); len(texts) != 1 || texts[f.text] == 0 {
				t.Errorf("the errors say %v", texts)
			}
			was := c.s.nodes(t)
			c.writes(t, 200, c.away, c.stuck, c.calm)
			for _, x := range []*reader{c.away, c.stuck} {
				if now := c.s.node(t, x.name); now.Outbox < was[x.name].Outbox || now.Outbox == 0 {
					t.Errorf("%d stanzas wait on disk for %s, and then %d", was[x.name].Outbox, x.name, now.Outbox)
				}
			}
			if f.foreign {
				c.announces(t, filler)
			}
			c.returns(t)
		})
	}
}

// gather starts a server, and all attach to it.
func gather(t *testing.T, data string, sets ...string) *trio {
	t.Helper()
	b := newBook(0)
	c := &trio{book: b, rng: rand.New(rand.NewPCG(1, 1)), calm: &reader{b: b, name: "calm"}, stuck: &reader{b: b, name: "stuck"}, away: &reader{b: b, name: "away"}}
	c.scribe = newScribe(b, "w", map[string]string{"calm": userOf("calm"), "stuck": "stuck.im.example", "away": userOf("away")})
	c.s = serve(t, data, sets...)
	c.scribe.attach(t, c.s)
	for _, x := range []*reader{c.calm, c.stuck, c.away} {
		v := x.attach(t, c.s)
		eventually(t, "the answer to the first word", func() bool { return b.total(v) > 0 })
	}
	return c
}

// halt lets one stop reading, and another go.
func (c *trio) halt(t *testing.T) {
	t.Helper()
	c.writes(t, 300, c.away, c.stuck, c.calm)
	c.rests(t)
	c.stuck.last().stop()
	c.away.last().cut()
	eventually(t, "the drop", func() bool { return c.s.node(t, "away").State == "away" })
}

// rests waits until nothing is on its way to those that read.
func (c *trio) rests(t *testing.T) {
	t.Helper()
	eventually(t, "what was sent to be proved", func() bool {
		for _, x := range []*reader{c.calm, c.stuck, c.away} {
			if n := c.s.node(t, x.name); n.memory() > 0 && n.State == "attached" && !(x.last() != nil && x.last().halt.Load()) {
				return false
			}
		}
		return true
	})
}

// writes writes messages to readers by turns, and waits until they are decided.
func (c *trio) writes(t *testing.T, messages int, to ...*reader) {
	t.Helper()
	var lanes []*lane
	for _, x := range to {
		lanes = append(lanes, c.book.lanes[c.scribe.name+"-"+x.name])
	}
	if _, err := c.scribe.write(c.rng, messages, 20_000, lanes...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the messages to be decided", c.scribe.heard)
}

// overflows writes until messages for both are refused. The disk is given the time to follow.
func (c *trio) overflows(t *testing.T) {
	t.Helper()
	full := func(x *reader) bool { return c.book.refused(x.name) > 20 }
	late := time.Now().Add(2 * patience)
	for !full(c.away) || !full(c.stuck) {
		if time.Now().After(late) {
			t.Fatalf("nothing is refused: %v", c.s.nodes(t))
		}
		c.writes(t, 150, c.away, c.stuck, c.calm)
		for try := 0; try < 10 && max(c.s.node(t, "away").QueueBytes, c.s.node(t, "stuck").QueueBytes) > 3<<19; try++ {
			lasts(10 * time.Millisecond) // a full disk does not
		}
	}
}

// announces sees that a log-in on a full disk is answered when there is room, and that then messages are accepted again.
func (c *trio) announces(t *testing.T, filler string) {
	t.Helper()
	p := attachParty(t, c.s, "late")
	if err := p.say("<iq type='set' id='late' from='late.im.example' to='im.example'>%s</iq>", announce("late", 0, 1)); err != nil {
		t.Fatal(err)
	}
	p.ask(t, "get", "<ping xmlns='urn:xmpp:ping'/>") // the link goes on
	answered := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.result["late"]
	}
	if answered() {
		t.Error("an announce was acknowledged that is not on disk")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer to an announce", answered)
	eventually(t, "messages to be accepted", func() bool {
		was := c.book.refused("away") + c.book.refused("stuck")
		c.writes(t, 30, c.away, c.stuck)
		return c.book.refused("away")+c.book.refused("stuck") == was
	})
	c.book.permit("")
	c.writes(t, 500, c.away, c.stuck, c.calm)
	p.cut()
}

// returns lets all come, and judges it.
func (c *trio) returns(t *testing.T) {
	t.Helper()
	c.stuck.last().goes()
	c.away.attach(t, c.s)
	eventually(t, "all that waited", func() bool {
		nodes := c.s.nodes(t)
		return nodes["away"].Outbox+nodes["stuck"].Outbox == 0
	})
	c.book.permit("")
	c.writes(t, 300, c.away, c.stuck, c.calm)
	c.finish(t)
}

// finish waits until all is somewhere, stops the server, and holds the account against the book.
func (c *trio) finish(t *testing.T) {
	t.Helper()
	eventually(t, "all that is left", c.book.whole)
	eventually(t, "nothing to wait", func() bool {
		l := c.s.status(t).Ledger
		return l.Waiting+l.Stored == 0
	})
	l := c.s.stop(t)
	c.book.once()
	c.book.judge(t)
	sent, lost := c.book.account(t)
	if lost > 0 || c.book.refused("calm") > 0 || l["found"] > 0 {
		t.Errorf("of %d messages %d are lost; %d to the node that reads are refused; the ledger is %v", sent, lost, c.book.refused("calm"), l)
	}
	for _, line := range c.s.faults() {
		if !strings.Contains(line, " WARN ") {
			t.Error(line)
		}
	}
}
