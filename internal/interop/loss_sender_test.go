package interop

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const senderDomain = "sender.im.example"

// sender is a node by hand that sends numbered messages, m1 to mN, and keeps account of them.
type sender struct {
	*node
	to   string
	body string

	sent int // messages
	size int // bytes of the last

	mu       sync.Mutex
	echoes   int            // guarded by mu, as all below: messages to itself that have come
	present  int            // presence that has come
	refusals map[int]string // what was answered with an error
}

func newSender(t *testing.T, s *server, to string, body int) *sender {
	t.Helper()
	x := &sender{to: to, body: strings.Repeat("b", body), refusals: map[int]string{}}
	x.node = attached(t, s, senderDomain, x.take)
	return x
}

func (x *sender) take(e element) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case e.XMLName.Local == "presence":
		x.present++
	case e.XMLName.Local == "message" && e.ID == "echo":
		x.echoes++
	case e.XMLName.Local == "message":
		n, _ := strconv.Atoi(strings.TrimPrefix(e.ID, "m"))
		x.refusals[n] = e.Inner
	}
}

// send sends the next messages, some at a time.
func (x *sender) send(t *testing.T, messages int) {
	t.Helper()
	var some strings.Builder
	for i := range messages {
		x.sent++
		m := chat(fmt.Sprintf("m%d", x.sent), senderDomain, x.to, x.body)
		x.size = len(m)
		some.WriteString(m)
		if some.Len() < 32<<10 && i < messages-1 {
			continue
		}
		if err := x.say("%s", some.String()); err != nil {
			t.Fatal(err)
		}
		some.Reset()
	}
}

// settle waits until the server has decided on all that was sent: what the node sends to itself comes back behind it.
func (x *sender) settle(t *testing.T) {
	t.Helper()
	x.mu.Lock()
	due := x.echoes + 1
	x.mu.Unlock()
	if err := x.say("%s", chat("echo", senderDomain, senderDomain, "all?")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a message of the sender to itself", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.echoes >= due
	})
}

// sees waits until the receiver's user has told the sender that it is there.
func (x *sender) sees(t *testing.T, times int) {
	t.Helper()
	eventually(t, "presence of the receiver", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.present >= times
	})
}

// refused gives a copy of what was answered with errors.
func (x *sender) refused() map[int]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := map[int]string{}
	for n, why := range x.refusals {
		all[n] = why
	}
	return all
}

// quits ends the sender's stream.
func (x *sender) quits(t *testing.T) {
	t.Helper()
	if err := x.say("</stream:stream>"); err != nil {
		t.Fatal(err)
	}
	wait(t, x.over, "the end of the sender's stream")
}
