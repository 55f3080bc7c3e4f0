package interop

import (
	"os"
	"path/filepath"
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
	{"a full disk", nil, "300m", true, "the node of TO cannot take the stanza now, and the router's disk is too full to keep it; send again later"},
}

// TestFullQueues fills what nodes that are away and stuck may have of the disk. New stanzas for them are bounced, and say why; what waits
// stays, and so does the traffic of others. When there is room again all goes on by itself, and all that was accepted comes, once and
// in order.
func TestFullQueues(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 25 s")
	}
	for _, f := range fullnesses {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
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

// overflows writes until messages for both are refused, no faster than the disk follows: what is more than it keeps up with is
// refused, too, and for another reason.
func (c *trio) overflows(t *testing.T) {
	t.Helper()
	full := func(x *reader) bool { return c.book.refused(x.name) > 20 }
	late := time.Now().Add(2 * patience)
	for !full(c.away) || !full(c.stuck) {
		if time.Now().After(late) {
			t.Fatalf("nothing is refused: %v", c.s.nodes(t))
		}
		c.writes(t, 150, c.away, c.stuck, c.calm)
		c.follows(t, 5<<19) // the next messages are half a MiB for each
	}
}

// follows waits until the one that reads has done so, and no more than so many bytes wait in memory for the others. A full disk takes
// none: then it is enough that they have become no less for a while.
func (c *trio) follows(t *testing.T, most int) {
	t.Helper()
	eventually(t, "the one that reads", func() bool { return c.s.node(t, c.calm.name).QueueBytes <= 1<<19 })
	was, since := 0, time.Now()
	for time.Since(since) < 5*time.Second {
		now := 0
		for _, x := range []*reader{c.away, c.stuck} {
			now = max(now, c.s.node(t, x.name).QueueBytes)
		}
		if now <= most {
			return
		}
		if now != was {
			was, since = now, time.Now()
		}
		lasts(10 * time.Millisecond)
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
	c.follows(t, 1<<19) // memory was full of what waited for room
	c.book.permit("")
	c.writes(t, 300, c.away, c.stuck, c.calm)
	p.cut()
}

// returns lets all come, and judges it.
func (c *trio) returns(t *testing.T) {
	t.Helper()
	c.stuck.last().goes()
	c.away.attach(t, c.s)
	eventually(t, "all that waited", func() bool {
		nodes := c.s.nodes(t)
		return nodes["away"].Outbox+nodes["stuck"].Outbox == 0 && nodes["away"].memory()+nodes["stuck"].memory() == 0 // and the disk has its room again
	})
	c.book.permit("")
	c.writes(t, 300, c.away, c.stuck, c.calm)
	c.finish(t)
}
