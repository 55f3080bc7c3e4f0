package routing

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStats holds what the tables are said to hold against what was put into them.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTestbed(t, nil)
		if _, _, err := tb.sessions.AttachNode("gone"); err != nil { // of before a restart: the view is not complete
			t.Fatal(err)
		}
		tb.r.Returning()
		tb.attach("a")
		tb.attach("b")
		empty := Stats{IQsMax: maxAsks, IQBytesMax: maxAskBytes, HeldBytesMax: 10_000}
		if got := tb.r.Stats(); got != empty {
			t.Errorf("nothing was sent: %+v", got)
		}
		tb.send("a", "<iq type='get' id='q1' from='a' to='b'><x xmlns='y'/></iq><iq type='get' id='q2' from='a' to='b'><x xmlns='y'/></iq>")
		tb.send("a", "CHAT from='a' to='carol@im' id='m1'/><message type='chat' from='a' to='carol@im' id='m2'/><message type='chat' from='a' to='dave@im' id='m3'/>")
		got := tb.r.Stats()
		if got.IQs != 2 || got.IQBytes < 2*len("abq1") {
			t.Errorf("two iqs wait: %+v", got)
		}
		if got.Held != 3 || got.HeldFor != 2 || got.HeldBytes < 3*holdCost || got.HeldBytes >= got.HeldBytesMax {
			t.Errorf("three stanzas are held for two users: %+v", got)
		}
		tb.send("b", "<iq type='result' id='q1' from='b' to='a'/>")
		if got := tb.r.Stats().IQs; got != 1 {
			t.Errorf("%d iqs wait of which one was answered", got)
		}
		time.Sleep(2 * time.Minute) // longer than an iq, or a stanza on hold, may wait
		synctest.Wait()
		if got := tb.r.Stats(); got != empty {
			t.Errorf("all is over: %+v", got)
		}
		tb.close()
	})
}
