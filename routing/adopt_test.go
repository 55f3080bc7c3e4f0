package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchbay-im/patchbay/stanza"
	"github.com/patchbay-im/patchbay/storage"
)

// withLetters lets bob, on a node c that reads nothing, have so many stored messages in c's queue, and two newer ones behind them.
func withLetters(t *testing.T, stored int, f func(d *diskbed)) {
	t.Helper()
	withProof(t, func(d *diskbed) {
		d.r.Close()
		d.closeQueues()
		d.store = true
		d.open()
		d.attach("a")
		d.attach("c")
		for i := range stored {
			d.say("bob@im", i)
		}
		synctest.Wait()
		d.stuck("c")
		d.logon("c", "bob@im/x", nil)
		synctest.Wait()
		d.say("bob@im", stored)
		d.say("bob@im", stored+1)
		synctest.Wait()
		f(d)
	})
}

// kill ends the router, without an orderly stop; what was on its way to the disk comes there.
func (d *diskbed) kill() {
	for name := range d.srcs {
		d.detach(name)
	}
	d.r.Close()
	d.closeQueues()
	d.open()
}

// all gives what a node was written within a second, in which it answers pings.
func (d *diskbed) all(node string) string {
	var all []string
	for range 20 {
		if got := d.got(node); got != "" {
			all = append(all, got)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return strings.Join(all, " ")
}

// order gives m0 to m(n-1).
func order(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint("m", i))
	}
	return strings.Join(all, " ")
}

// stored gives how many messages are stored, and holds the ledger to that.
func (d *diskbed) stored() int {
	d.t.Helper()
	synctest.Wait()
	if ok, off := func() (bool, int64) { l := d.r.Ledger(); return l.Adds() }(); !ok {
		d.t.Errorf("the ledger is off by %d: %+v", off, d.r.Ledger())
	}
	return d.queues.Offline().Stats().Messages
}

// Stored messages that are on their way to a node when the server stops, or is killed while the node is away, keep their place in its
// outbox: it gets them once, before what is newer; and if it does not come back they are stored still, each once, and in order.
func TestLettersKeepTheirPlace(t *testing.T) {
	ends := map[string]func(d *diskbed){
		"a stop":    func(d *diskbed) { d.restart() },
		"two stops": func(d *diskbed) { d.restart(); d.restart() },
		"away, and a stop": func(d *diskbed) {
			d.detach("c")
			time.Sleep(time.Second)
			d.restart()
		},
		"away, and a kill": func(d *diskbed) {
			d.detach("c")
			time.Sleep(time.Second)
			d.kill()
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			withLetters(t, 5, func(d *diskbed) {
				end(d)
				if n := d.stored(); n != 5 {
					t.Errorf("%d are stored", n)
				}
				d.attach("c")
				if got := d.all("c"); got != order(7) {
					t.Errorf("c got %s", got)
				}
				d.logon("c", "bob@im/x", nil)
				if got, n := d.all("c"), d.stored(); got != "" || n > 0 {
					t.Errorf("at the log-in c got %q, and %d are stored", got, n)
				}
			})
			withLetters(t, 5, func(d *diskbed) {
				end(d)
				time.Sleep(testGrace + time.Second)
				if n := d.stored(); n != 7 {
					t.Errorf("when the grace is over %d are stored", n)
				}
				d.attach("b")
				d.logon("b", "bob@im/x", nil)
				if got, n := d.all("b"), d.stored(); got != order(7) || n > 0 {
					t.Errorf("b got %s, and %d are stored", got, n)
				}
			})
		})
	}
}

// logonTogether logs two sessions of a user in, so that a replay finds both.
func (d *diskbed) logonTogether(one, jid, other, second string) {
	a, b := addr(d.t, jid), addr(d.t, second)
	first, then := d.r.Expect(a.Bare(), d.srcs[one].node), d.r.Expect(b.Bare(), d.srcs[other].node)
	for i, src := range []*Source{d.srcs[one], d.srcs[other]} {
		who := []stanza.Address{a, b}[i]
		batch := d.sessions.Begin(src.node.ID(), src.inc, src.mark)
		if _, _, err := batch.Announce(who.Bare(), who.Resource(), 0, storage.Take); err != nil {
			d.t.Fatal(err)
		}
		batch.Commit(nil)
	}
	d.r.Announced(a.Bare(), first)
	d.r.Announced(b.Bare(), then)
}

// A stored message of which one node has a copy, while another's waits over a stop, comes no more to the first.
func TestLettersOfTwo(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint("the other comes back: ", back), func(t *testing.T) {
			withLetters(t, 0, func(d *diskbed) {
				d.attach("b")
				d.logoff("c", "bob@im/x")
				d.say("bob@im", 2)
				d.say("bob@im", 3)
				d.logonTogether("b", "bob@im/y", "c", "bob@im/x")
				if got := d.all("b"); got != "m2 m3" {
					t.Errorf("b got %s", got)
				}
				d.restart()
				if n := d.stored(); n != 0 {
					t.Errorf("%d are stored", n)
				}
				d.attach("b")
				d.logon("b", "bob@im/y", nil)
				gets, want := "b", "m0 m1"
				if back {
					d.attach("c")
					gets, want = "c", "m0 m1 m2 m3"
				} else {
					time.Sleep(testGrace)
				}
				if got := d.all(gets); got != want {
					t.Errorf("%s got %q, want %q", gets, got, want)
				}
				if got := d.got("b"); got != "" {
					t.Errorf("b got %q", got)
				}
			})
		})
	}
}

// More is stored than is on its way at a stop, and newer messages were held behind it: all comes in order, whether or not the user logs
// in again.
func TestLettersAndMore(t *testing.T) {
	const n = inFlight + 10
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprint("the user logs in again: ", again), func(t *testing.T) {
			withLetters(t, n, func(d *diskbed) {
				d.restart()
				d.attach("a")
				d.attach("c")
				if again {
					d.logon("c", "bob@im/x", nil)
				}
				d.say("bob@im", n+2)
				got := ""
				for range testSettle/time.Second + 2 {
					got = strings.TrimSpace(got + " " + d.all("c"))
				}
				if left := d.stored(); got != order(n+3) || left > 0 {
					t.Errorf("c got %s, and %d are stored", got, left)
				}
			})
		})
	}
}
