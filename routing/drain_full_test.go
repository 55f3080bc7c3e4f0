package routing

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What finds no room on the disk when the server stops is answered to those who are there to hear it; the rest has an outcome.
func TestDrainFull(t *testing.T) {
	for _, c := range []struct {
		name string
		disk int64
		told int // of 50 messages for a node that is stuck
	}{
		{"room", 1 << 20, 0},
		{"none", 1, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			withDisk(t, func(d *diskbed) {
				d.attach("a")
				d.attach("b")
				d.attach("c")
				d.detach("c")
				d.wires["b"].room = 0
				for i := range 50 {
					d.say("b", i)
				}
				d.queues.SetDisk(c.disk)
				for i := range 5 {
					d.send("b", fmt.Sprintf("CHAT from='b' to='c' id='n%d'/>", i))
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				d.r.Drain(ctx)
				if got := strings.Fields(d.got("a")); len(got) != c.told || strings.Count(strings.Join(got, " "), ":resource-constraint") != c.told {
					t.Errorf("a was told %q", got)
				}
				l := d.r.Ledger()
				if ok, off := l.Adds(); !ok || l.Waiting > 0 {
					t.Errorf("the ledger is off by %d: %+v", off, l)
				}
				if n := l.Reasons[OutboxTotal.String()]; c.told > 0 && n < uint64(c.told) || c.told == 0 && (n > 0 || l.Stored != 55) {
					t.Errorf("%d are told of, and the ledger is %+v", n, l)
				}
			})
		})
	}
}
