package interop

import (
	"testing"
	"time"
)

// TestSlowHandler lets a receiver take 50 ms for each message, and with its window full for longer than a dead link has
// to answer a ping. Slowness is not death: the stream goes on, nothing comes twice.
func TestSlowHandler(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	t.Parallel()
	const messages = 200
	s := serve(t, t.TempDir(), "timers.ping=1s")
	j := openJournal(t)
	slow := receiver{"slixmpp, slow", "50", "receive_slixmpp.py"}
	l := slow.open(t, s, receiving{log: j.file.Name(), stop: readsOn})
	snd := newSender(t, s, receiverDomain, 8<<10)
	l.does(t, "attach", "attached")
	began := time.Now()
	snd.send(t, messages)
	snd.settle(t)
	j.hears(t, snd)
	t.Logf("%d messages of %d bytes took %v", messages, snd.size, time.Since(began))
	l.quits(t)
	snd.quits(t)
	j.read(t)
	a := &account{journal: j, sent: snd.sent, size: snd.size, refusals: snd.refused()}
	a.log(t)
	a.lost(t)
	a.delays(t, 0, began)
	if _, repeated := a.figures(); repeated > 0 || len(a.streams) != 1 {
		t.Errorf("%d messages came twice, in %d streams", repeated, len(a.streams))
	}
	s.stop(t)
}
