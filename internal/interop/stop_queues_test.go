package interop

import (
	"sync"
	"testing"
	"time"
)

// TestStopQueues stops the server in order, and starts it again, while a node writes as fast as it is read: to one that reads,
// one that is stuck, one that is away, and, after a start, a user not yet known. Nothing that was accepted is lost or answered; what was
// proved does not come again; all comes in order, at the end also to the one that was away.
func TestStopQueues(t *testing.T) {
	data := t.TempDir()
	sets := []string{"limits.queue=4MiB", "timers.grace=10m", "timers.settle=5m", "timers.drain=5s"}
	c := gather(t, data, sets...)
	c.halt(t)
	stops := 3
	if testing.Short() {
		stops = 1
	}
	for range stops {
		kept := c.stops(t)
		c.book.begin()
		c.s = serve(t, data, sets...)
		c.scribe.attach(t, c.s)
		if found := c.s.status(t).Ledger.Found; found != kept {
			t.Errorf("%d stanzas were stored at the stop, %d are found", kept, found)
		}
		c.writes(t, 200, c.fresh) // is held: the one that is away may have it
		c.calm.attach(t, c.s)
		c.stuck.attach(t, c.s)
		c.writes(t, 300, c.stuck, c.calm)
		eventually(t, "some to come", func() bool { return c.book.total(c.stuck.last()) > 100 })
		c.stuck.last().stop()
	}
	c.stuck.last().goes()
	v := c.fresh.attach(t, c.s)
	eventually(t, "the answer to the first word", func() bool { return c.book.total(v) > 0 })
	c.away.attach(t, c.s) // nobody is awaited any more
	c.writes(t, 400, c.away, c.fresh, c.stuck, c.calm)
	eventually(t, "all that is left", c.book.whole)
	eventually(t, "nothing to wait", func() bool {
		l := c.s.status(t).Ledger
		return l.Waiting+l.Stored == 0
	})
	c.s.stop(t)
	for _, x := range []*reader{c.calm, c.away, c.fresh, c.stuck} {
		c.leaves(t, x)
	}
	c.book.prefixes()
	c.book.judge(t)
	c.book.account(t)
}

// stops stops the server under load, and gives how many stanzas are stored.
func (c *trio) stops(t *testing.T) (kept int) {
	t.Helper()
	var talking sync.WaitGroup
	talking.Go(c.talks)
	least := c.book.bytes() + 20<<20
	eventually(t, "messages to be written", func() bool { return c.book.bytes() > least })
	decided := c.book.decided()
	began := time.Now()
	l := c.s.stop(t)
	t.Logf("stopped in %v: %v", time.Since(began).Round(time.Millisecond), l)
	talking.Wait()
	wait(t, c.scribe.node.over, "the end of the link of the scribe")
	for _, x := range []*reader{c.calm, c.stuck} {
		c.leaves(t, x)
		c.book.sure(x.name, decided)
	}
	c.book.sure("away", decided)
	c.book.sure("fresh", decided)
	if l["waiting"] > 0 {
		t.Errorf("%d stanzas wait in memory", l["waiting"])
	}
	return l["stored"]
}

// leaves waits for the end of a link. Only on that of the node that was stuck something may have come again.
func (c *trio) leaves(t *testing.T, x *reader) {
	t.Helper()
	v := x.last()
	v.ended(t, c.book)
	if x != c.stuck && v.repeated > 0 {
		t.Errorf("%d bytes that were proved come again on a link of %s", v.repeated, x.name)
	}
}

// talks writes until the server takes no more.
func (c *trio) talks() {
	lanes := []*lane{}
	for _, r := range c.scribe.lanes {
		if r.to != "fresh" {
			lanes = append(lanes, r)
		}
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := c.scribe.write(c.rng, 20, 3000, lanes...); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-c.scribe.node.over:
			return
		}
	}
}
