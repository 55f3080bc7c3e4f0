package routing

import (
	"testing"
	"testing/synctest"
	"time"
)

// Presence that a link was given its delay for, and that then came back from the disk without, is counted as it is when newer one
// replaces it.
func TestPresenceStamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeptbed(t, 1<<20, true)
		k.put("<presence id='p1' from='a@im' to='b@im/r'/>", rec{})
		k.put(chat("m1", "c@im/r", 10), rec{})
		k.pass(time.Second)
		k.onDisk("p1 m1")
		k.attach(0)
		synctest.Wait() // it is in memory, with delays
		k.detach()
		k.pass(time.Second)
		if got := k.take("c@im/other"); got != "" {
			t.Errorf("took %s", got)
		}
		k.put("<presence id='p2' from='a@im' to='b@im/r'/>", rec{})
		if err := k.q.audit(); err != nil {
			t.Error(err)
		}
		k.writers.Wait()
	})
}
