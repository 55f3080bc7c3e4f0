package interop

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// trio is a scribe and those it writes to.
type trio struct {
	book              *book
	s                 *server
	rng               *rand.Rand
	scribe            *scribe
	calm, stuck, away *reader
	fresh             *reader // is not there yet
}

// gather starts a server, and all attach to it.
func gather(t *testing.T, data string, sets ...string) *trio {
	t.Helper()
	b := newBook(0)
	c := &trio{book: b, rng: rand.New(rand.NewPCG(1, 1)), calm: &reader{b: b, name: "calm"}, stuck: &reader{b: b, name: "stuck"}, away: &reader{b: b, name: "away"},
		fresh: &reader{b: b, name: "fresh", held: true}}
	c.scribe = newScribe(b, "w", map[string]string{"calm": userOf("calm"), "stuck": "stuck.im.example", "away": userOf("away"), "fresh": userOf("fresh")})
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
