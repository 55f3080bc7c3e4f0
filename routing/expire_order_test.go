package routing

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Of two nodes of before a restart one comes back and leaves again, and both graces end at the same moment: what waited for a user of the
// one is stored in its order, though the other's end makes the view complete meanwhile.
func TestGracesEndTogether(t *testing.T) {
	const n = 60
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("m", i))
	}
	for range 30 {
		mailBubble(t, nil, func(tb *mailbed) {
			tb.attach("old")
			tb.attach("a")
			tb.restart()
			for _, name := range []string{"s", "b", "a"} {
				tb.attach(name)
			}
			tb.announce("a", "bob@im/x", 0)
			tb.detach("a")
			tb.chat(want...)
			time.Sleep(testGrace + 5*time.Second)
			synctest.Wait()
			tb.announce("b", "bob@im/x", 0)
			tb.wantMail("b", strings.Join(want, " "))
		})
	}
}

// A grace that ends before the view is complete waits for that: till then the node's stanzas are its own, should it come back.
func TestGraceWaitsForTheView(t *testing.T) {
	mailBubble(t, nil, func(tb *mailbed) {
		tb.attach("old")
		tb.attach("a")
		tb.announce("old", "eve@im/x", 0)
		tb.restart()
		for _, name := range []string{"s", "a", "b"} {
			tb.attach(name)
		}
		tb.announce("a", "bob@im/x", 0)
		tb.detach("a")
		tb.chat("m1", "m2")
		time.Sleep(testGrace - time.Second)
		tb.attach("old") // and says nothing
		time.Sleep(2 * time.Second)
		if tb.r.Complete() || tb.r.holds.waiting([]byte("bob@im")) || tb.r.Node("a").queue.stats().Waiting != 2 {
			t.Errorf("behind the grace: complete %v, held %v, %d wait", tb.r.Complete(), tb.r.holds.waiting([]byte("bob@im")), tb.r.Node("a").queue.stats().Waiting)
		}
		time.Sleep(testGrace)
		if !tb.r.Complete() || tb.r.Node("a").queue.stats().Waiting != 0 {
			t.Errorf("the view is complete (%v), and %d wait", tb.r.Complete(), tb.r.Node("a").queue.stats().Waiting)
		}
		tb.announce("b", "bob@im/x", 0)
		tb.wantMail("b", "m1 m2")
	})
}
