package interop

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// mostRepeated is the largest window of a link: no more may come twice after a drop (docs/protocol.md).
const mostRepeated = 4 << 20

// loss is a receiver that stops reading while messages come, and whose connection is then reset.
type loss struct {
	receiver
	half     bool   // it stops half way, else at once: even before it has answered the first ping
	messages int    // before it is reset
	user     string // the messages go to this user of the receiver; "": to the node
	goesOn   bool   // it is not reset, but reads on
}

func (l loss) String() string {
	where := map[bool]string{true: "half way", false: "at once"}[l.half]
	then := map[bool]string{true: "reads on", false: "is reset"}[l.goesOn]
	return fmt.Sprintf("%s stops %s, %d, and %s", l.name, where, l.messages, then)
}

// losses are all receivers, each stopped in both ways. Half of them hear messages to a user.
func losses() (all []loss) {
	for i, r := range receivers {
		for _, half := range []bool{false, true} {
			l := loss{receiver: r, half: half, messages: 2000}
			if (i%2 == 0) == half {
				l.user = receiverUser
			}
			all = append(all, l)
		}
	}
	return all
}

// TestReadsOn lets receivers stop reading, and read on: nothing is lost, late or repeated.
func TestReadsOn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 8 s")
	}
	for _, l := range losses() {
		l.goesOn = true
		t.Run(l.String(), l.none)
	}
}

// TestLoss resets receivers that have stopped reading. What they had not handled comes to them after their return, in
// order, and repeats are of the window.
func TestLoss(t *testing.T) {
	all := losses()
	if os.Getenv("PATCHBAY_INTEROP") == "1" && !testing.Short() {
		all = append(all, loss{receiver: slixmppCoroutine, messages: 100_000}, loss{receiver: xmppJS, messages: 100_000, half: true})
	}
	for _, l := range all {
		t.Run(l.String(), l.none)
	}
}

// none sees that nothing is lost by a patchbay.
func (l loss) none(t *testing.T) {
	t.Parallel()
	s := serve(t, t.TempDir())
	began := time.Now()
	a := l.run(t, s)
	a.lost(t)
	a.delays(t, l.messages, began)
	s.stop(t)
}

// run plays a loss and gives the account of it.
func (l loss) run(t *testing.T, s *server) *account {
	t.Helper()
	to, stop := receiverDomain, 0
	if l.user != "" {
		to = l.user
	}
	if l.half {
		stop = l.messages / 2
	}
	j := openJournal(t)
	rcv := l.open(t, s, receiving{log: j.file.Name(), stop: stop, buffer: smallBuffer, user: l.user})
	snd := newSender(t, s, to, 100)
	rcv.does(t, "attach", "attached")
	if l.user != "" {
		snd.sees(t, 1)
	}
	snd.send(t, l.messages)
	rcv.says(t, "stopped")
	snd.settle(t)
	if l.goesOn {
		rcv.tell(t, "read")
	} else {
		rcv.does(t, "reset", "dropped")
	}
	snd.send(t, l.messages/10)
	snd.settle(t)
	if !l.goesOn {
		rcv.does(t, "attach", "attached")
	}
	snd.send(t, l.messages/10)
	j.hears(t, snd)
	rcv.quits(t)
	snd.quits(t)
	j.read(t)
	a := &account{journal: j, sent: snd.sent, size: snd.size, refusals: snd.refused()}
	a.log(t)
	return a
}
