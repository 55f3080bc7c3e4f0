package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// waiting lets b drop, and so many messages wait for its user, until just after its grace.
func (d *diskbed) waiting(n int) {
	d.attach("a")
	d.attach("b")
	d.login("b", "bob@im/x")
	d.detach("b")
	begun := time.Now()
	for i := range n {
		d.say("bob@im", i)
	}
	synctest.Wait()
	time.Sleep(time.Until(begun.Add(testGrace + 50*time.Millisecond)))
	synctest.Wait()
}

// What waited for a node that does not come back is answered in order, and no faster than its senders can bear. Who sends now
// is told now.
func TestExpiryPace(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		const n = 6000
		d.waiting(n)
		d.say("bob@im", n)
		got := strings.Fields(d.got("a"))
		if len(got) < 100 || len(got) > n/2 {
			t.Errorf("50 ms after the grace %d of %d are answered", len(got), n)
		}
		if last := got[len(got)-1]; last != fmt.Sprintf("m%d:service-unavailable", n) {
			t.Errorf("the newest is not answered at once, but %s", last)
		}
		got = got[:len(got)-1]
		time.Sleep(time.Second)
		got = append(got, strings.Fields(d.got("a"))...)
		for i := range n {
			if want := fmt.Sprintf("m%d:service-unavailable", i); i >= len(got) || got[i] != want {
				t.Errorf("answer %d of %d is not %s", i, len(got), want)
				break
			}
		}
		if sessions := d.r.sessions.Where([]byte("bob@im")); len(sessions) > 0 || d.r.Node("b").State() != Past {
			t.Errorf("afterwards bob has %d sessions, and b is %s", len(sessions), d.r.Node("b").State())
		}
	})
}

// A node that comes back while its grace is being ended gets the rest, and keeps its sessions.
func TestExpiryBrokenOff(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		const n = 6000
		d.waiting(n)
		d.attach("b")
		time.Sleep(time.Second)
		told, came := strings.Fields(d.got("a")), strings.Fields(d.got("b"))
		if len(told) == 0 || len(came) == 0 || len(told)+len(came) != n {
			t.Errorf("%d were answered and %d came, of %d", len(told), len(came), n)
		}
		for i, id := range came {
			if want := fmt.Sprint("m", len(told)+i); id != want {
				t.Errorf("%s came in the place of %s", id, want)
				break
			}
		}
		if sessions := d.r.sessions.Where([]byte("bob@im")); len(sessions) != 1 {
			t.Errorf("bob has %d sessions", len(sessions))
		}
	})
}

// Presence that was replaced while it was on disk only takes nothing else with it when the grace ends.
func TestExpiryWithoutPresence(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		d.attach("a")
		d.attach("b")
		d.detach("b")
		d.send("a", "<presence from='a' to='b' id='p1'/>CHAT from='a' to='b' id='m1'/>CHAT from='a' to='b' id='m2'/>")
		time.Sleep(time.Second) // it is on disk
		d.send("a", "<presence from='a' to='b' id='p2'/>")
		time.Sleep(testGrace + time.Second)
		d.expect("a", "m1:remote-server-timeout m2:remote-server-timeout p2:remote-server-timeout")
	})
}

// What was decided is on disk until it is safe elsewhere, and no more of that than a little: who is killed decides little twice. The
// pace is that of the errors.
func TestExpiryBounded(t *testing.T) {
	withDisk(t, func(d *diskbed) {
		const n, size = 6000, 2000
		d.attach("a")
		d.attach("b")
		d.detach("b")
		begun := time.Now()
		body := strings.Repeat("x", size)
		for i := range n {
			d.send("a", fmt.Sprintf("CHAT from='a' to='b' id='m%d'><body>%s</body></message>", i, body))
			if i%20 == 0 {
				time.Sleep(beatEach)
			}
		}
		time.Sleep(time.Until(begun.Add(testGrace)))
		most := int64(0)
		for range 100 {
			most = max(most, d.r.retired.bytes.Load())
			time.Sleep(10 * time.Millisecond)
		}
		if most > retiredMost+spillBlock+size || most < spillBlock {
			t.Errorf("%d bytes were decided and on disk", most)
		}
		if got := strings.Fields(d.got("a")); len(got) != n {
			t.Errorf("within a second %d of %d are answered", len(got), n)
		}
	})
}
